import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Manifest } from '../../../src/backup/manifest.ts';
import type { Unpacked } from '../../../src/drill/climb.ts';
import { unpackHere } from '../../../src/drill/runner.ts';
import { MemoryBucket } from '../aws/memory-bucket.ts';
import { manifestOf, put, store } from '../backup/stored.ts';

// The real script and the real sqlite3, on a bucket that does as S3 does on a bad day.

let work: string;
let bytes: Buffer;
let manifest: Manifest;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'understudy-unpack-'));
  const file = join(work, 'app.db');
  const database = new DatabaseSync(file);
  database.exec(`CREATE TABLE notes (text); CREATE INDEX by_text ON notes (text);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO notes SELECT 'note ' || i FROM n;`);
  const pages = Number(database.prepare('PRAGMA page_count').get()?.['page_count']);
  const schema = database.prepare('SELECT sql FROM sqlite_master ORDER BY sql').all();
  database.close();
  const raw = await readFile(file);
  bytes = gzipSync(raw);
  const digest = (of: Buffer | string) => createHash('sha256').update(of).digest('hex');
  const [like] = manifestOf().databases;
  if (!like) throw new Error('the manifest has no database');
  const one = {
    ...{ ...like, name: 'app.db', object: 'database-0.sqlite.gz', page_size: 4096, pages, user_version: 0 },
    ...{
      tables: { notes: 5000 },
      newest: {},
      schema: digest(`${schema.map(({ sql }) => sql).join('\n')}\n0\n`),
    },
    ...{
      raw: { size: raw.length, sha256: digest(raw) },
      packed: { size: bytes.length, sha256: digest(bytes) },
    },
  };
  const description = { release_description: { data: { include: [] } } };
  manifest = { ...manifestOf({ databases: [one], code: null }), ...description };
});

afterAll(() => rm(work, { recursive: true }));

/** Unpacks the backup from a bucket that opens its object like this, the first time, the second time, and so on. */
async function unpack(
  ...opens: (() => Readable)[]
): Promise<{ unpacked: Unpacked; opened: number; left: boolean }> {
  const bucket = new MemoryBucket();
  const key = store(bucket, manifest);
  put(bucket, key.replace('manifest.json', 'database-0.sqlite.gz'), '');
  let opened = 0;
  const open = async (): Promise<Readable> => {
    opened += 1;
    return (opens[opened - 1] ?? opens.at(-1) ?? whole)();
  };
  const folder = join(work, 'scratch');
  const { signal } = new AbortController();
  const bench = { bucket: { read: bucket.read.bind(bucket), open }, folder, signal, stallMs: 300 };
  const unpacked = await unpackHere(bench)(key, manifest, 4);
  return { unpacked, opened, left: existsSync(folder) };
}

const whole = () => Readable.from([bytes.subarray(0, 1000), bytes.subarray(1000)]);
const broken = () =>
  Readable.from(
    (async function* () {
      yield bytes.subarray(0, 1000);
      throw new Error('the connection was reset');
    })(),
  );
const silent = () => {
  const stream = new Readable({ read: () => undefined });
  stream.push(bytes.subarray(0, 1000));
  return stream;
};
const short = () => Readable.from([bytes.subarray(0, -1)]);

const verdicts = ({ levels }: Unpacked) => levels.map(({ level, verdict }) => `${level} ${verdict}`);

describe('unpacking on this machine', () => {
  test('passes a good backup, refuses a damaged copy of it, and leaves nothing', async () => {
    const { unpacked, opened, left } = await unpack(whole);
    expect(verdicts(unpacked)).toEqual(['2 passed', '3 passed', '4 passed']);
    expect(unpacked.control).toBe('refused');
    expect([opened, left]).toEqual([1, false]);
  });

  test('begins again when the connection breaks', async () => {
    const { unpacked, opened } = await unpack(broken, whole);
    expect(verdicts(unpacked)).toEqual(['2 passed', '3 passed', '4 passed']);
    expect(opened).toBe(2);
  }, 30_000);

  test.each([
    ['breaks each time', broken, 'the connection was reset.'],
    ['falls silent', silent, 'S3 sent nothing for 300 ms.'],
  ])(
    'says nothing about the backup when the connection %s',
    async (_, open, evidence) => {
      const { unpacked, opened, left } = await unpack(open);
      expect(verdicts(unpacked)).toEqual(['2 could-not-run']);
      expect(unpacked.levels[0]?.evidence).toBe(evidence);
      expect(unpacked.control).toBeUndefined();
      expect([opened, left]).toEqual([3, false]);
    },
    30_000,
  );

  test('takes the digest of all bytes also where they cannot be unpacked', async () => {
    const chunk = Buffer.alloc(1 << 20, 'no gzip');
    const { unpacked, opened } = await unpack(() => Readable.from([chunk, chunk, chunk, chunk]));
    expect(verdicts(unpacked)).toEqual(['2 failed']);
    expect(unpacked.levels[0]?.evidence).toContain('it has 4194304 packed bytes, not');
    expect(opened).toBe(1);
  });

  test('fails a backup of which S3 holds a byte less than was promised', async () => {
    const { unpacked } = await unpack(short);
    expect(verdicts(unpacked)).toEqual(['2 failed']);
    expect(unpacked.levels[0]?.evidence).toBe(
      `database-0.sqlite.gz: it has ${bytes.length - 1} packed bytes, not ${bytes.length}`,
    );
  });
});
