import { describe, expect, test } from '@jest/globals';
import { describeHold, foretellHold } from '../../../src/backup/hold.ts';
import { MemoryBucket } from '../aws/memory-bucket.ts';
import { manifestOf, owner, store } from './stored.ts';

describe('what is told of the hold before a backup', () => {
  test('is half as much again as in the newest backup, of databases with a rollback journal', async () => {
    const bucket = new MemoryBucket();
    store(bucket, manifestOf({ hold_ms: 800 }));
    expect(await foretellHold(bucket, owner)).toBe(
      'writers of comments.db (100.0 KiB) wait for up to about 1.2 s, for it has a rollback journal; in the newest backup it was 800 ms',
    );
  });

  test('is that nobody waits where all have a WAL', () => {
    const databases = manifestOf().databases.map((one) => ({ ...one, journal_mode: 'wal' }));
    expect(describeHold(manifestOf({ databases }))).toMatch(/^nobody waits/);
  });

  test('is not known before the first, nor where the bucket does not answer: neither keeps anybody from a backup', async () => {
    const bucket = new MemoryBucket();
    expect(await foretellHold(bucket, owner)).toMatch(/^not known before the first backup/);
    const list = () => Promise.reject(new Error('no route'));
    const dead = {
      name: 'dead',
      list,
      read: bucket.read.bind(bucket),
      describe: bucket.describe.bind(bucket),
    };
    expect(await foretellHold(dead, owner)).toMatch(/^not known, .*no route/);
  });
});
