import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { sha256, toJson } from '../../../src/aws/bucket.ts';
import { archiveKey, type BuiltRelease, commitKey, storeRelease } from '../../../src/release/store.ts';
import { MemoryBucket } from '../aws/memory-bucket.ts';

const folder = mkdtempSync(join(tmpdir(), 'understudy-store-'));
afterAll(() => rmSync(folder, { recursive: true }));

const commit = 'c'.repeat(40);

/** A build of the commit; other text, other bytes. */
function built(text: string): BuiltRelease {
  const path = join(folder, text);
  writeFileSync(path, text);
  return { id: sha256(Buffer.from(text)), commit, path, size: text.length };
}

const store = (bucket: MemoryBucket, release: BuiltRelease) =>
  storeRelease(bucket, 'isso', 'staging', release);

describe('storing a release', () => {
  test('puts the archive under its digest, and says which release the commit is', async () => {
    const bucket = new MemoryBucket();
    const release = built('one');
    await expect(store(bucket, release)).resolves.toEqual({ id: release.id, build: 'first' });
    expect(bucket.objects.get(archiveKey('isso', 'staging', release.id))?.toString()).toBe('one');
    expect(bucket.json(commitKey('isso', commit))).toEqual({ schema: 1, release: release.id });
  });

  test('the same bytes again change nothing', async () => {
    const bucket = new MemoryBucket();
    await store(bucket, built('one'));
    const before = new Map(bucket.objects);
    await expect(store(bucket, built('one'))).resolves.toMatchObject({ build: 'again' });
    expect(bucket.objects).toEqual(before);
  });

  test('of two builds of one commit the first one wins, and the second is not stored', async () => {
    const bucket = new MemoryBucket();
    const [first, second] = [built('one'), built('two')];
    await store(bucket, first);
    await expect(store(bucket, second)).resolves.toEqual({ id: first.id, build: 'earlier' });
    expect(bucket.objects.has(archiveKey('isso', 'staging', second.id))).toBe(false);
  });

  test('of two at once the one whose pointer was first wins', async () => {
    const bucket = new MemoryBucket();
    const [ours, theirs] = [built('one'), built('two')];
    bucket.intruder = () => {
      bucket.objects.set(archiveKey('isso', 'staging', theirs.id), Buffer.from('two'));
      bucket.objects.set(commitKey('isso', commit), toJson({ schema: 1, release: theirs.id }));
    };
    await expect(store(bucket, ours)).resolves.toEqual({ id: theirs.id, build: 'earlier' });
  });

  test('sees its own writes behind 412s, when answers were lost', async () => {
    const bucket = new MemoryBucket();
    bucket.answersToLose = 2;
    const release = built('one');
    await expect(store(bucket, release)).resolves.toEqual({ id: release.id, build: 'first' });
  });

  test('goes on where an earlier run died between archive and pointer', async () => {
    const bucket = new MemoryBucket();
    const release = built('one');
    bucket.objects.set(archiveKey('isso', 'staging', release.id), Buffer.from('one'));
    await expect(store(bucket, release)).resolves.toMatchObject({ build: 'first' });
  });

  test('refuses an object that holds other bytes than its name promises', async () => {
    const bucket = new MemoryBucket();
    const release = built('one');
    bucket.objects.set(archiveKey('isso', 'staging', release.id), Buffer.from('forged'));
    await expect(store(bucket, release)).rejects.toMatchObject({ reason: 'store-failed' });
    expect(bucket.objects.has(commitKey('isso', commit))).toBe(false);
  });

  test('says so when the first build is not there any more, and does not put another in its place', async () => {
    const bucket = new MemoryBucket();
    bucket.objects.set(commitKey('isso', commit), toJson({ schema: 1, release: 'a'.repeat(64) }));
    await expect(store(bucket, built('one'))).rejects.toMatchObject({
      reason: 'store-failed',
      happened: expect.stringContaining('aaaaaaaaaaaa'),
      todo: expect.stringMatching(/again cannot mend it: push a new commit/),
    });
  });

  test('says which bucket did not take it, and why', async () => {
    const bucket = new MemoryBucket();
    bucket.create = () => Promise.reject(new Error('The specified bucket does not exist'));
    await expect(store(bucket, built('one'))).rejects.toMatchObject({
      reason: 'store-failed',
      outcome: 'refused',
      happened: expect.stringContaining('memory did not take the release: Error: The specified bucket'),
      stateNow: expect.stringContaining('may be in the bucket already'),
      todo: expect.stringContaining('run this job again'),
    });
  });

  test.each(['', '{}', '{"schema":1,"release":"../x"}'])('refuses a pointer that is %j', async (text) => {
    const bucket = new MemoryBucket();
    bucket.objects.set(commitKey('isso', commit), Buffer.from(text));
    await expect(store(bucket, built('one'))).rejects.toMatchObject({ reason: 'store-failed' });
  });
});
