import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { type Bucket, openBucket } from '../../src/aws/bucket.ts';
import { confirmBackup } from '../../src/backup/confirm.ts';
import type { Manifest } from '../../src/backup/manifest.ts';
import { type ListedBackup, listBackups, placeOf } from '../../src/backup/place.ts';
import type { Staging } from './staging.ts';

const bucketOf = ({ account, app }: Staging): Bucket =>
  openBucket({ s3: account.s3, s3Now: Date.now }, `${app}-understudy-backups`);

/** The committed backups of an app's staging, the newest first. */
export function backupsOf(staging: Staging): Promise<ListedBackup[]> {
  return listBackups(bucketOf(staging), staging.app, 'staging');
}

/** A backup as an operator finds it in the bucket: every object by size and digest. */
export async function openBackup(staging: Staging, key: string): Promise<Manifest> {
  const { operation = '' } = placeOf(key) ?? {};
  const owner = { app: staging.app, environment: 'staging', operation, instance: staging.host.id };
  const found = await confirmBackup(bucketOf(staging), key, owner);
  assert.ok(found.confirmed, found.confirmed ? '' : found.problem);
  return found.manifest;
}

/** Values of one column of a backup's first database, which is unpacked and asked as SQLite's own code finds it. */
export async function columnOf(staging: Staging, key: string, query: string): Promise<string[]> {
  const [{ object } = { object: '' }] = (await openBackup(staging, key)).databases;
  const packed = await bucketOf(staging).read(key.replace('manifest.json', object));
  assert.ok(packed, `${object} is gone`);
  const folder = await mkdtemp(join(tmpdir(), 'understudy-backup-'));
  try {
    const file = join(folder, 'database');
    await writeFile(
      file,
      object.endsWith('.zst') ? zstdDecompressSync(packed.bytes) : gunzipSync(packed.bytes),
    );
    const database = new DatabaseSync(file, { readOnly: true });
    const [verdict] = database.prepare('PRAGMA integrity_check').all();
    assert.deepEqual({ ...verdict }, { integrity_check: 'ok' });
    const values = database
      .prepare(query)
      .all()
      .map((row) => String(Object.values(row)[0]));
    database.close();
    return values;
  } finally {
    await rm(folder, { recursive: true });
  }
}
