// host/library/verify.sh knows no host: here it judges databases of this machine, by the manifest entry that describes them.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';

// Each runs programs, of a machine that may have much else to do.
jest.setTimeout(60_000);

const library = join(import.meta.dirname, '../../../host/library');
let folder: string;
let good: Buffer;

interface Entry {
  readonly tables: Readonly<Record<string, number>>;
  readonly [key: string]: unknown;
}

/** Runs bash with the library there; gives what it printed and its code. */
function bash(script: string): { told: string; code: number } {
  const start = `set -euo pipefail; . ${library}/data.sh; . ${library}/verify.sh; cd ${folder}\n`;
  try {
    return { told: execFileSync('bash', ['-c', start + script], { encoding: 'utf8' }).trim(), code: 0 };
  } catch (error) {
    const { stdout, status } = error as { stdout: string; status: number };
    return { told: stdout.trim(), code: status };
  }
}

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const described = (bytes: Uint8Array) => ({ size: bytes.length, sha256: digest(bytes) });

/** What a manifest says of a database. */
function describeBytes(bytes: Buffer, tables: Record<string, number>): Entry {
  writeFileSync(join(folder, 'described.db'), bytes);
  const numbers = { page_size: bytes.readUInt16BE(16), pages: bytes.length / bytes.readUInt16BE(16) };
  return {
    ...{ name: 'app.db', object: 'database-0.sqlite.zst', journal_mode: 'delete', ...numbers },
    ...{
      user_version: -7,
      schema: bash('schema_digest described.db').told,
      tables,
      foreign_key_violations: 1,
    },
    ...{ raw: described(bytes), packed: described(zstdCompressSync(bytes)) },
  };
}

/** What the levels say of packed bytes, judged by an entry; the first that does not pass ends it. */
function judge(packed: Uint8Array, entry: Entry): { told: string; code: number; level: number } {
  writeFileSync(join(folder, 'packed'), packed);
  writeFileSync(join(folder, 'entry'), JSON.stringify(entry));
  rmSync(join(folder, 'copy.db'), { force: true });
  const { told, code } = bash(`entry=$(<entry)
    read_database database-0.sqlite.zst "$(jq .raw.size entry)" words copy.db <packed
    for level in 2 3 4; do judge "$level" "$entry" copy.db words || { code=$?; echo "level $level"; exit "$code"; }; done`);
  return { told, code, level: Number(/level (\d)$/.exec(told)?.[1] ?? 4) };
}

const odd = `we"ird na'me
ü`;
const tables = { parents: 1, children: 2, [odd]: 0, kept: 1 };

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-verify-'));
  const database = new DatabaseSync(join(folder, 'good.db'));
  database.exec(
    `PRAGMA foreign_keys = OFF; CREATE TABLE parents (id INTEGER PRIMARY KEY);
    CREATE TABLE children (parent REFERENCES parents (id), text); CREATE INDEX by_text ON children (text);
    CREATE TABLE "${odd.replace('"', '""')}" (x); CREATE TABLE kept (x) WITHOUT ROWID;`.replace(
      'kept (x)',
      'kept (x PRIMARY KEY)',
    ),
  );
  database.exec(`INSERT INTO parents VALUES (1); INSERT INTO children VALUES (1, 'one'), (2, 'without a parent');
    INSERT INTO kept VALUES (1); CREATE VIRTUAL TABLE searched USING fts5 (text); PRAGMA user_version = -7;`);
  database.close();
  good = readFileSync(join(folder, 'good.db'));
});

afterAll(() => rmSync(folder, { recursive: true }));

test('a good database passes: virtual tables are not counted, odd names are, and broken references as they were', () => {
  expect(judge(zstdCompressSync(good), describeBytes(good, tables))).toMatchObject({ code: 0 });
});

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

/** Sound in all its bytes, and not in what they mean: as a database that was bad before it was copied. */
const bad = (bytes: Buffer) => [zstdCompressSync(bytes), describeBytes(bytes, tables)] as const;

