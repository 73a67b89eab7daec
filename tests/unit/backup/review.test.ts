import { describe, expect, test } from '@jest/globals';
import { reviewIn } from '../../../src/backup/review.ts';
import type { Told } from '../../../src/operation/summary.ts';
import { MemoryBucket } from '../aws/memory-bucket.ts';
import { operation as deploying } from '../operation/fleet.ts';
import { keyOf, manifestOf, night, owner, put, says, store } from './stored.ts';

const operation = { ...deploying, id: owner.operation, action: 'backup', backups: 'memory' };
const before = { operation: '42-99-1-backup-staging' };

async function review(bucket: MemoryBucket, told: Told): Promise<Told> {
  const [reviewed] = await reviewIn(bucket, operation, [told]);
  if (!reviewed) throw new Error('Nothing came of it.');
  return reviewed;
}

describe('a host that says done', () => {
  test('is borne out by what the bucket holds', async () => {
    const bucket = new MemoryBucket();
    store(bucket);
    const { account = '', ...told } = await review(bucket, says());
    expect(told).toEqual(says());
    expect(account).toContain('comments.db');
  });

  test('is borne out where a foreign key points at no table, of which sqlite3 cannot tell', async () => {
    const bucket = new MemoryBucket();
    const [database] = manifestOf().databases;
    if (database) store(bucket, manifestOf({ databases: [{ ...database, foreign_key_violations: null }] }));
    const { account, ...told } = await review(bucket, says());
    expect(told).toEqual(says());
    expect(account).toContain('cannot be told');
  });

  test.each<[string, (bucket: MemoryBucket) => Told, string]>([
    ['and stored nothing', () => says(), 'There is no backups/isso/staging/daily/'],
    [
      'and stored no database',
      (bucket) => {
        bucket.objects.delete(store(bucket).replace('manifest.json', 'database-0.sqlite.zst'));
        return says();
      },
      'The manifest promises database-0.sqlite.zst',
    ],
    [
      'and does not say where',
      (bucket) => {
        store(bucket);
        const { manifest: _, ...told } = says();
        return told;
      },
      'It does not say where it put it.',
    ],
    [
      'of another bucket than understudy.yml names',
      (bucket) => {
        store(bucket);
        return says({ bucket: 'elsewhere' });
      },
      'It stores backups in elsewhere, where understudy.yml names memory',
    ],
    [
      'of the backup of an earlier run',
      (bucket) => says({ manifest: store(bucket, manifestOf(before)) }),
      'is of 42-99-1-backup-staging',
    ],
  ])('%s, is taken for failed', async (_, prepare, problem) => {
    const bucket = new MemoryBucket();
    const told = await review(bucket, prepare(bucket));
    expect(told).toMatchObject({ result: 'failed', reason: 'unconfirmed' });
    expect(told.sentence).toContain(problem);
  });
});

describe('a host that did not get to say done', () => {
  const failed = says({ result: 'failed', reason: 'timed-out', sentence: 'Too long.' });
  const { manifest: _, bucket: __, ...silent } = failed;

  test('has made a backup all the same when its manifest commits it', async () => {
    const bucket = new MemoryBucket();
    const manifest = store(bucket);
    const told = await review(bucket, silent);
    expect(told).toMatchObject({ result: 'done', reason: 'backed-up', manifest, bucket: 'memory' });
    expect(told.sentence).toContain('The host says failed (timed-out): Too long.');
  });

  test.each<[string, (bucket: MemoryBucket) => unknown]>([
    ['nothing is stored', () => undefined],
    ['only objects are stored', (bucket) => bucket.objects.delete(store(bucket))],
    ['the manifest is that of an earlier run', (bucket) => store(bucket, manifestOf(before))],
    ['the manifest is that of another instance', (bucket) => store(bucket, manifestOf({ instance: 'i-2' }))],
    [
      'an object is damaged',
      (bucket) => put(bucket, store(bucket).replace('manifest.json', 'code.tar.zst'), 'x'),
    ],
  ])('has made none where %s', async (_name, prepare) => {
    const bucket = new MemoryBucket();
    prepare(bucket);
    expect(await review(bucket, silent)).toEqual(silent);
  });

  test.each([
    ['may still be at work', { ...silent, open: true }],
    ['refused', says({ result: 'refused', reason: 'busy' })],
  ])('is left as it is where it %s', async (_name, told) => {
    const bucket = new MemoryBucket();
    store(bucket);
    expect(await review(bucket, told)).toEqual(told);
  });
});

describe('growth is told', () => {
  const rows = (comments: number) => ({
    databases: manifestOf().databases.map((one) => ({ ...one, tables: { comments, gone: 1 } })),
  });

  test('against the newest backup that a drill has proven', async () => {
    const bucket = new MemoryBucket();
    store(bucket, manifestOf({ ...before, ...rows(1) }), night(-1));
    const proven = manifestOf({ operation: '42-90-1-backup-staging', ...rows(1000) }, night(-2));
    put(
      bucket,
      'proven/isso/staging/20261121T020000Z-42-90-1-backup-staging/manifest.json',
      JSON.stringify(proven),
      night(-1),
    );
    store(bucket);
    const { account } = await review(bucket, says());
    expect(account).toContain('against the last verified backup of 2026-11-21');
    expect(account).toContain('| <code>comments</code> | 1,200 | 1,000 | +200 |');
    expect(account).toContain('| <code>gone</code> |  | 1 | gone |');
    expect(account).toContain('| <code>threads</code> | 7 |  | new |');
  });

  test('against the backup before, as long as none is proven', async () => {
    const bucket = new MemoryBucket();
    store(bucket, manifestOf({ operation: '42-98-1-backup-staging', ...rows(1) }, night(-2)), night(-2));
    store(bucket, manifestOf({ ...before, ...rows(1300) }, night(-1)), night(-1));
    store(bucket);
    const { account } = await review(bucket, says());
    expect(account).toContain('against the backup before (none is verified yet) of 2026-11-22');
    expect(account).toContain('| <code>comments</code> | 1,200 | 1,300 | −100 |');
  });

  test('against none where it is the first', async () => {
    const bucket = new MemoryBucket();
    store(bucket);
    expect((await review(bucket, says())).account).toContain('there is no earlier backup to compare with');
  });

  test('against none, and with a warning, where the earlier one cannot be read', async () => {
    const bucket = new MemoryBucket();
    put(bucket, keyOf(manifestOf(before), night(-1)), '{}', night(-1));
    store(bucket);
    expect((await review(bucket, says())).account).toContain('there is no earlier backup to compare with');
  });

  test('as a chart of the backups so far, the oldest first', async () => {
    const bucket = new MemoryBucket();
    for (let day = -20; day < 0; day += 1) {
      const operation = `42-${80 + day}-1-backup-staging`;
      store(bucket, manifestOf({ operation, tier: day === -3 ? 'weekly' : 'daily' }, night(day)), night(day));
    }
    store(bucket);
    const { account = '' } = await review(bucket, says());
    const lines = account.split('\n').filter((line) => /^2026-11-\d\d \d\d:\d\d/.test(line));
    expect(lines).toHaveLength(14);
    expect(lines[0]).toMatch(/^2026-11-10 02:00 daily +█/);
    expect(lines[10]).toContain('weekly');
    expect(lines[12]).toMatch(/the one before$/);
    expect(lines[13]).toMatch(/^2026-11-23 .*this one$/);
  });
});
