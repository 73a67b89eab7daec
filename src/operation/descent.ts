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
  if (!bad) return;
  const [base, descent] = bad;
  const on = live.filter((one) => one.commit === base).map(({ instance }) => instance);
  throw notDescendant(commit, { base, descent, on });
}

const told: Readonly<Record<string, string>> = {
  behind: 'is older than the live one, so deploying it would go back',
  diverged: 'is on another branch than the live one, so deploying it would take that one back',
  unknown: 'cannot be compared with the live one, which GitHub does not show in this repository',
};

interface Bad {
  readonly base: string;
  readonly descent: Descent;
  /** The instances where the base is live. */
  readonly on: readonly string[];
}

function notDescendant(commit: string, { base, descent, on }: Bad): OperationError {
  const live = `${base ? base.slice(0, 12) : 'of unknown commit'} is live on ${on.join(', ')}`;
  const back =
    'Going back is the work of rollback. Otherwise put your commit on top of the live one and push.';
  const unseen =
    'See that the live commit is in this repository, and that `github-token` may read it (contents: read).';
  return new OperationError({
    reason: 'not-descendant',
    happened: `Commit ${commit.slice(0, 12)} ${told[descent]} (${live}).`,
    stateNow: 'Nothing was changed.',
    todo: descent === 'unknown' && base ? unseen : back,
  });
}
