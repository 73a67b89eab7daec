/** Faults that take long, each played once: large data, a log that nobody folds in, writers without a pause, silence. */
import { setTimeout as sleep } from 'node:timers/promises';
import { shared, state } from '../../../tests/host/backups.ts';
import type { Host, Result } from '../../../tests/host/ground.ts';
import { askHosts } from '../../cloud/cloud.ts';
import { addFault, clearFaults } from '../../cloud/fault.ts';
import type { Point } from '../journal.ts';
import { type Operation, wellEnded } from './journal.ts';
import type { DataFault, DataStage, DataVictim } from './trial.ts';

const whole: Point = { step: 'start to end' };
const only = (...those: readonly Operation[]): DataFault['points'] => {
  return (operation) => (those.includes(operation) ? [whole] : []);
};
const always = { parameters: { timeout: '1800' }, expected: (operation: Operation) => wellEnded[operation] };

/** Python as the app's user, in its shared folder, in a unit that may go on. */
const start = (host: Host, unit: string, program: string) =>
  host.shell(`cat >/tmp/${unit}.py <<'END'\n${program}\nEND
rm -f /tmp/${unit}-*; systemd-run --quiet --collect --unit=${unit} --uid=shop --working-directory=${shared} python3 /tmp/${unit}.py`);

/** What a backup is made of, beside the database of the app. */
const alsoBackUp = (stage: DataStage, ...names: readonly string[]) =>
  stage.backups.describe(`.data.databases = ${JSON.stringify(['app.db', ...names])}`);

/** As it was before. */
async function tidy(stage: DataStage): Promise<void> {
  await clearFaults(stage.cloud);
  // What was never started cannot be stopped.
  await stage.host.shell(`systemctl stop filler writer 2>/dev/null || true
rm -rf ${shared}/{big,wal,load}.db* ${shared}/uploads/noise; ls -d ${state}/copies/* | head -n -1 | xargs --no-run-if-empty rm -r`);
  await stage.backups.describe('.data.databases = ["app.db"] | .data.include = ["uploads"]');
}

/** Rows of 1 MiB, a quarter of each noise: so a copy takes all of it, and what is stored of it a quarter. */
const filler = (name: string, rows: number, checkpoints: boolean) => `import os, sqlite3, time
connection = sqlite3.connect('${name}')
connection.execute('PRAGMA journal_mode = wal')
connection.execute('PRAGMA synchronous = off')
connection.execute('CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY, load)')
connection.commit()
${checkpoints ? '' : "connection.execute('PRAGMA wal_autocheckpoint = 0')"}
for number in range(${rows}):
    with connection: connection.execute('INSERT INTO rows VALUES (?, ?)', (number, os.urandom(1 << 18) + bytes(3 << 18)))
open('/tmp/filler-done', 'w')
${checkpoints ? '' : 'time.sleep(3600)'}`;

async function fill(stage: DataStage, name: string, rows: number, checkpoints = true): Promise<void> {
  await start(stage.host, 'filler', filler(name, rows, checkpoints));
  await stage.host.until('test -e /tmp/filler-done');
  if (checkpoints) await stage.host.until('! systemctl --quiet is-active filler');
}

const bigRows = 2048;
const walRows = 500;

const mib = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
const inSeconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

/** What the phases took that say something, as the host told them. */
async function phasesOf({ host }: DataStage, told: Result, ...names: readonly string[]): Promise<string> {
  const { steps } = await host.details(told);
  const each = steps.filter(({ name }) => names.includes(name));
  return each
    .map(({ name, started, ended }) => `${name} ${inSeconds((ended ?? started) - started)}`)
    .join(', ');
}

/** That the backup restores, up to level 4, by the script of restores itself; and how many rows of a table it holds. */
async function prove(stage: DataStage, backup: Result, name: string, rows: number): Promise<void> {
  const verified = await stage.restores.verify(await stage.restores.request(backup), { timeout: '1800' });
  if (verified.reason !== 'verified') throw new Error(`it does not restore: ${verified.sentence}`);
  const { databases } = await stage.backups.manifest(backup);
  const found = databases.find((one) => one.name === name)?.tables['rows'];
  if (found !== rows) throw new Error(`${name} has ${found} rows in it, not ${rows}`);
}

async function sizesOf({ backups }: DataStage, backup: Result): Promise<string> {
  const { databases } = await backups.manifest(backup);
  const sum = (which: 'raw' | 'packed') => databases.reduce((all, one) => all + one[which].size, 0);
  return `${mib(sum('raw'))} stored as ${mib(sum('packed'))}`;
}

async function countLive({ host }: DataStage, name: string, rows: number): Promise<void> {
  const found = await host.shell(`sqlite3 ${name} 'SELECT count(*) FROM rows'`);
  if (found !== String(rows)) throw new Error(`${name} has ${found} rows, not ${rows}`);
}

/** A backup of what is there now, to be restored. */
async function requestNow({ backups, restores }: DataStage, parts: Parameters<typeof restores.request>[1]) {
  const made = await backups.make({ timeout: '1800' });
  if (made.result !== 'done') throw new Error(`there is nothing to restore: ${made.sentence}`);
  return restores.request(made, parts);
}