describe('a bad one is refused', () => {
  const faults: [fault: string, level: number, words: string, () => readonly [Uint8Array, Entry]][] = [
    [
      'a flipped bit of the packed bytes',
      2,
      'packed bytes is',
      () => [flipped(zstdCompressSync(good), 50), describeBytes(good, tables)],
    ],
    [
      'a flipped bit, packed again',
      2,
      'bytes',
      () => [zstdCompressSync(flipped(good, 5000)), describeBytes(good, tables)],
    ],
    [
      'one byte short',
      2,
      'packed bytes, not',
      () => [zstdCompressSync(good).subarray(0, -1), describeBytes(good, tables)],
    ],
    [
      'one byte more than was promised, unpacked',
      2,
      'bytes, not',
      () => {
        const longer = zstdCompressSync(Buffer.concat([good, Buffer.alloc(100_000_000)]));
        return [longer, { ...describeBytes(good, tables), packed: described(longer) }];
      },
    ],
    ['no bytes', 2, 'it has 0 packed bytes', () => [new Uint8Array(), describeBytes(good, tables)]],
    ['no database', 3, 'not a database', () => bad(Buffer.alloc(8192, 'text'))],
    ['a damaged page', 3, 'integrity_check says', () => bad(good.fill(0, 4096 * 2, 4096 * 2 + 100))],
    ['a page short', 3, '', () => bad(good.subarray(0, -4096))],
    [
      'other broken references',
      3,
      'rows break a foreign key',
      () => [zstdCompressSync(good), { ...describeBytes(good, tables), foreign_key_violations: 0 }],
    ],
    [
      'a row more',
      4,
      'table children has 2 rows, not 3; 1 differ',
      () => [zstdCompressSync(good), describeBytes(good, { ...tables, children: 3 })],
    ],
    [
      'a table more',
      4,
      'table gone has no rows, not 0',
      () => [zstdCompressSync(good), describeBytes(good, { ...tables, gone: 0 })],
    ],
    [
      'a table less',
      4,
      'table parents has 1 rows, not any',
      () => [zstdCompressSync(good), describeBytes(good, { children: 2, [odd]: 0, kept: 1 })],
    ],
    [
      'another user_version',
      4,
      'are 4096',
      () => [zstdCompressSync(good), { ...describeBytes(good, tables), user_version: 7 }],
    ],
    [
      'another schema',
      4,
      'its schema is',
      () => [zstdCompressSync(good), { ...describeBytes(good, tables), schema: 'a'.repeat(64) }],
    ],
  ];

  test.each(faults)('%s, at level %i', (_, level, words, make) => {
    good = readFileSync(join(folder, 'good.db'));
    const found = judge(...make());
    expect(found).toMatchObject({ code: 1, level });
    expect(found.told).toContain(words);
  });
});

test('what could not be written or read is no verdict on the backup', () => {
  good = readFileSync(join(folder, 'good.db'));
  const entry = describeBytes(good, tables);
  writeFileSync(join(folder, 'entry'), JSON.stringify(entry));
  writeFileSync(join(folder, 'packed'), zstdCompressSync(good));
  const unwritten = { told: 'its unpacked bytes could not be written', code: 2 };
  expect(
    bash(`read_database x.zst ${good.length} words /dev/full <packed 2>/dev/null
      judge 2 "$(<entry)" copy.db words`),
  ).toEqual(unwritten);
  expect(
    bash(`read_archive x.zst ${good.length} words dd of=/dev/full status=none <packed 2>/dev/null
      judge 2 "$(<entry)" '' words`),
  ).toEqual(unwritten);
  expect(bash('judge 3 "$(<entry)" missing.db words').code).toBe(2);
  expect(bash('verify_as=(env PATH=/nowhere); judge 3 "$(<entry)" good.db words').code).toBe(2);
});

// Which of the two reads, and what it wrote; an archive is only listed, here by counting its bytes.
test.each([
  [
    'a database',
    'read_database database-0.sqlite.zst 100000 words bomb.db',
    'stat --format=%s bomb.db',
    '100352',
  ],
  ['an archive', 'read_archive files.tar.zst 100000 words sh -c "wc -c >bomb"', 'cat bomb', '100001'],
])('of %s no more than what was promised is written, but for less than a KiB', (_, read, size, told) => {
  writeFileSync(join(folder, 'packed'), zstdCompressSync(Buffer.alloc(100_000_000)));
  expect(bash(`${read} <packed; ${size}`)).toEqual({ told, code: 0 });
});

