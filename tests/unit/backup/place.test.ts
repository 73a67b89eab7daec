import { beforeAll, describe, expect, test } from '@jest/globals';
import { findProven, listBackups } from '../../../src/backup/place.ts';
import { MemoryBucket } from '../aws/memory-bucket.ts';
import { manifestOf, night, put, store } from './stored.ts';

describe('the backups of an environment', () => {
  test('are those with a manifest, the newest first by the time at which S3 took it', async () => {
    const bucket = new MemoryBucket();
    // Its own name says that it is from next year: that clock is wrong, and nobody goes by it.
    const stray = store(bucket, manifestOf({ operation: '1-1-1-backup-staging' }), Date.UTC(2027, 0, 1));
    bucket.modified.set(stray, night(-9));
    const monthly = store(
      bucket,
      manifestOf({ operation: '1-2-1-backup-staging', tier: 'monthly' }),
      night(-2),
    );
    const daily = store(bucket, manifestOf({ operation: '1-3-1-backup-staging' }), night(-1));
    put(bucket, 'backups/isso/staging/daily/20261124T020000Z-1-4-1-backup-staging/code.tar.zst', 'x');
    put(bucket, 'backups/isso/production/daily/20261124T020000Z-1-5-1-backup-staging/manifest.json', '{}');
    const listed = await listBackups(bucket, 'isso', 'staging');
    expect(listed.map(({ key }) => key)).toEqual([daily, monthly, stray]);
    expect(listed[0]).toMatchObject({ tier: 'daily', operation: '1-3-1-backup-staging' });
  });

  test('are as large as all their objects together', async () => {
    const bucket = new MemoryBucket();
    const key = store(bucket);
    const [listed] = await listBackups(bucket, 'isso', 'staging');
    expect(listed?.size).toBe(39 + (bucket.objects.get(key)?.length ?? 0));
  });
});

describe('the newest proven one', () => {
  const proven = (day: number) => `proven/isso/staging/202611${day}T020000Z-1-${day}-1-backup-staging/`;
  const bucket = new MemoryBucket();

  beforeAll(() => {
    put(bucket, `${proven(20)}manifest.json`, '{}', night());
    put(bucket, `${proven(21)}manifest.json`, '{}', night(-1));
    put(bucket, 'proven/isso/production/20261123T020000Z-1/manifest.json', '{}', night());
  });

  test('is that which was made last, not that which was proven last', async () => {
    expect(await findProven(bucket, 'isso', 'staging')).toBe(`${proven(21)}manifest.json`);
    expect(await findProven(bucket, 'other', 'staging')).toBeUndefined();
  });

  test('is one with a manifest, though others are still being copied there', async () => {
    put(bucket, `${proven(22)}database-0.sqlite.zst`, '', night());
    expect(await findProven(bucket, 'isso', 'staging')).toBe(`${proven(21)}manifest.json`);
  });

  test('before another leaves that out', async () => {
    const before = Date.UTC(2026, 10, 21, 2);
    expect(await findProven(bucket, 'isso', 'staging', before)).toBe(`${proven(20)}manifest.json`);
    expect(await findProven(bucket, 'isso', 'staging', before - 24 * 3_600_000)).toBeUndefined();
  });
});
