// A restore on a real host: what it puts back, what it proves, and what it refuses.
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { type Cloud, onHost } from '../../rehearsal/cloud/cloud.ts';
import { addFault, clearFaults } from '../../rehearsal/cloud/fault.ts';
import { Backups } from './backups.ts';
import { type Host, lowerHost, type Result, raiseHost } from './ground.ts';
import { atStart, type Request, Restores, shared, type With } from './restores.ts';

jest.setTimeout(180_000);

let cloud: Cloud;
let host: Host;
let backups: Backups;
let restores: Restores;
let live: string;
let backup: Result;

beforeAll(async () => {
  const ground = await raiseHost();
  ({ cloud, host } = ground);
  await host.prepare({ switch: 'pause' });
  backups = await Backups.raise(ground);
  restores = new Restores(ground, backups);
  live = (await host.deploy({ version: 'live' })).release;
  await host.sql("INSERT INTO notes VALUES ('kept')");
  await host.shell(
    `mkdir ${shared}/uploads; echo first >'${shared}/uploads/a "b'\\''ü'; chown -R shop: ${shared}/uploads`,
  );
  await backups.describe('.data.include = ["uploads"]');
  backup = await backups.make();
  expect(backup).toMatchObject({ result: 'done', reason: 'backed-up' });
}, 180_000);

afterAll(lowerHost, 60_000);

const notes = () => host.sql('SELECT group_concat(note) FROM notes');
const aside = (result: Result) => String(result['aside']);

/** The host as it was: the old release up and alone, its answer, its data. */
async function stands(data: string): Promise<void> {
  expect(await host.units()).toEqual([`shop@${live}.service`]);
  expect(await host.health()).toContain('"version": "live"');
  expect(await notes()).toBe(data);
  expect(await restores.leftBehind()).toBe('');
}

