// A restore on a real host: what it puts back, and what it refuses.
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { type Cloud, onHost } from '../../rehearsal/cloud/cloud.ts';
import type { Backups } from './backups.ts';
import { type Host, lowerHost, type Result } from './ground.ts';
import { atStart, type Restores, raiseRestores, shared } from './restores.ts';

jest.setTimeout(180_000);

let cloud: Cloud;
let host: Host;
let backups: Backups;
let restores: Restores;
let live: string;
let backup: Result;

beforeAll(async () => {
  ({ cloud, host, backups, restores, live, backup } = await raiseRestores());
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

describe('restoring', () => {
  beforeEach(async () => {
    await host.sql("DELETE FROM notes WHERE note <> 'kept'; INSERT INTO notes VALUES ('later')");
    await host.shell(
      `rm -rf ${shared}/.understudy-aside; echo later >${shared}/uploads/later; rm -f ${shared}/uploads/a*`,
    );
  });

  test('puts databases and files back, keeps what was there, and loses no request', async () => {
    const old = `${shared}/.understudy-aside/old-1795442554601`;
    await host.shell(
      `chmod 640 ${shared}/app.db; mkdir -p ${old}; touch -d '8 days ago' ${old}; chown -R shop: ${shared}/.understudy-aside`,
    );
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
    const then = await host.shell(`sqlite3 ${aside(result)}/app.db 'SELECT note FROM notes'`);
    const now = await host.sql('SELECT note FROM notes');
    expect(now.split('\n')[0]).toBe('kept');
    expect(now).not.toContain('later');
    // What users were told is written is in the old set, or in the new one: their requests waited meanwhile.
    const found = new Set([...then.split('\n'), ...now.split('\n')]);
    expect(acknowledged.filter((note) => !found.has(note))).toEqual([]);
    expect(await host.shell(`cat ${aside(result)}/.files-1/uploads/later`)).toBe('later');
    // What an earlier restore set aside is older than copies stay.
    expect(await host.shell(`ls -d ${shared}/.understudy-aside/*`)).toBe(aside(result));
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

  test('nothing of the app starts between its end and its new data, though somebody waits whom it did not fetch', async () => {
    const starts = '/run/shop-starts';
    await host.shell(`install -m 666 /dev/null ${starts}`);
    await atStart(host, `sqlite3 ${shared}/app.db 'SELECT group_concat(note) FROM notes' >>${starts} 2>&1`);
    const request = await restores.request(backup);
    // It hangs, so that its users stay in the queue of the port that systemd holds, and only SIGKILL ends it.
    await host.shell(
      `mkdir -p /run/systemd/system/shop@.service.d; printf '[Service]\nTimeoutStopSec=1\n' >/run/systemd/system/shop@.service.d/hung.conf; systemctl daemon-reload
      systemctl kill --kill-whom=all --signal=STOP shop@${live}.service
      for one in 1 2 3; do systemd-run --quiet --unit=waiting-$one --property=RemainAfterExit=yes curl --fail --silent --max-time 100 http://127.0.0.1:8080/health; done`,
    );
    await host.until("[[ $(ss -Hlt 'sport = :8080' | awk '{print $2}') -ge 3 ]]");
    const result = await restores.run(request);
    await host.until(
      '! systemctl show --property=SubState waiting-1 waiting-2 waiting-3 | grep --quiet running',
    );
    const waited = await host.shell(
      'systemctl show --property=Result waiting-1 waiting-2 waiting-3 | sort -u | tr -d "\n"; systemctl stop waiting-1 waiting-2 waiting-3',
    );
    await atStart(host, '');
    expect(result).toMatchObject({ result: 'done', reason: 'restored', release: live });
    expect((await host.shell(`cat ${starts}; rm ${starts}`)).trim()).toBe('kept');
    expect(waited).toBe('Result=success');
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
