import { sha256, toJson } from '../../../src/aws/bucket.ts';
import { type Manifest, promisedBy } from '../../../src/backup/manifest.ts';
import type { Told } from '../../../src/operation/summary.ts';
import type { MemoryBucket } from '../aws/memory-bucket.ts';

export const owner = {
  ...{ app: 'isso', environment: 'staging' },
  ...{ operation: '42-100-1-backup-staging', instance: 'i-1' },
};

const packed = (text: string) => ({ size: Buffer.byteLength(text), sha256: sha256(Buffer.from(text)) });

/** What was stored of each object. */
const bytes: Readonly<Record<string, string>> = {
  'database-0.sqlite.zst': 'the database, packed',
  'code.tar.zst': 'the release, packed',
};

/** 02:00 on a day of November 2026, or so many days later. */
export const night = (day = 0) => Date.UTC(2026, 10, 23 + day, 2);

export function manifestOf(change: Partial<Manifest> = {}, time = night()): Manifest {
  return {
    ...{ schema: 1, ...owner, tier: 'daily', release: 'f'.repeat(64), commit: 'c'.repeat(40) },
    ...{ started: time, copied: time + 100, ended: time + 2000, sqlite: '3.40.1' },
    databases: [
      {
        ...{ name: 'comments.db', object: 'database-0.sqlite.zst', journal_mode: 'delete' },
        ...{ page_size: 4096, pages: 25, user_version: 3, schema: 'a'.repeat(64) },
        ...{ tables: { comments: 1200, threads: 7 }, newest: { 'comments.created': '2026-11-23' } },
        ...{ foreign_key_violations: 0, raw: { size: 102_400, sha256: 'b'.repeat(64) } },
        packed: packed(bytes['database-0.sqlite.zst'] ?? ''),
      },
    ],
    files: null,
    code: {
      ...{ object: 'code.tar.zst', count: 12, raw: { size: 2048, sha256: 'd'.repeat(64) } },
      packed: packed(bytes['code.tar.zst'] ?? ''),
    },
    hold_ms: 35,
    phases: [
      { name: 'copy', ms: 300 },
      { name: 'upload', ms: 1200 },
    ],
    ...change,
  };
}

export function keyOf({ operation, tier }: Manifest, time = night()): string {
  const stamp = new Date(time).toISOString().replace(/[-:]|\.\d+/g, '');
  return `backups/isso/staging/${tier}/${stamp}-${operation}/manifest.json`;
}

/** Puts a backup into a bucket as a host does, and gives its manifest's key. */
export function store(bucket: MemoryBucket, manifest = manifestOf(), time = night()): string {
  const key = keyOf(manifest, time);
  const prefix = key.slice(0, -'manifest.json'.length);
  for (const { object } of promisedBy(manifest)) put(bucket, prefix + object, bytes[object] ?? '', time);
  put(bucket, key, toJson(manifest).toString(), time + 2000);
  return key;
}

export function put(bucket: MemoryBucket, key: string, text: string, time = night()): void {
  bucket.objects.set(key, Buffer.from(text));
  bucket.modified.set(key, time);
}

/** What a host says of its backup. */
export function says(change: Partial<Told> = {}): Told {
  return {
    ...{ instance: 'i-1', result: 'done', reason: 'backed-up', sentence: 'Stored.', todo: 'Nothing.' },
    ...{ met: false, release: '', previous: '', details: '', open: false, more: undefined },
    ...{ bucket: 'memory', manifest: keyOf(manifestOf()), ...change },
  };
}
