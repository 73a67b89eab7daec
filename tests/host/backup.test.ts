// A backup on a real host: what is in it, what it is called, what is refused, and what stays on the host.
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Backups, type Database, shared, state } from './backups.ts';
import { type Host, lowerHost, raiseHost } from './ground.ts';

jest.setTimeout(120_000);

let host: Host;
let backups: Backups;

beforeAll(async () => {
  const ground = await raiseHost();
  host = ground.host;
  backups = await Backups.raise(ground);
  expect(await backups.make()).toMatchObject({ result: 'refused', reason: 'backup-precondition', code: 13 });
  const live = await host.deploy({
    version: 'live',
    also: 'mkdir -p logs static; echo x | tee logs/old static/page >/dev/null',
  });
  expect(live).toMatchObject({ result: 'done' });
  await host.sql("INSERT INTO notes VALUES ('first')");
  expect(await backups.make()).toMatchObject({ result: 'done' });
}, 120_000);

afterAll(lowerHost, 60_000);

/** Runs Python as the app's user, in its shared folder. */
const asApp = (program: string) =>
  host.shell(`cd ${shared}; runuser -u shop -- python3 - <<'END'\n${program}\nEND`);

function named<Each extends { readonly name: string }>(list: readonly Each[], name: string): Each {
  const found = list.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

const members = (tar: Buffer) =>
  host.shell(`base64 -d <<'END' | tar -tf - --quoting-style=escape | sort\n${tar.toString('base64')}\nEND`);

describe('a good backup', () => {
  const odd = `it's "my" data/bl\u00f6d \u{1f4a9}.db`;

  beforeAll(async () => {
    await asApp(`import os, sqlite3
os.mkdir("it's \\"my\\" data")
def make(path, *statements):
    connection = sqlite3.connect(path)
    for statement in statements: connection.execute(statement)
    connection.commit()
    connection.close()
make("""${odd}""", 'PRAGMA user_version = 7', """CREATE TABLE "a'b ""c"" [d] ; --" (x)""",
    """INSERT INTO "a'b ""c"" [d] ; --" VALUES (1), (2)""", 'CREATE VIRTUAL TABLE search USING fts5(text)',
    "INSERT INTO search VALUES ('found')", 'CREATE TABLE parents (id integer primary key)',
    'CREATE TABLE children (of REFERENCES parents)', 'INSERT INTO children VALUES (5)')
make('many.db', *[f'CREATE TABLE table_with_a_rather_long_name_{n} (created)' for n in range(200)],
    "INSERT INTO table_with_a_rather_long_name_3 VALUES ('2026-11-23T01:02:03Z'), ('2026-11-22')")
make('cell.db', 'PRAGMA journal_mode = wal', 'CREATE TABLE blobs (cell)', 'INSERT INTO blobs VALUES (randomblob(20 << 20))')
os.makedirs('uploads/of users/tmp')
for name in ['uploads/of users/a\\u00e9 "1".txt', 'uploads/of users/tmp/no', 'uploads/no.db-wal', 'logs']:
    open(name, 'w').write('text')
make('uploads/no.db', 'CREATE TABLE t (x)')`);
    // 64 MiB are far beyond any checkpoint, and nobody makes one; 500 are a row of docs/torture-backup.md.
    await host.shell(`systemd-run --quiet --unit=holder --uid=shop --working-directory=${shared} python3 -c "
import sqlite3, time
connection = sqlite3.connect('wal.db')
connection.execute('PRAGMA journal_mode = wal')
connection.execute('PRAGMA wal_autocheckpoint = 0')
connection.execute('CREATE TABLE rows (number, load)')
for number in range(64):
    with connection: connection.execute('INSERT INTO rows VALUES (?, randomblob(1 << 20))', (number,))
open('/tmp/written', 'w')
time.sleep(600)"`);
    await host.until('test -e /tmp/written');
    const names = JSON.stringify(['app.db', odd, 'many.db', 'cell.db', 'wal.db', 'uploads/no.db']).replaceAll(
      "'",
      "'\\''",
    );
    await backups.describe(`.data.databases = ${names} | .data.include = ["uploads", "not there yet"]
      | .data.exclude = ["logs", "uploads/of users/tmp"]
      | .data.newest = {"many.db": ["table_with_a_rather_long_name_3.created", "table_with_a_rather_long_name_4.created", "no.such"]}`);
  });

  afterAll(async () => {
    await host.shell(
      `systemctl stop holder; rm -rf ${shared}/it* ${shared}/{many,cell,wal}.db* ${shared}/uploads`,
    );
    await backups.describe('.data = {databases: ["app.db"], include: [], exclude: []}');
  });

  test('holds each database, the files and the code, and its manifest tells what is in them', async () => {
    expect(Number(await host.shell(`stat -c %s ${shared}/wal.db-wal`))).toBeGreaterThan(64 << 20);
    await host.shell(`rm -r ${state}/backups.json ${state}/copies`);
    const result = await backups.make();
    expect(result).toMatchObject({
      result: 'done',
      reason: 'backed-up',
      code: 0,
      bucket: backups.bucket,
      databases: 6,
    });
    const manifest = await backups.manifest(result);
    const { databases, files, code } = manifest;
    const ask = (name: string, question: string) => backups.ask(result, named(databases, name), question);

    expect(await ask('app.db', 'SELECT note FROM notes')).toEqual([{ note: 'first' }]);
    expect(named(databases, odd)).toMatchObject({
      tables: { [`a'b "c" [d] ; --`]: 2, parents: 0, children: 1 },
      ...{ journal_mode: 'delete', user_version: 7, foreign_key_violations: 1, page_size: 4096 },
    } satisfies Partial<Database>);
    expect(Object.keys(named(databases, odd).tables)).toHaveLength(3);
    expect(await ask(odd, "SELECT text FROM search WHERE search MATCH 'found'")).toHaveLength(1);
    expect(Object.keys(named(databases, 'many.db').tables)).toHaveLength(200);
    expect(named(databases, 'many.db').newest).toEqual({
      'table_with_a_rather_long_name_3.created': '2026-11-23T01:02:03Z',
      'table_with_a_rather_long_name_4.created': null,
      'no.such': null,
    });
    expect(await ask('cell.db', 'SELECT length(cell) AS bytes FROM blobs')).toEqual([{ bytes: 20 << 20 }]);
    expect(named(databases, 'wal.db')).toMatchObject({ journal_mode: 'wal', tables: { rows: 64 } });
    expect(await ask('wal.db', 'SELECT count(*) AS rows, sum(length(load)) AS bytes FROM rows')).toEqual([
      { rows: 64, bytes: 64 << 20 },
    ]);
    expect(result['rows']).toBe(1 + 3 + 2 + 1 + 64);

    if (files === null) throw new Error('no files');
    const inFiles = (await members(await backups.unpacked(result, files))).split('\n');
    expect(inFiles).toEqual(['./uploads/', './uploads/of users/', './uploads/of users/a\u00e9 "1".txt']);
    expect(files.count).toBe(3);
    const inCode = (await members(await backups.unpacked(result, code))).split('\n');
    expect(inCode).toEqual(expect.arrayContaining(['./app.py', './.understudy/run', './static/page']));
    expect(inCode).toHaveLength(code.count);
    expect(inCode.filter((name) => name.includes('logs'))).toEqual([]);

    expect(manifest).toMatchObject({
      ...{ schema: 1, app: 'shop', environment: 'staging', tier: 'monthly', operation: result['operation'] },
      ...{ instance: host.instanceId, commit: 'a'.repeat(40), understudy: 1, sqlite: '3.40.1' },
      release_description: { app: 'shop', data: { include: ['uploads', 'not there yet'] } },
    });
    expect(manifest.started).toBeLessThanOrEqual(manifest.copied);
    expect(manifest.copied).toBeLessThan(manifest.ended);
    expect((await host.details(result)) as unknown).toMatchObject({ backup: manifest });
    const [line, mode] = (
      await host.shell(
        `wc -c <${state}/operations/${String(result['operation'])}/line; stat -c %U:%a ${state}/copies`,
      )
    ).split('\n');
    expect(Number(line)).toBeLessThanOrEqual(2000);
    expect(mode).toBe('root:700');
    expect(await backups.leftBehind()).toBe('');
    expect(await backups.kept()).toEqual([String(result['manifest']).split('/').at(-2)]);
  });

  test('is sealed by gzip and sha256sum where there is nothing better', async () => {
    await host.shell('mkdir -p /root/kept; mv /usr/bin/zstd /usr/bin/openssl /root/kept/');
    await backups.describe('.data = {databases: ["app.db"], include: [], exclude: []}');
    const result = await backups.make();
    await host.shell('mv /root/kept/* /usr/bin/');
    const { databases, code } = await backups.manifest(result);
    expect(code.object).toBe('code.tar.gz');
    expect(await backups.ask(result, named(databases, 'app.db'), 'SELECT note FROM notes')).toHaveLength(1);
  });
});

describe('what is refused', () => {
  const bad = `${shared}/bad.db`;

  afterAll(() => backups.describe('.data.databases = ["app.db"] | .data.include = []'));

  test.each([
    ['missing', 'true', 'is not there'],
    ['an empty file', `touch ${bad}`, 'is an empty file'],
    ['a directory', `mkdir ${bad}`, 'is no file but a directory'],
    ['a pipe', `mkfifo ${bad}`, 'is no file but a fifo'],
    [
      'a link that leads out',
      `sqlite3 /tmp/out.db 'CREATE TABLE t (x)'; ln -s /tmp/out.db ${bad}`,
      'leads out of shared/',
    ],
    ['a database without a table', `sqlite3 ${bad} 'PRAGMA user_version = 1; VACUUM'`, 'holds no table'],
    [
      'not readable',
      `sqlite3 ${bad} 'CREATE TABLE t (x)'; chmod 000 ${bad}`,
      'cannot be read by the user of the app',
    ],
    ['no database', `head -c 5000 /dev/urandom >${bad}`, 'is no SQLite database'],
  ])('a database that is %s', async (_, make, says) => {
    await host.shell(`rm -rf ${bad}*; ${make}; chown -h shop ${bad} 2>/dev/null || true`);
    await backups.describe('.data.databases = ["app.db", "bad.db"]');
    const before = await backups.kept();
    const result = await backups.make();
    expect(result.sentence).toContain(`bad.db ${says}`);
    expect(result).toMatchObject({ reason: 'backup-precondition', code: 13 });
    expect(result.sentence).toMatch(
      /Nothing live was changed; the newest good backup from here is backups\/shop\//,
    );
    expect(await backups.leftBehind()).toBe('');
    expect(await backups.kept()).toEqual(before);
  });

  test('a damaged database, whose pages the copy takes along', async () => {
    await host.shell(`rm -rf ${bad}*; sqlite3 ${bad} 'CREATE TABLE t (x); CREATE INDEX i ON t (x);
      WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 5000) INSERT INTO t SELECT x FROM n'
      printf '\\377\\377\\377\\377' | dd of=${bad} bs=1 seek=20485 conv=notrunc status=none; chown shop ${bad}`);
    await backups.describe('.data.databases = ["app.db", "bad.db"]');
    const result = await backups.make();
    expect(result).toMatchObject({ result: 'failed', reason: 'verification-failed', code: 14 });
    expect(result.sentence).toMatch(/The copy of bad.db is not sound: integrity_check says: .*(page|row)/i);
    expect(await backups.leftBehind()).toBe('');
  });

  test('to include what leads out', async () => {
    await host.shell(`ln -sfn /etc ${shared}/out`);
    await backups.describe('.data.databases = ["app.db"] | .data.include = ["out/ssl"]');
    const result = await backups.make();
    expect(result).toMatchObject({ result: 'refused', reason: 'backup-precondition', code: 13 });
    await backups.describe('.data.include = []');
  });

  test('to hold the writers of a rollback journal for more than half of what they wait', async () => {
    await host.shell(
      `rm -rf ${bad}*; sqlite3 ${bad} 'CREATE TABLE t AS SELECT randomblob(8 << 20)'; chown shop ${bad}`,
    );
    await backups.describe('.data.databases = ["app.db", "bad.db"] | .data.busy_timeout_ms = 2');
    const result = await backups.make();
    expect(result).toMatchObject({ result: 'refused', reason: 'too-long-a-hold', code: 17 });
    expect(result.sentence).toMatch(
      /bad.db.* for about \d+ ms, and the app waits 2 ms.*PRAGMA journal_mode = WAL/,
    );
    await backups.describe('.data.busy_timeout_ms = 60000');
    const held = await backups.make();
    expect(held).toMatchObject({ result: 'done' });
    expect(held['hold_ms']).toBeGreaterThan(0);
    const { steps } = await host.details(held);
    expect(named(steps, 'hold').note).toMatch(/^holds writers of bad.db for about \d+ ms$/);
    await host.shell(`sqlite3 ${bad} 'PRAGMA journal_mode = wal'`);
    await backups.describe('.data.busy_timeout_ms = 2');
    expect(await backups.make()).toMatchObject({ result: 'done', hold_ms: 0 });
  });

  test.each([
    ['an older fencing number', { fence: '6' }, 'stale-fence'],
    ['another environment', { environment: 'production' }, 'wrong-host'],
  ])('%s', async (_, parameters, reason) => {
    await host.shell(`jq -c '.fence = 7' ${state}/fence >/root/fence && cat /root/fence >${state}/fence`);
    expect(await backups.make(parameters)).toMatchObject({ result: 'refused', reason, code: 2 });
  });

  test('a machine that was made from the image of another', async () => {
    const file = '/etc/understudy/shop.json';
    await host.shell(`cp ${file} /root/own; jq '.instance = "i-0123456789abcdef0"' /root/own >${file}`);
    const result = await backups.make({ operation: 'scheduled' });
    await host.shell(`cat /root/own >${file}`);
    expect(result).toMatchObject({ result: 'refused', reason: 'wrong-host' });
  });
});

describe('from a schedule, which says the same each night', () => {
  beforeAll(() => backups.describe('.data.databases = ["app.db"]'));

  test('each night makes its own, kept as long as the month and the week say, and once a minute', async () => {
    await host.shell(`rm -f ${state}/backups.json`);
    // From a Monday, the 7th of December, so that the second night is of the same week and month.
    const now = Date.now();
    const nights = [0, 1, 7, 35].map((days) =>
      Math.round((Date.UTC(2026, 11, 7 + days, 2, 0, 10) - now) / 1000),
    );
    const results = [];
    for (const seconds of nights) {
      const off = `${seconds < 0 ? '' : '+'}${seconds}s`;
      results.push(await backups.makeAt(off, { operation: 'scheduled' }));
    }
    expect(results.map(({ sentence }) => sentence)).toEqual(
      Array(4).fill(expect.stringContaining('are stored')),
    );
    const paths = results.map(({ manifest }) => String(manifest).split('/'));
    expect(paths.map((parts) => parts[3])).toEqual(['monthly', 'daily', 'weekly', 'monthly']);
    expect(paths.map((parts) => parts[4])).toEqual(
      ['20261207T0200', '20261208T0200', '20261214T0200', '20270111T0200'].map((minute) =>
        expect.stringMatching(`^${minute}\\d\\dZ-scheduled-${minute.replace('T', '')}$`),
      ),
    );
  });

  test('sent twice in one minute, it is made once', async () => {
    const wait = 60 - (Math.floor(Date.now() / 1000) % 60);
    if (wait < 20) await host.shell(`sleep ${wait}`);
    const first = await backups.make({ operation: 'scheduled' });
    const before = (await backups.keys()).length;
    expect(await backups.make({ operation: 'scheduled' })).toEqual(first);
    expect((await backups.keys()).length).toBe(before);
  });
});

test('what restores set aside stays as long as copies do, the newest longer, until a backup is good', async () => {
  const ages = {
    'one-1795442554601': 9,
    'two-1795442554602': 8,
    'two-1795442554602.refused': 8,
    'three-1795442554603': 10,
    'three-1795442554603.refused': 10,
    'four.new': 11,
  };
  const sets = Object.entries(ages).map(
    ([name, days]) => `mkdir -p ${name}/.files-1; touch ${name}/app.db; touch -d '${days} days ago' ${name}`,
  );
  const aside = `${shared}/.understudy-aside`;
  await host.shell(
    `mkdir ${aside}; cd ${aside}; ${sets.join('; ')}; chown -R --no-dereference shop: ${aside}`,
  );
  const left = async (): Promise<string[]> => (await host.shell(`ls ${aside}`)).split('\n');
  await backups.describe('.data.databases = ["none.db"]');
  expect(await backups.make()).toMatchObject({ reason: 'backup-precondition' });
  expect(await left()).toEqual(Object.keys(ages).sort());
  await backups.describe('.data.databases = ["app.db"] | .backup.local_ms = 734400000'); // 8.5 days
  expect(await backups.make()).toMatchObject({ result: 'done' });
  expect(await left()).toEqual(['four.new', 'two-1795442554602', 'two-1795442554602.refused']);
  await host.shell(`touch -d '30 days ago' ${aside}/two*`);
  expect(await backups.make()).toMatchObject({ result: 'done' });
  expect(await left()).toEqual(['four.new', 'two-1795442554602', 'two-1795442554602.refused']);
  await host.shell(`rm -r ${aside}`);
  await backups.describe('del(.backup)');
});

test('copies stay on the host for the time that is set, and the newest longer', async () => {
  await host.shell(`touch -d '8 days ago' ${state}/copies/*`);
  const first = await backups.make();
  expect(await backups.kept()).toHaveLength(1);
  const last = await backups.make();
  await host.shell(`touch -d '9 days ago' ${state}/copies/*`);
  await backups.describe('.data.databases = ["none.db"]');
  expect(await backups.make()).toMatchObject({ reason: 'backup-precondition' });
  expect(await backups.kept()).toHaveLength(2);
  await backups.describe('.data.databases = ["app.db"] | .backup.local_ms = 864000000');
  const kept = await backups.make();
  expect(await backups.kept()).toHaveLength(3);
  expect([first, last, kept].map(({ result }) => result)).toEqual(['done', 'done', 'done']);
});
