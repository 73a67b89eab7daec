import { matchesGlob } from 'node:path';
import * as z from 'zod/mini';
import { type Bucket, toJson } from '../aws/bucket.ts';
import type { Ruleset } from '../github/tags.ts';
import { type Ground, type Passed, shut } from './gate.ts';

/** The commit of the tag, which must be on the default branch. */
export async function findCommit({ tags, github, tag, told }: Ground): Promise<Passed<string>> {
  const [commit, branch] = await Promise.all([tags.commitOf(tag), tags.defaultBranch()]);
  if (commit === undefined) {
    throw shut({
      reason: 'no-tag',
      happened: `GitHub knows no tag ${tag}.`,
      todo: 'Push the tag; or correct the input `tag`.',
    });
  }
  if (told !== undefined && told !== commit) throw moved(tag, told, commit, 'when it was pushed');
  const descent = await github.compare(commit, branch);
  if (descent !== 'ahead' && descent !== 'identical') {
    throw shut({
      reason: 'tag-off-branch',
      happened: `The tag ${tag} is commit ${short(commit)}, which is not on ${branch}.`,
      todo: `Merge the commit into ${branch}, let staging run it, and tag the merged one by a new name.`,
    });
  }
  return { value: commit, evidence: `${tag} is ${short(commit)}, on ${branch}` };
}

const record = z.object({ schema: z.literal(1), commit: z.string() });

/** Where it is written down which commit a tag was when it was first promoted. */
export const tagKey = (app: string, tag: string): string => `tags/${app}/${tag}.json`;

/** Sees that the tag is the commit that it was when it was first seen, which is written down for ever. */
export async function requireUnmoved({ goal, tag, planned }: Ground, commit: string): Promise<Passed<void>> {
  const { bucket } = goal.services;
  const key = tagKey(goal.operation.app, tag);
  // Create-only: where it is taken, by another run or by ourselves with the answer lost, what is there decides.
  const created = planned ? undefined : await bucket.create(key, toJson({ schema: 1, commit }));
  if (created !== undefined)
    return { value: undefined, evidence: `first seen now, and written down in ${key}` };
  const before = await readTag(bucket, key);
  if (planned && before === undefined) return { value: undefined, evidence: 'was never seen before' };
  requireSame(tag, before, commit);
  return { value: undefined, evidence: `is what it was when it was first seen (${key})` };
}

async function readTag(bucket: Pick<Bucket, 'read'>, key: string): Promise<string | undefined> {
  const stored = await bucket.read(key);
  return stored && record.parse(JSON.parse(stored.bytes.toString('utf8'))).commit;
}

function requireSame(tag: string, before: string | undefined, commit: string): void {
  if (before !== commit) throw moved(tag, before ?? 'unknown', commit, 'when it was first seen here');
}

function moved(tag: string, before: string, now: string, when: string) {
  return shut({
    reason: 'tag-moved',
    happened: `The tag ${tag} is commit ${short(now)}, and was ${short(before)} ${when}: it was moved.`,
    todo: 'Find out who moved it, and protect tags by a ruleset. What is meant gets a tag of its own.',
  });
}

/** Sees that not everybody who can push can promote: attack 30. */
export async function requireProtection(ground: Ground): Promise<Passed<void>> {
  const { tags, tag, goal, confirmed } = ground;
  const { environment } = goal.operation;
  const ruleset = (await tags.rulesets()).find((one) => protects(one, tag));
  if (ruleset) return { value: undefined, evidence: `the ruleset "${ruleset.name}" lets nobody move it` };
  if (await tags.needsApproval(environment))
    return { value: undefined, evidence: `each job of ${environment} was approved by a reviewer` };
  if (confirmed) return { value: undefined, evidence: 'a person confirmed it by its name' };
  throw shut({
    reason: 'tag-unprotected',
    happened: `Nothing keeps the tag ${tag} from being moved: no active ruleset restricts updates and deletions of it, and no reviewer must approve jobs of the environment ${environment}.`,
    todo: `Make a ruleset for tags (Settings, Rules: restrict updates and deletions of v*), or required reviewers of ${environment}; where the plan of the account has neither, run the workflow by hand, with \`confirm: ${tag}\`.`,
  });
}

/** Whether a ruleset keeps a tag from being moved, in both ways: updated, or deleted and made anew. */
export function protects({ enforcement, rules, include, exclude }: Ruleset, tag: string): boolean {
  const name = `refs/tags/${tag}`;
  const covers = (patterns: readonly string[]): boolean =>
    patterns.some((pattern) => pattern === '~ALL' || matchesGlob(name, pattern));
  return (
    enforcement === 'active' &&
    ['update', 'deletion'].every((rule) => rules.includes(rule)) &&
    covers(include) &&
    !covers(exclude)
  );
}

const short = (commit: string): string => commit.slice(0, 12);