describe('verifying', () => {
  test('proves a good backup up to level 4, and changes nothing', async () => {
    const before = await host.shell(`find ${shared} | sort`);
    const request = await restores.request(backup, ['databases', 'files', 'code']);
    const result = await restores.verify(request, { control: 'on' });
    expect(result).toMatchObject({
      result: 'done',
      reason: 'verified',
      code: 0,
      level: 4,
      rows: 1,
      databases: 1,
    });
    const { levels, control } = await restores.details(result);
    expect(levels.map(({ level, verdict }) => [level, verdict])).toEqual([
      [2, 'passed'],
      [3, 'passed'],
      [4, 'passed'],
    ]);
    expect(levels.at(-1)?.evidence).toContain('1 rows in 1 tables');
    expect(control).toBe('refused');
    expect(await host.shell(`find ${shared} | sort`)).toBe(before);
    expect(result).not.toHaveProperty('healthy'); // nothing was started
    await stands('kept');
  });

  test('of files alone has another digest refused, where there is no database to damage', async () => {
    const result = await restores.verify(await restores.request(backup, ['files']), { control: 'on' });
    expect(result).toMatchObject({ result: 'done', reason: 'verified' });
    expect((await restores.details(result)).control).toBe('refused');
  });

  // More of them: tests/unit/host/verify.test.ts. Nothing that a fault does may be told as a good backup, nor as the wrong one of the two reds.
  const flip = (at: number) => (bytes: Buffer) => {
    const copy = Buffer.from(bytes);
    copy[at] = (copy[at] ?? 0) ^ 1;
    return copy;
  };
  const database = 'database-0.sqlite.zst';
  const spoilt = async (
    object: string,
    change: (bytes: Buffer) => Uint8Array,
    parts: With[] = ['databases'],
  ) => {
    const url = await restores.spoil(backup, object, change);
    return restores.request(backup, parts, ({ urls }) => ({ urls: { ...urls, [object]: url } }));
  };
  const lie = (change: (database: Request['manifest']['databases'][number]) => object) =>
    restores.request(backup, ['databases'], ({ manifest }) => ({
      manifest: { ...manifest, databases: manifest.databases.map((one) => ({ ...one, ...change(one) })) },
    }));
  const bad: [fault: string, level: number, words: string, () => Promise<object>][] = [
    [
      'a flipped bit in the database',
      2,
      'the SHA-256 of its packed bytes is',
      () => spoilt(database, flip(100)),
    ],
    ['one byte short', 2, 'packed bytes, not', () => spoilt(database, (bytes) => bytes.subarray(0, -1))],
    [
      'a flipped bit in the code',
      2,
      'code.tar.zst: the SHA-256',
      () => spoilt('code.tar.zst', flip(200), ['code']),
    ],
    [
      'two objects swapped',
      2,
      `${database}: it has`,
      () =>
        restores.request(backup, ['databases'], ({ urls }) => ({
          urls: { ...urls, [database]: urls['code.tar.zst'] },
        })),
    ],
    [
      'an object that is not there',
      2,
      'is not there (404)',
      async () => {
        const [gone] = await restores.presign(['gone']);
        return restores.request(backup, ['databases'], ({ urls }) => ({
          urls: { ...urls, [database]: gone },
        }));
      },
    ],
    [
      'a row more in the manifest',
      4,
      'table notes has 1 rows, not 2',
      () => lie(() => ({ tables: { notes: 2 } })),
    ],
    [
      'another number of files in the manifest',
      4,
      'members, not 7',
      () =>
        restores.request(backup, ['files'], ({ manifest }) => ({
          manifest: { ...manifest, files: { ...manifest.files, count: 7 } },
        })),
    ],
  ];

  test.each(bad)('%s is a bad backup, at level %i', async (_, level, words, damage) => {
    const result = await restores.verify(await damage());
    expect(result).toMatchObject({ result: 'failed', reason: 'backup-bad', code: 20 });
    expect(result.sentence).toContain(`at level ${level}`);
    expect(result.sentence).toContain(words);
    expect((await restores.details(result)).levels.at(-1)).toMatchObject({ level, verdict: 'failed' });
    expect(await restores.leftBehind()).toBe('');
  });

  test('a verification that lets a damaged copy pass proves nothing', async () => {
    // As if sqlite3 found every database sound.
    await host.shell(`cat >/usr/local/bin/sqlite3 <<'END'
#!/bin/sh
case "$*" in *integrity_check*) echo ok ;; *) exec /usr/bin/sqlite3 "$@" ;; esac
END
chmod 755 /usr/local/bin/sqlite3`);
    const result = await restores.verify(await restores.request(backup), { control: 'on' });
    await host.shell('rm /usr/local/bin/sqlite3');
    expect(result).toMatchObject({ result: 'failed', reason: 'control-passed', code: 22 });
    expect(result.sentence).toContain('level 3 passed');
  });

  test.each([
    [
      'a URL that has expired',
      'has expired',
      async (request: Request) => {
        const name = 'database-0.sqlite.zst';
        const [url = ''] = await restores.presign([request.manifest_key.replace('manifest.json', name)], 1);
        await host.shell('sleep 2');
        return { ...request, urls: { [name]: url } };
      },
    ],
    [
      'a request that is none',
      'is not as it should be: with',
      async (request: Request) => ({ ...request, with: ['all'] }),
    ],
    [
      'a manifest of another app',
      'of the app blog',
      async (request: Request) => ({ ...request, manifest: { ...request.manifest, app: 'blog' } }),
    ],
    [
      'a manifest whose database lies elsewhere',
      'is not as it should be: manifest: databases',
      async (request: Request) => ({
        ...request,
        manifest: {
          ...request.manifest,
          databases: [{ ...request.manifest.databases[0], name: '../app.db' }],
        },
      }),
    ],
    [
      'a URL in the clear that is not of the store',
      'could not be fetched',
      async (request: Request) => ({
        ...request,
        urls: { 'database-0.sqlite.zst': 'http://198.18.0.1:8001/x' },
      }),
    ],
    [
      'a store that nobody answers at',
      'could not be fetched: curl: (7)',
      async (request: Request) => ({
        ...request,
        urls: { 'database-0.sqlite.zst': 'https://198.18.0.1:9/x' },
      }),
    ],
    [
      'no room',
      'MiB free, and this backup needs',
      async (request: Request) => ({
        ...request,
        manifest: {
          ...request.manifest,
          databases: request.manifest.databases.map((one) => ({ ...one, raw: { ...one.raw, size: 9e14 } })),
        },
      }),
    ],
  ])('%s is a drill that could not run', async (_, words, change) => {
    const request = await change(await restores.request(backup));
    const result = await restores.verify(request, { timeout: '30' });
    expect(result['reason']).toBe('drill-could-not-run');
    expect(result.code).toBe(21);
    expect(result.sentence).toContain(words);
    expect(await restores.leftBehind()).toBe('');
  });

  test('a store that answers 503 and cuts the line for a while is asked again', async () => {
    const resource = 'arn:aws:s3:::shop-backups/*';
    const request = await restores.request(backup);
    await addFault(cloud, { action: 's3:GetObject', kind: 'error', times: 2, resource });
    await addFault(cloud, { action: 's3:GetObject', kind: 'lost', times: 1, resource });
    const result = await restores.verify(request);
    await clearFaults(cloud);
    expect(result).toMatchObject({ result: 'done', reason: 'verified' });
  });
});

