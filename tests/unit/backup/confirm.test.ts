import { describe, expect, test } from '@jest/globals';
import { confirmBackup } from '../../../src/backup/confirm.ts';
import { MemoryBucket } from '../aws/memory-bucket.ts';
import { keyOf, manifestOf, night, owner, put, store } from './stored.ts';

const key = keyOf(manifestOf());
const object = (name: string) => key.replace('manifest.json', name);
const database = object('database-0.sqlite.zst');

describe('a backup is confirmed', () => {
  test('when its manifest is there, and every object with its size and digest', async () => {
    const bucket = new MemoryBucket();
    store(bucket);
    expect(await confirmBackup(bucket, key, owner)).toEqual({
      ...{ confirmed: true, key, manifest: manifestOf(), committed: night() + 2000 },
    });
  });

  test('also when it holds more than this version knows', async () => {
    const bucket = new MemoryBucket();
    store(bucket, { ...manifestOf(), understudy: 2 } as never);
    expect((await confirmBackup(bucket, key, owner)).confirmed).toBe(true);
  });
});

describe('it is not', () => {
  const rewritten = (change: object) => (bucket: MemoryBucket) =>
    put(bucket, key, JSON.stringify({ ...manifestOf(), ...change }), night() + 2000);

  test.each<[string, (bucket: MemoryBucket) => unknown, string]>([
    ['without its manifest', (bucket) => bucket.objects.delete(key), `There is no ${key} in memory.`],
    ['without an object', (bucket) => bucket.objects.delete(database), `there is no ${database}`],
    [
      'with an object cut short',
      (bucket) => put(bucket, database, 'the database, packe'),
      `${database} has 19 bytes; its manifest promises 20.`,
    ],
    [
      'with a flipped bit',
      (bucket) => put(bucket, database, 'the database, pacjed'),
      `${database} has the SHA-256 `,
    ],
    [
      'with the code of another',
      (bucket) => put(bucket, object('code.tar.zst'), 'tHe release, packed'),
      'code.tar.zst has the SHA-256 ',
    ],
    ['with half a manifest', (bucket) => put(bucket, key, '{"schema": 1'), 'is no manifest of this version'],
    ['with a manifest that says too little', rewritten({ databases: undefined }), 'databases: '],
    [
      'with a manifest that leads elsewhere',
      rewritten({ databases: [{ ...manifestOf().databases[0], object: '../../1/database-0.sqlite.zst' }] }),
      'databases.0.object: ',
    ],
    [
      'with the manifest of another operation',
      rewritten({ operation: '42-99-1-backup-staging' }),
      'is of 42-99-1',
    ],
    ['with the manifest of another app', rewritten({ app: 'other' }), 'for other in staging, not of'],
    [
      'with the manifest of production',
      rewritten({ environment: 'production' }),
      'isso in production, not of',
    ],
    ['with the manifest of another instance', rewritten({ instance: 'i-2' }), 'The manifest is of i-2.'],
    [
      'with a manifest of another tier',
      rewritten({ tier: 'monthly' }),
      'The manifest of tier monthly lies in daily.',
    ],
    [
      'from a host whose clock is an hour late',
      rewritten({ ended: night() + 2000 - 3_600_000 }),
      '60 minutes before S3 took the manifest: its clock is wrong.',
    ],
    [
      'from a host whose clock is a day ahead',
      rewritten({ ended: night(1) }),
      'minutes after S3 took the manifest: its clock is wrong.',
    ],
  ])('%s', async (_, spoil, problem) => {
    const bucket = new MemoryBucket();
    store(bucket);
    spoil(bucket);
    const found = await confirmBackup(bucket, key, owner);
    expect(found).toEqual({ confirmed: false, problem: expect.stringContaining(problem) });
  });

  test('where S3 keeps no SHA-256 of an object', async () => {
    const bucket = new MemoryBucket();
    store(bucket);
    const blind = { ...{ name: 'memory', read: (of: string) => bucket.read(of) } };
    const describe = async (of: string) => {
      const found = await bucket.describe(of);
      return found && { ...found, sha256: undefined };
    };
    expect(await confirmBackup({ ...blind, describe }, key, owner)).toMatchObject({
      problem: expect.stringContaining('S3 keeps no SHA-256'),
    });
  });

  test.each([
    ['backups/isso/staging/daily/20261123T020000Z-42-100-1-backup-staging/database-0.sqlite.zst'],
    ['backups/isso/staging/hourly/20261123T020000Z-42-100-1-backup-staging/manifest.json'],
    ['proven/isso/staging/20261123T020000Z-42-100-1-backup-staging/manifest.json'],
    ['../manifest.json'],
    [''],
  ])('at %j, which is no place for a manifest', async (place) => {
    expect(await confirmBackup(new MemoryBucket(), place, owner)).toMatchObject({
      problem: expect.stringContaining('no place for a manifest'),
    });
  });

  test('at the place of another environment', async () => {
    const place = key.replace('staging/', 'production/');
    expect(await confirmBackup(new MemoryBucket(), place, owner)).toMatchObject({
      problem: expect.stringContaining('for isso in production, not of'),
    });
  });
});
