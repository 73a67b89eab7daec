import { expect, test } from '@jest/globals';
import { type Candidate, choose, listCandidates, readWish, remarkOn } from '../../../src/rollback/backups.ts';
import { MemoryBucket } from '../aws/memory-bucket.ts';

const hour = 3_600_000;
const now = Date.UTC(2026, 10, 23);
const stamp = (ago: number): string => new Date(now - ago * hour).toISOString().replace(/[-:]|\.\d+/g, '');
const key = (ago: number): string => `backups/isso/staging/daily/${stamp(ago)}-op/manifest.json`;
const proven = (ago: number): string => `proven/isso/staging/${stamp(ago)}-op/manifest.json`;

/** Backups by their ages in hours; those that are proven, and of which only that copy is left. */
async function candidates(all: readonly number[], drilled: readonly number[]): Promise<Candidate[]> {
  const bucket = new MemoryBucket();
  for (const ago of all) {
    bucket.objects.set(key(ago), Buffer.from('{}'));
    bucket.modified.set(key(ago), now - ago * hour);
  }
  for (const ago of drilled) bucket.objects.set(proven(ago), Buffer.from('{}'));
  return listCandidates(bucket, 'isso', 'staging');
}

test('a backup is listed once, as proven where it is, also when no more than that copy is left', async () => {
  const listed = await candidates([1, 25, 49], [25, 1000]);
  expect(listed.map((one) => [one.key, one.proven])).toEqual([
    [key(1), false],
    [proven(25), true],
    [key(49), false],
    [proven(1000), true],
  ]);
});

test.each([
  ['nothing: the newest proven one', undefined, proven(25)],
  ['the newest of any', 'newest', key(1)],
  ['an age: the newest proven one that is so old', '26h-ago', proven(1000)],
  ['an age that the proven one has', '1d-ago', proven(25)],
  ['a key', key(49), key(49)],
  [
    'the key of one that is proven too: the copy that stays',
    `s3://isso-understudy-backups/${key(25)}`,
    proven(25),
  ],
  ['an age that none has', '60d-ago', undefined],
  ['a key that is not there', 'backups/isso/staging/daily/20200101T000000Z-op/manifest.json', undefined],
])('asked for %s', async (_, to, wanted) => {
  const listed = await candidates([1, 25, 49], [25, 1000]);
  expect(choose(listed, readWish(to), now)?.key).toBe(wanted);
});

test('without a proven one, the newest that is old enough is chosen, and it is told that none has proven it', async () => {
  const listed = await candidates([1, 25], []);
  const chosen = choose(listed, readWish('2h-ago'), now);
  expect(chosen?.key).toBe(key(25));
  expect(chosen && remarkOn(chosen, listed, readWish('2h-ago'))).toBe('No drill has proven it.');
});

test('it is told how much less a newer one would lose that is not proven', async () => {
  const listed = await candidates([1, 25], [25]);
  const chosen = choose(listed, readWish(undefined), now);
  expect(chosen && remarkOn(chosen, listed, readWish(undefined))).toBe(
    `A newer one, which no drill has proven, would lose 24 h less: ${key(1)}.`,
  );
});

test.each(['yesterday', '0h-ago', '../manifest.json', 'backups/isso/staging/x'])('%s is refused', (to) => {
  expect(() => readWish(to)).toThrow('It must be newest-proven');
});