describe('restoring', () => {
  beforeEach(async () => {
    await host.sql("DELETE FROM notes WHERE note <> 'kept'; INSERT INTO notes VALUES ('later')");
    await host.shell(
      `rm -rf ${shared}/.understudy-aside; echo later >${shared}/uploads/later; rm -f ${shared}/uploads/a*`,
    );
  });

  test('puts databases and files back, keeps what was there, and loses no request', async () => {
    await host.shell(`chmod 640 ${shared}/app.db`);
    const load = host.load();
    await host.until("[[ $(sqlite3 /srv/shop/shared/app.db 'SELECT count(*) FROM notes') -gt 20 ]]");
    const result = await restores.run(await restores.request(backup, ['databases', 'files']));
    expect(result).toMatchObject({
      ...{
        result: 'done',
        reason: 'restored',
        code: 0,
        level: 4,
        healthy: true,
        release: live,
        previous: live,
      },
    });
    const { lost, acknowledged } = await load.stop();
    expect(lost).toEqual({});
    expect(await host.shell(`stat -c '%a %U' ${shared}/app.db`)).toBe('640 shop');
    expect(await host.shell(`ls ${shared}/uploads; cat ${shared}/uploads/a*`)).toBe(`a "b'ü\nfirst`);
    const old = await host.shell(`sqlite3 ${aside(result)}/app.db 'SELECT note FROM notes'`);
    const now = await host.sql('SELECT note FROM notes');
    expect(now.split('\n')[0]).toBe('kept');
    expect(now).not.toContain('later');
    // What users were told is written is in the old set, or in the new one: their requests waited meanwhile.
    const found = new Set([...old.split('\n'), ...now.split('\n')]);
    expect(acknowledged.filter((note) => !found.has(note))).toEqual([]);
    expect(await host.shell(`cat ${aside(result)}/.files-1/uploads/later`)).toBe('later');
    await host.sql("DELETE FROM notes WHERE note <> 'kept'");
    await stands('kept');
  });

  test('does not let a stale log spoil the database', async () => {
    const request = await restores.request(backup);
    await host.shell(`systemctl stop shop.socket 'shop@*'; cd ${shared}
      sqlite3 app.db 'PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0; INSERT INTO notes VALUES (zeroblob(100000))' '.shell cp app.db-wal stale'
      cp stale app.db-wal; echo junk >app.db-shm; echo junk >app.db-journal; chown shop: app.db*; rm stale`);
    await host.prepare();
    await host.shell('systemctl start shop.socket');
    const result = await restores.run(request);
    expect(result).toMatchObject({ result: 'done', reason: 'restored' });
    await stands('kept');
    expect(await host.sql('PRAGMA integrity_check')).toBe('ok');
  });

  test('works where the live database is broken, and gives the database the journal of the manifest', async () => {
    const request = await restores.request(backup);
    const databases = request.manifest.databases.map((one) => ({ ...one, journal_mode: 'delete' }));
    await host.shell(`systemctl stop 'shop@*'; head -c 8192 /dev/urandom >${shared}/app.db`);
    // Seen before the app, which sets its own, has it open.
    await atStart(host, `od -An -tu1 -j18 -N1 ${shared}/app.db >${shared}/mode`);
    const result = await restores.run({ ...request, manifest: { ...request.manifest, databases } });
    await atStart(host, '');
    expect(result).toMatchObject({ result: 'done', reason: 'restored' });
    expect(result.sentence).toContain('lies there as it was');
    expect((await host.shell(`cat ${shared}/mode; rm ${shared}/mode`)).trim()).toBe('1');
    await stands('kept');
  });

  // The app is content with the data as it is, and not with what is restored.
  test('puts the whole old set back when the app does not start on the backup', async () => {
    await atStart(host, `sqlite3 ${shared}/app.db 'SELECT note FROM notes' | grep -q later`);
    const result = await restores.run(await restores.request(backup, ['databases', 'files']));
    await atStart(host, '');
    expect(result).toMatchObject({
      ...{ result: 'reverted', reason: 'start-failed', code: 1, met: false, healthy: true, release: live },
    });
    expect(result.sentence).toContain('The whole old set of files was put back.');
    expect(await host.shell(`ls ${shared}/uploads`)).toBe('later');
    await stands('kept,later');
  });

  test('and when it does not answer as promised there, also under another release', async () => {
    const picky = await host.deploy({
      version: 'live',
      health: 'html when live',
      atImport: `rehearsal = rehearsal or b'later' in open(os.path.join(shared, 'app.db'), 'rb').read()`,
      migrate: `sqlite3 "$UNDERSTUDY_SHARED/app.db" 'PRAGMA wal_checkpoint(TRUNCATE)'`,
    });
    expect(picky).toMatchObject({ result: 'done' });
    const result = await restores.run(await restores.request(backup));
    expect(result).toMatchObject({
      ...{ result: 'reverted', reason: 'check-failed', met: false, healthy: true, release: picky.release },
    });
    expect(await host.units()).toEqual([`shop@${picky.release}.service`]);
    expect(await notes()).toBe('kept,later');
    // Its own release, which is on the host still, is content.
    const back = await restores.run(await restores.request(backup, ['databases', 'code']));
    expect(back).toMatchObject({
      result: 'done',
      reason: 'restored',
      release: live,
      previous: picky.release,
    });
    await stands('kept');
  });

  test('is refused while somebody else has a database open, and nothing changes', async () => {
    const before = await notes();
    const holder = onHost(cloud, host.instanceId, [
      'bash',
      '-c',
      `exec python3 -c "import time; held = open('${shared}/app.db'); time.sleep(120)"`,
    ]);
    await host.until("pgrep -f 'time.sleep.120'");
    const result = await restores.run(await restores.request(backup));
    await host.shell("pkill -f 'time.sleep.120'");
    await holder;
    expect(result).toMatchObject({
      result: 'reverted',
      reason: 'restore-precondition',
      healthy: true,
      met: false,
    });
    expect(result.sentence).toMatch(/process \d+ \(python3\) has \S+app.db open/);
    await stands(before);
  });

  test('is refused while another operation is at work', async () => {
    const operation = host.operation();
    const release = await host.store({ version: 'slow', prepare: 'sleep 8; exit 1' });
    const running = host.deployStored(release, { operation });
    await host.untilStep(operation, 'prepare');
    const result = await restores.run(await restores.request(backup));
    expect(result).toMatchObject({ result: 'refused', reason: 'busy', code: 2 });
    expect(result.sentence).toContain(operation);
    await running;
    await stands('kept,later');
  });

  test('a backup with another schema is refused without its release, and restored with it', async () => {
    const before = await notes();
    const next = await host.deploy({
      version: 'next',
      migrate: `sqlite3 "$UNDERSTUDY_SHARED/app.db" 'CREATE TABLE added (x)'`,
    });
    expect(next).toMatchObject({ result: 'done' });
    const refused = await restores.run(await restores.request(backup));
    expect(refused).toMatchObject({ result: 'refused', reason: 'restore-precondition', code: 2 });
    expect(refused.sentence).toContain(`release ${live}`);
    expect(refused.sentence).toContain('ask for its code');
    expect(await host.sql("SELECT count(*) FROM sqlite_master WHERE name = 'added'")).toBe('1');
    const result = await restores.run(await restores.request(backup, ['databases', 'code']));
    expect(result).toMatchObject({
      result: 'done',
      reason: 'restored',
      release: live,
      previous: next.release,
    });
    expect(before).toContain('later');
    await stands('kept');
  });
});

