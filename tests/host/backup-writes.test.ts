// Backups beside others: writers that do not pause, a second backup, a deploy, and somebody who cancels.
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Cloud } from '../../rehearsal/cloud/cloud.ts';
import { addFault, clearFaults } from '../../rehearsal/cloud/fault.ts';
import { Backups, shared, state } from './backups.ts';
import { type Host, lowerHost, raiseHost } from './ground.ts';

jest.setTimeout(120_000);

let cloud: Cloud;
let host: Host;
let backups: Backups;

beforeAll(async () => {
  const ground = await raiseHost();
  ({ cloud, host } = ground);
  backups = await Backups.raise(ground);
  expect(await host.deploy({ version: 'live' })).toMatchObject({ result: 'done' });
}, 120_000);

afterAll(lowerHost, 60_000);

/** What a writer had acknowledged, and when, in milliseconds since 1970. */
type Acknowledged = readonly (readonly [number: number, at: number])[];

// Each writes its numbers in order, one a transaction, beside 16 MiB that make the copy last.
const writer = `
import json, os, sqlite3, sys, time
path, mode, pause = sys.argv[1], sys.argv[2], float(sys.argv[3])
connection = sqlite3.connect(path, timeout=30, isolation_level=None)
connection.execute('PRAGMA journal_mode = ' + mode)
connection.execute('PRAGMA synchronous = ' + ('normal' if pause else 'off'))
connection.execute('CREATE TABLE IF NOT EXISTS load (x)')
connection.execute('CREATE TABLE IF NOT EXISTS numbers (number)')
connection.execute('INSERT INTO load VALUES (randomblob(16 << 20))')
acknowledged = []
while not os.path.exists('/tmp/stop-writing'):
    connection.execute('INSERT INTO numbers VALUES (?)', (len(acknowledged),))
    acknowledged.append((len(acknowledged), int(time.time() * 1000)))
    if len(acknowledged) == 100: open('/tmp/writing-' + os.path.basename(path), 'w')
    if pause: time.sleep(pause)
with open('/tmp/acknowledged-' + os.path.basename(path), 'w') as file: json.dump(acknowledged, file)
`;

describe('under writers', () => {
  const writers = [
    ['wal.db', 'wal', '0.01'],
    ['rollback.db', 'delete', '0.01'],
    ['ceaseless.db', 'wal', '0'],
  ] as const;

  beforeAll(async () => {
    await host.shell(`cat >/tmp/writer.py <<'END'\n${writer}\nEND`);
    for (const [name, ...how] of writers) {
      await host.shell(
        `systemd-run --quiet --unit=writer-${name} --uid=shop python3 /tmp/writer.py ${shared}/${name} ${how.join(' ')}`,
      );
    }
    for (const [name] of writers) await host.until(`test -e /tmp/writing-${name}`);
    await backups.describe(
      `.data.databases = ${JSON.stringify(writers.map(([name]) => name))} | .data.busy_timeout_ms = 30000`,
    );
  });

  afterAll(() => backups.describe('.data.databases = ["app.db"]'));

  test('at 100 a second in WAL and with a rollback journal, and one that never pauses: all that was acknowledged before is in the copy', async () => {
    const result = await backups.make();
    await host.shell('touch /tmp/stop-writing');
    expect(result).toMatchObject({ result: 'done', databases: 3 });
    expect(result['hold_ms']).toBeGreaterThan(0);
    const manifest = await backups.manifest(result);
    for (const database of manifest.databases) {
      const file = `/tmp/acknowledged-${database.name}`;
      await host.until(`test -s ${file} && jq -e . ${file} >/dev/null`);
      const acknowledged = JSON.parse(await host.shell(`cat ${file}`)) as Acknowledged;
      const before = acknowledged.filter(([, at]) => at < manifest.copied).length;
      const [found] = await backups.ask(
        result,
        database,
        'SELECT count(*) AS count, min(number) AS first, max(number) + 1 AS next FROM numbers',
      );
      const count = Number(found?.['count']);
      // A prefix of what was written, without a hole, and not less than was promised.
      expect(found).toEqual({ count, first: 0, next: count });
      expect(database.tables['numbers']).toBe(count);
      expect(count).toBeGreaterThanOrEqual(before);
      expect(before).toBeGreaterThanOrEqual(100);
      expect(acknowledged.length).toBeGreaterThan(count);
    }
  });
});

