// Backups as a host stores them, and such as were made bad on purpose.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { zstdCompressSync } from 'node:zlib';
import { PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { run } from '../../rehearsal/ground/run.ts';
import { compactTime } from '../../src/aws/time.ts';

export interface Backup {
  readonly key: string;
  readonly manifest: Manifest;
}

interface Database {
  object: string;
  schema: string;
  tables: Record<string, number>;
  raw: Bytes;
  packed: Bytes;
  [more: string]: unknown;
}

interface Bytes {
  size: number;
  sha256: string;
}

interface Manifest {
  databases: [Database];
  ended: number;
  [more: string]: unknown;
}

/** How a backup is made bad: its rows, its bytes before and after they are packed, its manifest, and what is stored of it. */
export interface Damage {
  readonly sql?: string;
  readonly raw?: (bytes: Buffer) => Buffer;
  readonly packed?: (bytes: Buffer) => Buffer;
  readonly manifest?: (manifest: Manifest) => void;
  readonly stored?: (bytes: Buffer) => Buffer | undefined;
}

const bytesOf = (bytes: Buffer): Bytes => ({
  size: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
});

const same = (bytes: Buffer): Buffer => bytes;

/** The code that a backup holds: a tar of a release's folder, and what the release says of itself. */
export interface Code {
  readonly tar: Buffer;
  /** Members of it. */
  readonly count: number;
  readonly description: object;
}

interface Place {
  readonly s3: S3Client;
  readonly Bucket: string;
  readonly app: string;
  readonly environment: string;
  /** A folder for what is made on the way. */
  readonly work: string;
  /** The name of the database; visits.db when absent. */
  readonly name?: string;
  readonly code?: Code;
}

/** The backups of an environment. */
export class Backups {
  readonly #place: Place;
  #made = 0;

  constructor(place: Place) {
    this.#place = place;
  }

  /** Stores a backup as a host does, the newest of all; what is not damaged about it is right. */
  async make(damage: Damage = {}): Promise<Backup> {
    const { app, environment, code, name = 'visits.db' } = this.#place;
    // S3 tells whole seconds, and the newest is the one it took last.
    await sleep(1_100);
    this.#made += 1;
    const { bytes, ...told } = await this.#database(damage.sql ?? '');
    const raw = (damage.raw ?? same)(bytes);
    const packed = (damage.packed ?? same)(zstdCompressSync(raw));
    const packedCode = code && zstdCompressSync(code.tar);
    const now = Date.now();
    const operation = `42-${this.#made}-1-backup-${environment}`;
    const manifest: Manifest = {
      ...{ schema: 1, app, environment, tier: 'daily', operation, instance: 'i-0123456789abcdef0' },
      ...{ release: 'f'.repeat(64), commit: 'c'.repeat(40), started: now, copied: now, ended: now },
      ...{ understudy: 1, sqlite: '3.40.1', files: null, code: null, hold_ms: 3, phases: [] },
      release_description: { data: { include: [] }, ...code?.description },
      databases: [
        {
          ...{ name, object: 'database-0.sqlite.zst', journal_mode: 'delete', user_version: 0, newest: {} },
          ...{ ...told, foreign_key_violations: 0, raw: bytesOf(raw), packed: bytesOf(packed) },
        },
      ],
      ...(code &&
        packedCode && {
          code: {
            ...{ object: 'code.tar.zst', count: code.count },
            ...{ raw: bytesOf(code.tar), packed: bytesOf(packedCode) },
          },
        }),
    };
    damage.manifest?.(manifest);
    const prefix = `backups/${app}/${environment}/daily/${compactTime(now)}-${operation}/`;
    const stored = (damage.stored ?? same)(packed);
    if (stored) await this.#put(`${prefix}database-0.sqlite.zst`, stored);
    if (packedCode) await this.#put(`${prefix}code.tar.zst`, packedCode);
    await this.#put(`${prefix}manifest.json`, Buffer.from(JSON.stringify(manifest)));
    return { key: `${prefix}manifest.json`, manifest };
  }

  async #database(sql: string) {
    const file = join(this.#place.work, `${this.#made}.db`);
    const database = new DatabaseSync(file);
    database.exec(`CREATE TABLE visits (name); CREATE TABLE people (id INTEGER PRIMARY KEY, mail);
      INSERT INTO people (mail) VALUES ('ada@example.com'), ('grace@example.com');
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${3000 + this.#made})
        INSERT INTO visits SELECT 'visit ' || i FROM n; ${sql}`);
    const numberOf = (query: string): number => Number(Object.values(database.prepare(query).get() ?? {})[0]);
    const names = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    const tables = Object.fromEntries(
      names.map(({ name: table }) => [String(table), numberOf(`SELECT count(*) FROM "${table}"`)]),
    );
    const [pages, page_size] = [numberOf('PRAGMA page_count'), numberOf('PRAGMA page_size')];
    database.close();
    const asked = 'SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY sql; PRAGMA user_version;';
    const schema = bytesOf(Buffer.from(await run(['sqlite3', file, asked]))).sha256;
    return { bytes: await readFile(file), schema, tables, pages, page_size };
  }

  async #put(Key: string, Body: Buffer): Promise<void> {
    const { s3, Bucket } = this.#place;
    await s3.send(new PutObjectCommand({ Bucket, Key, Body, ChecksumAlgorithm: 'SHA256' }));
  }
}