/** The size of the log of wal.db, which must be as large as it is meant to be. */
async function logOf({ host }: DataStage): Promise<string> {
  const size = Number(await host.shell(`stat -c %s ${shared}/wal.db-wal`));
  if (size < walRows * 2 ** 20) throw new Error(`the log has only ${mib(size)}`);
  return mib(size);
}

const large: readonly DataFault[] = [
  {
    ...always,
    name: 'a database of 2 GB',
    points: only('backup'),
    arrange: async (stage) => {
      await fill(stage, 'big.db', bigRows);
      await alsoBackUp(stage, 'big.db');
    },
    look: async (stage, told) => {
      await prove(stage, told, 'big.db', bigRows);
      return `${await sizesOf(stage, told)}; ${await phasesOf(stage, told, 'copy', 'pack', 'upload')}; proven up to level 4`;
    },
    mend: tidy,
  },
  {
    ...always,
    name: 'a database of 2 GB',
    points: only('restore'),
    request: async (stage) => {
      await fill(stage, 'big.db', bigRows);
      await alsoBackUp(stage, 'big.db');
      const request = await requestNow(stage, ['databases']);
      await stage.host.shell(`sqlite3 ${shared}/big.db 'DELETE FROM rows WHERE number > 9'`);
      return request;
    },
    look: async (stage, told) => {
      await countLive(stage, `${shared}/big.db`, bigRows);
      await countLive(stage, `${String(told['aside'])}/big.db`, 10);
      return `${await phasesOf(stage, told, 'fetch', 'integrity', 'content', 'copy')}; users waited ${inSeconds(told.wait_ms)}`;
    },
    mend: tidy,
  },
  {
    ...always,
    name: 'a log of 500 MB that nobody checkpointed',
    points: only('backup'),
    arrange: async (stage) => {
      await fill(stage, 'wal.db', walRows, false);
      await alsoBackUp(stage, 'wal.db');
    },
    look: async (stage, told) => {
      const size = await logOf(stage);
      await prove(stage, told, 'wal.db', walRows);
      return `a log of ${size}; ${await phasesOf(stage, told, 'copy', 'pack', 'upload')}; proven up to level 4`;
    },
    mend: tidy,
  },
  {
    ...always,
    name: 'a log of 500 MB that nobody checkpointed, beside what is replaced',
    points: only('restore'),
    request: async (stage) => {
      await fill(stage, 'wal.db', 10);
      await alsoBackUp(stage, 'wal.db');
      const request = await requestNow(stage, ['databases']);
      await stage.host.shell(`sqlite3 ${shared}/wal.db 'DELETE FROM rows'`);
      await fill(stage, 'wal.db', walRows, false);
      // Who has it open ends without folding it in.
      await stage.host.shell('systemctl kill --signal=KILL filler');
      await stage.host.until('! systemctl --quiet is-active filler');
      await logOf(stage);
      return request;
    },
    look: async (stage, told) => {
      const aside = String(told['aside']);
      await countLive(stage, `${aside}/wal.db`, walRows);
      await countLive(stage, `${shared}/wal.db`, 10);
      return `${await phasesOf(stage, told, 'copy')}: all of it is in the old set; users waited ${inSeconds(told.wait_ms)}`;
    },
    mend: tidy,
  },
];

const aMinute = 60_000;

const refused =
  (action: 'PutObject' | 'GetObject', step: 'upload' | 'fetch', of: (victim: DataVictim) => string) =>
  (operation: Operation): DataFault => ({
    ...always,
    name: 'S3 answers 503 for a whole minute',
    points: only(operation),
    meanwhile: async (victim) => {
      const { host, stage } = victim;
      const resource = `arn:aws:s3:::shop-backups/${of(victim)}/*`;
      await addFault(stage.cloud, { action, kind: 'throttle', times: 'always', resource });
      await host.untilStep(victim.operation, step);
      await sleep(aMinute);
      await clearFaults(stage.cloud);
    },
    look: async ({ host }, told) => {
      const { steps } = await host.details(told);
      const { started = 0, ended = 0 } = steps.find(({ name }) => name === step) ?? {};
      const ms = (ended ?? 0) - started;
      if (ms < aMinute) throw new Error(`step ${step} took only ${inSeconds(ms)}`);
      return `${step} took ${inSeconds(ms)}`;
    },
    mend: tidy,
  });

const refusals: readonly DataFault[] = [
  refused('PutObject', 'upload', ({ operation }) => `*-${operation}`)('backup'),
  refused('GetObject', 'fetch', () => '*')('restore'),
];

/** Cuts the host's network once so many bytes have left it, or come to it, over one connection; gives it back later. */
const cutIn =
  (seconds: number) =>
  async ({ stage: { cloud }, host }: DataVictim): Promise<void> => {
    await host.shell(`for ((i = 0; i < 6000; i++)); do
  ss -Htin state established | grep -oE 'bytes_(sent|received):[0-9]+' | awk -F : '$2 > 30000000 {found = 1} END {exit !found}' && exit 0
  sleep 0.02
done; exit 1`);
    await askHosts(cloud, 'POST', `/hosts/${host.instanceId}/cut`);
    await sleep(seconds * 1000);
    await askHosts(cloud, 'POST', `/hosts/${host.instanceId}/heal`);
  };