describe('the negative control', () => {
  const control = (before: string) => {
    good = readFileSync(join(folder, 'good.db'));
    judge(zstdCompressSync(good), describeBytes(good, tables));
    return bash(`${before}\ncontrol_passes "$(<entry)" copy.db words control.db`);
  };

  test('does not pass a verification that works', () => {
    expect(control(':')).toEqual({ told: '', code: 1 });
  });

  test.each([
    [2, 'bytes_agree() { :; }'],
    [3, 'is_sound() { :; }'],
    [4, 'holds_the_same() { :; }'],
  ])('passes one whose level %i finds everything good', (level, broken) => {
    const { told, code } = control(broken);
    expect(code).toBe(0);
    expect(told).toContain(`level ${level} passed`);
  });
});

test('a foreign key that points at no table says nothing of a backup, as when it was made', () => {
  rmSync(join(folder, 'mismatched.db'), { force: true });
  const database = new DatabaseSync(join(folder, 'mismatched.db'));
  database.exec(`PRAGMA foreign_keys = OFF; CREATE TABLE parents (id, name);
    CREATE TABLE children (parent REFERENCES parents (id)); INSERT INTO children VALUES (1);`);
  database.close();
  const bytes = readFileSync(join(folder, 'mismatched.db'));
  const told = describeBytes(bytes, { parents: 0, children: 1 });
  const entry = { ...told, user_version: 0, foreign_key_violations: null };
  expect(judge(zstdCompressSync(bytes), entry)).toMatchObject({ code: 0, level: 4 });
  expect(judge(zstdCompressSync(bytes), { ...entry, foreign_key_violations: 0 })).toMatchObject({
    code: 1,
    level: 3,
  });
});

test('more tables than one statement of SQLite takes are counted', () => {
  const database = new DatabaseSync(join(folder, 'many.db'));
  const statements = Array.from({ length: 1100 }, (_, index) => `CREATE TABLE t${index} (x);`).join('');
  database.exec(`BEGIN; ${statements} INSERT INTO t7 VALUES (1), (2); COMMIT`);
  database.close();
  const { told } = bash('rows_of many.db');
  const rows = JSON.parse(told) as Record<string, number>;
  expect(Object.keys(rows).length).toBe(1100);
  expect(rows['t7']).toBe(2);
});

describe('a manifest is not believed', () => {
  const problem = (change: object) => {
    good = readFileSync(join(folder, 'good.db'));
    const digits = 'a'.repeat(64);
    const manifest = {
      ...{ schema: 1, app: 'shop', environment: 'staging', operation: 'operation-1', release: digits },
      ...{ databases: [describeBytes(good, tables)], files: null, code: null },
      ...{ release_description: { data: { include: ['uploads'] } } },
    };
    writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ ...manifest, ...change }));
    return bash('manifest_problem manifest.json').told;
  };
  const database = (change: object) => ({ databases: [{ ...describeBytes(good, tables), ...change }] });

  test('unless it is as it should be', () => {
    expect(problem({})).toBe('');
  });

  test.each([
    ['a path that leads out', () => database({ name: '../app.db' })],
    ['a path from the root', () => database({ name: '/etc/shadow' })],
    ['an object elsewhere', () => database({ object: '../database-0.sqlite.zst' })],
    ['a number that bash would run', () => database({ raw: { size: 'a[$(id)]', sha256: 'a'.repeat(64) } })],
    ['a digest that is none', () => database({ packed: { size: 1, sha256: 'x' } })],
    ['a line break in a name', () => database({ name: 'app\n.db' })],
    ['an include that leads out', () => ({ release_description: { data: { include: ['../..'] } } })],
    ['another schema', () => ({ schema: 2 })],
    ['a release that is none', () => ({ release: 'current' })],
  ])('%s', (_, change) => {
    expect(problem(change())).not.toBe('');
  });
});
