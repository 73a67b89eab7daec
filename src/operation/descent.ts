import { OperationError } from '../action/errors.ts';
import type { Descent, GitHub } from '../github/github.ts';

/** A commit that is live somewhere. */
export interface LiveCommit {
  readonly instance: string;
  /** 40 hexadecimal digits; empty when the host has a release and cannot tell its commit. */
  readonly commit: string;
}

/** Refuses old code, which a re-run or a tag on an old commit brings: the commit must descend from every live one. */
export async function refuseOldCode(
  github: Pick<GitHub, 'compare'>,
  live: readonly LiveCommit[],
  commit: string,
): Promise<void> {
  const bases = new Set(live.map((one) => one.commit));
  const descents = await Promise.all(
    [...bases].map(async (base): Promise<[string, Descent]> => {
      if (base === commit) return [base, 'identical'];
      return [base, base === '' ? 'unknown' : await github.compare(base, commit)];
    }),
  );
  const bad = descents.find(([, descent]) => descent !== 'ahead' && descent !== 'identical');
  if (bad) throw notDescendant(commit, ...bad);
}

const told: Readonly<Record<string, string>> = {
  behind: 'is older than the live one',
  diverged: 'is on another branch than the live one',
  unknown: 'cannot be compared with the live one, which GitHub does not know in this repository,',
};

function notDescendant(commit: string, live: string, descent: Descent): OperationError {
  const name = live ? live.slice(0, 12) : 'of an unknown commit';
  return new OperationError({
    reason: 'not-descendant',
    happened: `Commit ${commit.slice(0, 12)} ${told[descent]} (${name}): deploying it would go back.`,
    stateNow: 'Nothing was changed.',
    todo: 'Going back is the work of rollback. Otherwise put your commit on top of the live one and push.',
  });
}
