import { describe, expect, test } from '@jest/globals';
import { CancelledError } from '../../../src/action/errors.ts';
import { type Manifest, promisedBy } from '../../../src/backup/manifest.ts';
import { listBackups } from '../../../src/backup/place.ts';
import { type Drilled, type Ground, proveNewest, type Unpacked } from '../../../src/drill/climb.ts';
import type { Level } from '../../../src/drill/ladder.ts';
import { keepProven } from '../../../src/drill/proven.ts';
import { judgeDrill } from '../../../src/drill/verdict.ts';
import { MemoryBucket } from '../aws/memory-bucket.ts';
import { manifestOf, night, put, store } from '../backup/stored.ts';

const hour = 3_600_000;
const place = { app: 'isso', environment: 'staging' };

/** The backup of a night, stored; night 0 is the newest. */
function backUp(bucket: MemoryBucket, nightsAgo: number, change: Partial<Manifest> = {}): string {
  const operation = `42-${100 - nightsAgo}-1-backup-staging`;
  return store(bucket, manifestOf({ operation, ...change }, night(-nightsAgo)), night(-nightsAgo));
}

const good = (level: number): Level => ({ level, verdict: 'passed', ms: 1, evidence: 'good' });

/** What unpacks, and finds this at level 3 of some. */
function unpackerOf(found: Readonly<Record<string, Unpacked>> = {}): Ground['unpack'] {
  return async (key, _, upTo) =>
    found[key] ?? { levels: [2, 3, 4].filter((level) => level <= upTo).map(good), control: 'refused' };
}

async function drill(bucket: MemoryBucket, change: Partial<Ground> = {}): Promise<Drilled> {
  bucket.time = night() + 2 * hour;
  const listed = await listBackups(bucket, 'isso', 'staging');
  const ground = {
    ...{ bucket, ...place, asked: 5, promiseMs: 36 * hour, staleMs: 30 * 24 * hour, accept: false },
    ...{ unpack: unpackerOf(), signal: new AbortController().signal, seed: 'acme/isso 4242', ...change },
  };
  return proveNewest(ground, listed);
}

const verdictOf = (drilled: Drilled, level = 5) => judgeDrill(drilled, { ...place, bucket: 'memory', level });
const levelsOf = ({ newest }: Drilled) => newest?.levels.map(({ level, verdict }) => `${level} ${verdict}`);