/** 400 MB of noise among the files. */
const noise = async (stage: DataStage): Promise<void> => {
  await stage.host.shell(
    `head -c 400000000 /dev/urandom >${shared}/uploads/noise; chown shop: ${shared}/uploads/noise`,
  );
};

const cuts: readonly DataFault[] = [5, 100].flatMap((seconds): DataFault[] => [
  {
    ...always,
    name: `the network is cut for ${seconds} s in an upload`,
    points: only('backup'),
    arrange: noise,
    meanwhile: cutIn(seconds),
    sampled: seconds === 5 ? ['backup'] : [],
    look: async (stage, told) => {
      const journal = `${state}/operations/${told['operation']}/journal.jsonl`;
      const tries = await stage.host.shell(`grep -c '"fact":"put","value":"files.tar' ${journal}`);
      const { files } = await stage.backups.manifest(told);
      if ((files?.packed.size ?? 0) < 400_000_000) throw new Error('the noise is not in it');
      return `${tries} tries for 400 MB; ${await phasesOf(stage, told, 'upload')}`;
    },
    mend: tidy,
    machineGoes: true,
  },
  {
    ...always,
    name: `the network is cut for ${seconds} s in a fetch`,
    points: only('restore'),
    request: async (stage) => {
      await noise(stage);
      const sum = await stage.host.shell(`sha256sum <${shared}/uploads/noise`);
      const request = await requestNow(stage, ['files']);
      await stage.host.shell(`rm ${shared}/uploads/noise; echo '${sum}' >/root/sum`);
      return request;
    },
    meanwhile: cutIn(seconds),
    look: async (stage, told) => {
      await stage.host.shell(`[[ $(sha256sum <${shared}/uploads/noise) == "$(cat /root/sum)" ]]`);
      return `400 MB; ${await phasesOf(stage, told, 'fetch')}`;
    },
    mend: tidy,
    machineGoes: true,
  },
]);

const asked = 1000;

// By the clock: each transaction has its time, and those that are late are made up for. A stall is one that took long.
const writer = `import json, os, sqlite3, time
connection = sqlite3.connect('load.db', timeout=30, isolation_level=None)
connection.execute('PRAGMA journal_mode = wal')
connection.execute('PRAGMA synchronous = normal')
connection.execute('CREATE TABLE load (x)')
for _ in range(16): connection.execute('INSERT INTO load VALUES (randomblob(16 << 20))')
connection.execute('CREATE TABLE rows (number)')
began, times = time.time(), []
while not os.path.exists('/tmp/writer-stop'):
    wait = began + len(times) / ${asked} - time.time()
    if wait > 0: time.sleep(wait)
    asked = time.time()
    connection.execute('INSERT INTO rows VALUES (?)', (len(times),))
    times.append((asked, time.time()))
    if len(times) == 3 * ${asked}: open('/tmp/writer-going', 'w')
with open('/tmp/writer-part', 'w') as file: json.dump(times, file)
os.rename('/tmp/writer-part', '/tmp/writer-times')`;

type Times = readonly (readonly [asked: number, acknowledged: number])[];

const writers: readonly DataFault[] = [
  {
    ...always,
    name: `a writer at ${asked} transactions a second, by the clock`,
    points: only('backup'),
    arrange: async (stage) => {
      await start(stage.host, 'writer', writer);
      await stage.host.until('test -e /tmp/writer-going');
      await alsoBackUp(stage, 'load.db');
    },
    look: async (stage, told) => {
      await stage.host.shell('touch /tmp/writer-stop');
      await stage.host.until('test -s /tmp/writer-times');
      const times = JSON.parse(await stage.host.shell('cat /tmp/writer-times')) as Times;
      const manifest = await stage.backups.manifest(told);
      const copy = manifest.databases.find(({ name }) => name === 'load.db');
      if (copy === undefined) throw new Error('the backup does not hold load.db');
      const [found] = await stage.backups.ask(
        told,
        copy,
        'SELECT count(*) AS count, max(number) + 1 AS next FROM rows',
      );
      const count = Number(found?.['count']);
      const before = times.filter(([, at]) => at * 1000 < manifest.copied).length;
      if (count < before || Number(found?.['next']) !== count)
        throw new Error(`${before} were acknowledged before it, and ${count} are in it`);
      const during = times.filter(([at]) => at * 1000 >= manifest.started && at * 1000 < manifest.ended);
      const rate = Math.round((during.length * 1000) / (manifest.ended - manifest.started));
      const stall = Math.max(...during.map(([from, to]) => to - from)) * 1000;
      return `${rate} a second while it was made, in ${inSeconds(manifest.ended - manifest.started)} beside 256 MiB; the longest took ${Math.round(stall)} ms`;
    },
    mend: tidy,
  },
];

export const long: readonly DataFault[] = [...large, ...refusals, ...cuts, ...writers];
