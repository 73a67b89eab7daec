import { describe, expect, test } from '@jest/globals';
import type { Descent } from '../../../src/github/github.ts';
import { type LiveCommit, refuseOldCode } from '../../../src/operation/descent.ts';

const [old, young, foreign] = ['a'.repeat(40), 'b'.repeat(40), 'c'.repeat(40)];

/** GitHub as far as these commits go; refuses any other question. */
function history(answers: Record<string, Descent>) {
  return {
    compare: async (base: string, head: string): Promise<Descent> => {
      const answer = answers[`${base[0]}...${head[0]}`];
      if (!answer) throw new Error(`Nobody expected ${base}...${head}.`);
      return answer;
    },
  };
}

const live = (...commits: string[]): LiveCommit[] =>
  commits.map((commit, at) => ({ instance: `i-${at}`, commit }));

describe('a commit may be deployed', () => {
  test.each<[string, LiveCommit[], Record<string, Descent>]>([
    ['where nothing is live', [], {}],
    ['where it is live itself, without asking', live(young), {}],
    ['where it descends from what is live', live(old), { 'a...b': 'ahead' }],
    ['where it descends from all that is live, each asked once', live(old, old, young), { 'a...b': 'ahead' }],
  ])('%s', async (_, commits, answers) => {
    await expect(refuseOldCode(history(answers), commits, young)).resolves.toBeUndefined();
  });

  test.each<[string, LiveCommit[], Record<string, Descent>, string]>([
    ['is older', live(foreign), { 'c...b': 'behind' }, 'is older than the live one'],
    ['is on another branch', live(foreign), { 'c...b': 'diverged' }, 'is on another branch'],
    ['cannot be compared', live(foreign), { 'c...b': 'unknown' }, 'cannot be compared'],
    ['meets a release of unknown commit', live(''), {}, 'of unknown commit is live on i-0'],
    [
      'is older than one of several',
      live(old, foreign),
      { 'a...b': 'ahead', 'c...b': 'behind' },
      'cccccccccccc is live on i-1',
    ],
  ])('and not where it %s', async (_, commits, answers, told) => {
    await expect(refuseOldCode(history(answers), commits, young)).rejects.toMatchObject({
      reason: 'not-descendant',
      outcome: 'refused',
      happened: expect.stringContaining(told),
    });
  });

  test('and one that GitHub does not show may be there: the token must be able to read it', async () => {
    await expect(refuseOldCode(history({ 'c...b': 'unknown' }), live(foreign), young)).rejects.toMatchObject({
      todo: expect.stringContaining('`github-token` may read it (contents: read)'),
    });
  });
});