describe('a drill', () => {
  test('takes the backup that S3 took last, whatever its key and its host say', async () => {
    const bucket = new MemoryBucket();
    const older = backUp(bucket, 1);
    const newest = backUp(bucket, 0);
    const drilled = await drill(bucket);
    expect(drilled).toMatchObject({ newest: { key: newest }, older: [], restorable: { key: newest } });
    expect(verdictOf(drilled)).toMatchObject({ conclusion: 'verified', result: { result: 'done' } });
    bucket.modified.set(older, night() + hour);
    const stale = await drill(bucket);
    expect(stale).toMatchObject({ newest: { key: older }, restorable: { key: newest } });
    expect(verdictOf(stale).result).toMatchObject({ result: 'failed', reason: 'backup-bad' });
    expect(verdictOf(stale).result.sentence).toContain('before S3 took the manifest: its clock is wrong.');
  });

  test('takes no folder without a manifest for a backup', async () => {
    const bucket = new MemoryBucket();
    put(bucket, 'backups/isso/staging/daily/20261123T020000Z-1/database-0.sqlite.zst', 'half');
    expect(verdictOf(await drill(bucket)).result.sentence).toBe(
      'There is no committed backup of isso in staging in memory.',
    );
  });

  test('goes on to prove a newest backup that is too old, and stays red', async () => {
    const bucket = new MemoryBucket();
    const key = backUp(bucket, 3);
    const drilled = await drill(bucket);
    expect(levelsOf(drilled)).toEqual(['0 failed', ...[1, 2, 3, 4, 5].map((level) => `${level} passed`)]);
    const { conclusion, result } = verdictOf(drilled);
    expect(conclusion).toBe('backup-bad');
    expect(result.sentence).toContain('committed 3 days ago');
    expect(result.sentence).toContain('It passes every other level.');
    expect(drilled.restorable?.key).toBe(key);
  });

  test('finds the newest older one that passes, and says so', async () => {
    const bucket = new MemoryBucket();
    const [oldest, broken, newest] = [backUp(bucket, 2), backUp(bucket, 1), backUp(bucket, 0)];
    const failing = { levels: [good(2), { ...good(3), verdict: 'failed' as const, evidence: 'page 3' }] };
    const drilled = await drill(bucket, { unpack: unpackerOf({ [newest]: failing, [broken]: failing }) });
    expect(drilled.older.map(({ key }) => key)).toEqual([broken, oldest]);
    expect(drilled.restorable?.key).toBe(oldest);
    const { result, level } = verdictOf(drilled);
    expect(level).toBe(3);
    expect(result.sentence).toMatch(
      /is bad\. Level 3 \(every database is sound\) failed: page 3\. The newest/,
    );
    expect(result.todo).toContain(`take ${oldest}`);
  });

  test('says when none of the older ones passes', async () => {
    const bucket = new MemoryBucket();
    for (let ago = 0; ago < 9; ago += 1) {
      bucket.objects.delete(backUp(bucket, ago).replace('manifest.json', 'code.tar.zst'));
    }
    const drilled = await drill(bucket);
    expect(verdictOf(drilled).result.sentence).toContain('None of the 5 older ones that were tried passes.');
    expect(drilled.restorable).toBeUndefined();
  });

  test('that cannot run tries no other, and takes nothing for passed', async () => {
    const bucket = new MemoryBucket();
    backUp(bucket, 1);
    backUp(bucket, 0);
    const unpack: Ground['unpack'] = async () => ({
      levels: [{ ...good(2), verdict: 'could-not-run', evidence: 'S3 is away.' }],
    });
    const drilled = await drill(bucket, { unpack });
    expect(levelsOf(drilled)).toEqual(['0 passed', '1 passed', '2 could-not-run']);
    expect(drilled.older).toEqual([]);
    expect(verdictOf(drilled)).toMatchObject({
      conclusion: 'drill-could-not-run',
      result: { result: 'unknown', reason: 'drill-could-not-run' },
    });
  });

  test('whose bucket breaks in the middle could not run', async () => {
    const bucket = new MemoryBucket();
    backUp(bucket, 0);
    const broken = Object.assign(bucket, {
      list: MemoryBucket.prototype.list.bind(bucket),
      read: async () => {
        throw new Error('S3 is away');
      },
    });
    const { conclusion, result } = verdictOf(await drill(broken));
    expect(conclusion).toBe('drill-could-not-run');
    expect(result.sentence).toContain('could not run: S3 is away.');
  });

  test('whose damaged copy passes is believed in nothing', async () => {
    const bucket = new MemoryBucket();
    backUp(bucket, 0);
    const unpack: Ground['unpack'] = async () => ({ levels: [2, 3, 4].map(good), control: 'passed' });
    const drilled = await drill(bucket, { unpack });
    expect(verdictOf(drilled).result).toMatchObject({ result: 'failed', reason: 'control-passed' });
    expect(drilled.restorable).toBeUndefined();
  });

  test('ends when it is cancelled, and says nothing of the backup', async () => {
    const bucket = new MemoryBucket();
    backUp(bucket, 0);
    const cancelled = AbortSignal.abort(new CancelledError('cancelled'));
    await expect(drill(bucket, { signal: cancelled })).rejects.toThrow(CancelledError);
  });

  test('comes no further than it was asked to', async () => {
    const bucket = new MemoryBucket();
    backUp(bucket, 0);
    expect(levelsOf(await drill(bucket, { asked: 0 }))).toEqual(['0 passed']);
    expect(levelsOf(await drill(bucket, { asked: 3 }))).toEqual(
      [0, 1, 2, 3].map((level) => `${level} passed`),
    );
    expect(verdictOf(await drill(bucket, { asked: 1 }), 1).result.sentence).toContain('not unpacked');
  });
});