test('an empty host comes up on the backup, code and all', async () => {
  const request = await restores.request(backup, ['databases', 'files', 'code']);
  await host.shell(
    'systemctl stop "shop*"; rm -rf /srv/shop /var/lib/understudy/shop /etc/understudy/shop.json /etc/systemd/system/shop* /run/understudy/shop; systemctl daemon-reload; systemctl reset-failed',
  );
  await host.prepare();
  const alone = await restores.run({ ...request, with: ['databases'] });
  expect(alone).toMatchObject({ result: 'refused', reason: 'restore-precondition' });
  expect(alone.sentence).toContain('ask for the code as well');
  const result = await restores.run(request);
  expect(result).toMatchObject({
    result: 'done',
    reason: 'restored',
    release: live,
    previous: '',
    healthy: true,
  });
  await stands('kept');
  expect(await host.shell(`stat -c '%U %a' /srv/shop/releases/${live}/app.py; ls ${shared}/uploads`)).toBe(
    `root 644\na "b'ü`,
  );
  // It is a release like any other: it boots, and the next deploy takes its place.
  await host.cutPower();
  await host.until('curl --silent --fail --max-time 5 http://127.0.0.1:8080/health');
  await stands('kept');
  expect(await host.deploy({ version: 'after' })).toMatchObject({ result: 'done', previous: live });
  expect(await host.shell('ls /var/lib/understudy/shop/releases')).toContain(live);
});

test.each(['overlap', 'restart'] as const)(
  'an app that is switched by %s gets its data back',
  async (how) => {
    await host.prepare({ switch: how, backups: backups.bucket });
    const { release } = await host.deploy({ version: how });
    await host.sql("DELETE FROM notes; INSERT INTO notes VALUES ('kept')");
    const made = await backups.make();
    await host.sql("INSERT INTO notes VALUES ('later')");
    const result = await restores.run(await restores.request(made));
    expect(result).toMatchObject({ result: 'done', reason: 'restored', healthy: true, release });
    expect(await host.units()).toEqual([`shop@${release}.service`]);
    expect(await host.health()).toContain(`"version": "${how}"`);
    expect(await notes()).toBe('kept');
    expect(result['down_ms'] === 0).toBe(how === 'overlap');
  },
);
