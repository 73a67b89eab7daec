import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sha256 } from '../../../src/aws/bucket.ts';
import { fetchArchive } from '../../../src/release/copy.ts';

const bytes = Buffer.from('the bytes of a release');
const id = sha256(bytes);
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'understudy-copy-'));
});
afterAll(() => rm(folder, { recursive: true }));

const bucketOf = (...bodies: (() => Readable | undefined)[]) => ({
  name: 'memory',
  open: async () => bodies.shift()?.(),
});

const fetched = (bucket: ReturnType<typeof bucketOf>) =>
  fetchArchive(bucket, 'releases/isso/staging/1.tar.gz', id, join(folder, 'release.tar.gz'));

describe('an archive that is fetched', () => {
  test('is what its name promises, also when the first answer breaks off', async () => {
    async function* broken() {
      yield bytes.subarray(0, 3);
      throw new Error('aborted');
    }
    const bucket = bucketOf(
      () => Readable.from(broken()),
      () => Readable.from([bytes.subarray(0, 5), bytes.subarray(5)]),
    );
    const { path, size } = await fetched(bucket);
    expect(size).toBe(bytes.length);
    expect(await readFile(path)).toEqual(bytes);
  });

  test.each([
    ['has other bytes', () => Readable.from([Buffer.from('others')]), 'bad-digest'],
    ['is not there', () => undefined, 'never-on-staging'],
  ])('is refused when it %s', async (_, body, reason) => {
    await expect(fetched(bucketOf(body))).rejects.toMatchObject({ reason, outcome: 'refused' });
  });
});