describe('a drill on a host of its own', () => {
  /** A host on which the app of these comes up, and of no other. */
  const hostOf =
    (...well: readonly string[]): Ground['unpack'] =>
    async (key, _, upTo) => ({
      levels: [2, 3, 4, 6, 7]
        .filter((level) => level <= Math.max(upTo, 4))
        .map((level) => (level < 7 || well.includes(key) ? good(level) : { ...good(7), verdict: 'failed' })),
      control: 'refused',
      phases: [{ name: 'launch', ms: 90_000 }],
    });

  test('comes to level 7, in order, and tells what bringing it back took', async () => {
    const bucket = new MemoryBucket();
    const newest = backUp(bucket, 0);
    const drilled = await drill(bucket, { asked: 7, unpack: hostOf(newest) });
    expect(levelsOf(drilled)).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((level) => `${level} passed`));
    expect(drilled.newest?.phases).toEqual([{ name: 'launch', ms: 90_000 }]);
    expect(verdictOf(drilled, 7).result.result).toBe('done');
  });

  test('does not start an app on data that is odd', async () => {
    const bucket = new MemoryBucket();
    const newest = backUp(bucket, 0, { databases: [] });
    const asked: number[] = [];
    const unpack: Ground['unpack'] = (key, manifest, upTo) => {
      asked.push(upTo);
      return hostOf(newest)(key, manifest, upTo);
    };
    const before = manifestOf({ operation: '42-99-1-backup-staging' }, night(-1));
    await keepProven(bucket, store(bucket, before, night(-1)), before);
    const drilled = await drill(bucket, { asked: 7, unpack });
    expect(levelsOf(drilled)?.slice(-2)).toEqual(['4 passed', '5 failed']);
    expect(asked[0]).toBe(4);
  });

  test('on which the app does not come up is of a bad backup, and the newest on which it does is found', async () => {
    const bucket = new MemoryBucket();
    const older = backUp(bucket, 1);
    const newest = backUp(bucket, 0);
    const drilled = await drill(bucket, { asked: 8, unpack: hostOf(older) });
    expect(drilled).toMatchObject({ newest: { key: newest }, restorable: { key: older } });
    expect(verdictOf(drilled, 8)).toMatchObject({ conclusion: 'backup-bad', level: 7 });
  });

  test('proves one of the older ones too, the same for the same run', async () => {
    const bucket = new MemoryBucket();
    const keys = Array.from({ length: 6 }, (_, ago) => backUp(bucket, 5 - ago));
    const unpack = hostOf(...keys);
    const chosen = async (seed: string): Promise<string> => {
      const drilled = await drill(bucket, { asked: 8, unpack, seed });
      expect(verdictOf(drilled, 8).conclusion).toBe('verified');
      return drilled.newest?.levels.at(-1)?.evidence ?? '';
    };
    const once = await chosen('acme/isso 1');
    expect(await chosen('acme/isso 1')).toBe(once);
    expect(keys.slice(0, -1).some((key) => once.includes(key))).toBe(true);
    const others = await Promise.all([2, 3, 4, 5, 6, 7].map((run) => chosen(`acme/isso ${run}`)));
    expect(new Set(others).size).toBeGreaterThan(1);
  });

  test('whose older one does not come up says so, and that the newest restores', async () => {
    const bucket = new MemoryBucket();
    const older = backUp(bucket, 1);
    const newest = backUp(bucket, 0);
    const drilled = await drill(bucket, { asked: 8, unpack: hostOf(newest) });
    expect(drilled).toMatchObject({ restorable: { key: newest }, older: [] });
    const { conclusion, level, result } = verdictOf(drilled, 8);
    expect([conclusion, level]).toEqual(['backup-bad', 8]);
    expect(result.sentence).toContain(`${newest}, was restored, and the app answered on it. Level 8 (`);
    expect(result.sentence).toContain(older);
    expect(result.todo).toContain(`take ${newest}`);
  });

  test('is not green at level 8 where there is no older one, and says what to ask for', async () => {
    const bucket = new MemoryBucket();
    const newest = backUp(bucket, 0);
    const drilled = await drill(bucket, { asked: 8, unpack: hostOf(newest) });
    expect(drilled.restorable?.key).toBe(newest);
    const { conclusion, result } = verdictOf(drilled, 8);
    expect(conclusion).toBe('drill-could-not-run');
    expect(result).toMatchObject({ result: 'unknown' });
    expect(result.sentence).toContain('ask for level 7 until there are two');
  });
});

describe('level 5', () => {
  const [database] = manifestOf().databases;
  const emptied = { databases: database ? [{ ...database, tables: { comments: 0, threads: 7 } }] : [] };

  test('compares with the newest that was proven before, not with itself', async () => {
    const bucket = new MemoryBucket();
    const before = backUp(bucket, 1);
    await keepProven(bucket, before, manifestOf({ operation: '42-99-1-backup-staging' }, night(-1)));
    const newest = backUp(bucket, 0, emptied);
    await keepProven(bucket, newest, manifestOf({ operation: '42-100-1-backup-staging', ...emptied }));
    const drilled = await drill(bucket);
    expect(verdictOf(drilled).result.sentence).toContain(
      'comments.db: comments is empty; it had 1,200 rows.',
    );
    expect(drilled.restorable?.key).toBe(before);
    const accepted = await drill(bucket, { accept: true });
    expect(accepted.newest?.levels.at(-1)).toMatchObject({
      ...{ verdict: 'passed', warnings: [expect.stringContaining('comments is empty')] },
    });
  });

  test('passes the first backup of all, and says that there is nothing to compare with', async () => {
    const bucket = new MemoryBucket();
    backUp(bucket, 0);
    const drilled = await drill(bucket);
    expect(drilled.newest?.levels.at(-1)?.evidence).toBe(
      '1,207 rows, and no verified backup to compare with yet',
    );
    expect(promisedBy(manifestOf())).toHaveLength(2);
  });
});