test('a database that is held for good is told of, and so is the backup that waited for this one in vain', async () => {
  await host.shell(`systemd-run --quiet --unit=keeper --uid=shop python3 -c "
import sqlite3, time
connection = sqlite3.connect('${shared}/kept.db', isolation_level=None)
connection.execute('CREATE TABLE t (x)')
connection.execute('BEGIN EXCLUSIVE')
open('/tmp/keeping', 'w')
time.sleep(600)"`);
  await host.until('test -e /tmp/keeping');
  await backups.describe('.data.databases = ["kept.db"]');
  const operation = host.operation();
  const kept = backups.make({ operation });
  await host.untilStep(operation, 'copy');
  const second = await backups.make({ timeout: '10' });
  const result = await kept;
  await host.shell('systemctl stop keeper');
  await backups.describe('.data.databases = ["app.db"]');
  expect(result).toMatchObject({ result: 'failed', reason: 'busy', code: 10 });
  expect(result.sentence).toContain('The database kept.db was held by others for 20 s');
  expect(second).toMatchObject({ result: 'refused', reason: 'busy', code: 10 });
  expect(second.sentence).toContain(
    `Operation ${operation} was still at work on this host after 4 s: no backup was made.`,
  );
  expect(await backups.leftBehind()).toBe('');
});

/** Holds what is stored of the next backup for so long. */
const delay = (seconds: number) =>
  addFault(cloud, { action: 'PutObject', kind: 'delay', resource: '*/code.tar.zst', seconds });

describe('beside another operation', () => {
  test('a second backup waits for the first, and both are good', async () => {
    const results = await Promise.all([backups.make(), backups.make()]);
    expect(results.map(({ reason }) => reason)).toEqual(['backed-up', 'backed-up']);
    expect(results[0]?.['manifest']).not.toBe(results[1]?.['manifest']);
  });

  test('the same backup, asked for twice, is made once', async () => {
    const operation = host.operation();
    const [one, two] = await Promise.all([backups.make({ operation }), backups.make({ operation })]);
    expect(one).toMatchObject({ result: 'done' });
    expect(two).toEqual(one);
    expect((await backups.keys()).filter((key) => key.includes(operation))).toHaveLength(3);
  });

  test('a backup waits for a deploy, and backs up what it made', async () => {
    const operation = host.operation();
    const release = await host.store({ version: 'slow', prepare: 'sleep 3' });
    const deploy = host.deployStored(release, { operation });
    await host.untilStep(operation, 'prepare');
    const backup = await backups.make();
    expect(await deploy).toMatchObject({ result: 'done' });
    expect(backup).toMatchObject({ result: 'done' });
    expect((await backups.manifest(backup))['release']).toBe(release);
  });

  test('a deploy waits for a backup, and goes on', async () => {
    const operation = host.operation();
    await delay(5);
    const backup = backups.make({ operation });
    await host.untilStep(operation, 'upload');
    expect(await host.deploy({ version: 'after' })).toMatchObject({ result: 'done' });
    expect(await backup).toMatchObject({ result: 'done' });
  });

  test('is ended where it is by whoever cancels it, and nothing is left', async () => {
    const operation = host.operation();
    await delay(60);
    const backup = backups.make({ operation });
    await host.untilStep(operation, 'upload');
    expect(await host.run('cancel', { about: operation })).toMatchObject({ reason: 'cancel-requested' });
    expect(await backup).toMatchObject({ result: 'failed', reason: 'cancelled', code: 18 });
    await clearFaults(cloud);
    expect(await backups.leftBehind()).toBe('');
    expect(await host.shell(`cat ${state}/operations/${operation}/journal.jsonl`)).not.toContain(
      '"committing"',
    );
    expect(await backups.make()).toMatchObject({ result: 'done' });
  });

  test('cancelled before it has begun, it does not begin', async () => {
    const operation = host.operation();
    await host.run('cancel', { about: operation });
    expect(await backups.make({ operation })).toMatchObject({ reason: 'cancelled', code: 18 });
  });
});
