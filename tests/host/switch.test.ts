import { constants } from 'node:fs';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { addTable, type Variant } from './app.ts';
import { type Host, type Load, lowerHost, raiseHost } from './ground.ts';

jest.setTimeout(180_000);

let host: Host;

beforeAll(async () => {
  ({ host } = await raiseHost());
}, 120_000);

afterAll(lowerHost, 60_000);

/** Notes that were acknowledged and are not in the database. */
async function missing(load: Load): Promise<string[]> {
  const kept = new Set((await host.sql('SELECT note FROM notes')).split('\n'));
  return load.acknowledged.filter((note) => !kept.has(note));
}

test('by pause, requests wait and none is lost; the wait is told', async () => {
  await host.prepare({ switch: 'pause' });
  await host.deploy({ version: '1' });
  const load = host.load();
  const result = await host.deploy({ version: '2', atImport: 'time.sleep(1)', migrate: addTable('two') });
  const seen = await load.stop();
  expect(result).toMatchObject({ result: 'done', reason: 'deployed', met: true });
  expect(result.wait_ms).toBeGreaterThan(1000);
  expect(seen.lost).toEqual({});
  expect(Object.keys(seen.answered).sort()).toEqual(['1', '2']);
  expect(await missing(seen)).toEqual([]);
});

test('by pause, a release that fails on the live data is met by nobody, and no request is lost', async () => {
  const load = host.load();
  const result = await host.deploy({ version: '3', health: 'html when live', migrate: addTable('three') });
  const seen = await load.stop();
  expect(result).toMatchObject({ result: 'reverted', met: false, healthy: true });
  expect(seen.lost).toEqual({});
  expect(Object.keys(seen.answered)).toEqual(['2']);
  expect(await missing(seen)).toEqual([]);
});

/** Notes on the host's disk that the live release was started. */
const noteStart = "rehearsal or open('/srv/shop/shared/starts', 'a').write('s')";

test('by pause, a release is started once: while it is checked, users wait apart', async () => {
  await host.deploy({ version: 'started once', atImport: noteStart });
  expect(await host.shell('cat /srv/shop/shared/starts')).toBe('s');
});

/** The status flags of the public socket, as the live release holds it. */
async function flagsOfPublicSocket(unit: string): Promise<number> {
  const flags = await host.shell(`
    sockets=$(awk '$2 ~ /:1F90$/ && $4 == "0A" {print "socket:[" $10 "]"}' /proc/net/tcp /proc/net/tcp6)
    cd /proc/$(systemctl show -p MainPID --value ${unit})/fd
    for one in *; do
      if grep -qxF "$(readlink $one)" <<<"$sockets"; then awk '/^flags/ {print $2}' ../fdinfo/$one; fi
    done`);
  return Number.parseInt(flags, 8);
}

test('whoever comes to share the public socket, no worker of the live release begins to wait in it', async () => {
  const live = (await host.units()).find((unit) => unit.startsWith('shop@')) ?? '';
  const open = constants.O_RDWR | constants.O_NONBLOCK;
  expect(await flagsOfPublicSocket(live)).toBe(open);
  await host.shell('systemctl start shop-pause.service');
  expect(await flagsOfPublicSocket(live)).toBe(open);
  await host.shell('systemctl stop shop-pause.service');
});

test('by pause, those whom a release that hangs did not fetch meet the next one at once, and it is known', async () => {
  const [hanging = ''] = await host.units();
  await host.shell(`systemctl kill --signal=STOP ${hanging}`);
  const waiting = [1, 2, 3].map(() => host.health());
  const running = host.deploy({ version: 'bad', health: 'html when live', migrate: addTable('hung') });
  await host.until(`systemctl show -p ActiveState --value ${hanging} | grep deactivating`);
  await host.shell(`systemctl kill --signal=KILL ${hanging}`);
  expect(await running).toMatchObject({
    result: 'reverted',
    reason: 'check-failed',
    met: true,
    healthy: true,
  });
  expect(await Promise.all(waiting)).toContainEqual(expect.stringContaining('<html>'));
  expect(await host.sql('.tables')).toContain('hung');
});

test('by overlap, nobody waits and no request is lost', async () => {
  await host.prepare({ switch: 'overlap' });
  const load = host.load();
  const result = await host.deploy({ version: '4', atImport: 'time.sleep(1)' });
  const seen = await load.stop();
  expect(result).toMatchObject({ result: 'done', reason: 'deployed', wait_ms: 0 });
  expect(seen.lost).toEqual({});
  expect(Object.keys(seen.answered).sort()).toEqual(['4', 'started once']);
  expect(await missing(seen)).toEqual([]);
});

test('by overlap, the old one comes back under load, and the bad one never comes again', async () => {
  const [live] = await host.units();
  const load = host.load();
  const result = await host.deploy({ version: '5', health: 'html when live' });
  expect(result).toMatchObject({ result: 'reverted', reason: 'check-failed', met: true, healthy: true });
  const seen = await load.stop();
  expect(seen.lost).toEqual({});
  expect(await host.units()).toEqual([live]);
  const after = host.load();
  await host.shell('systemctl daemon-reload; sleep 3');
  expect(Object.keys((await after.stop()).answered)).toEqual(['4']);
  expect(await host.units()).toEqual([live]);
});

const dies = 'rehearsal or threading.Timer(3, os.kill, (os.getppid(), signal.SIGTERM)).start()';
test.each<[string, Partial<Variant>, string]>([
  ['starts and dies after seconds', { atImport: dies }, 'start-failed'],
  ['does not bear its users', { health: 'html under load' }, 'check-failed'],
])('by overlap, a release that %s is taken back, and no request is lost', async (_, variant, reason) => {
  await host.watch(6000);
  const [live] = await host.units();
  const load = host.load();
  const result = await host.deploy({ version: '5', ...variant });
  const seen = await load.stop();
  expect(result).toMatchObject({ result: 'reverted', reason, met: true, healthy: true });
  expect(seen.lost).toEqual({});
  expect(await missing(seen)).toEqual([]);
  expect(await host.units()).toEqual([live]);
  expect((await host.details(result)).log.join()).toContain('gunicorn');
  await host.watch(0);
});

test('what a release said last is told, also where the journal of the host is behind', async () => {
  const end =
    "open('/srv/shop/shared/ending', 'w'), time.sleep(1), print('the licence was withdrawn', flush=True), os._exit(3)";
  const stall = `until test -e /srv/shop/shared/ending; do sleep 0.05; done
    pkill -STOP -x systemd-journal; sleep 8; pkill -CONT -x systemd-journal`;
  const stalled = host.shell(stall);
  const result = await host.deploy({ version: 'ending', atImport: `rehearsal or (${end})` });
  await stalled;
  expect(result).toMatchObject({ result: 'reverted', reason: 'start-failed' });
  expect((await host.details(result)).log.join()).toContain('the licence was withdrawn');
});

test('workers never run twice: they are stopped before the data changes, and started with the new release', async () => {
  await host.prepare({ switch: 'pause', workers: 'mailer' });
  const workers = ['mailer'];
  await host.deploy({ version: '6', workers });
  const first = await host.shell('systemctl show -p MainPID --value shop-worker@mailer');
  const migrate = 'systemctl is-active shop-worker@mailer >>"$UNDERSTUDY_SHARED/mailer" || true';
  expect(await host.deploy({ version: '7', workers, migrate })).toMatchObject({ result: 'done' });
  expect(await host.shell('cat /srv/shop/shared/mailer')).toBe('inactive');
  expect(await host.shell('systemctl is-active shop-worker@mailer')).toBe('active');
  expect(await host.shell('systemctl show -p MainPID --value shop-worker@mailer')).not.toBe(first);
});

test('a live release that was made for a socket keeps it until the first deploy by restart is good', async () => {
  await host.prepare({ switch: 'pause' });
  await host.deploy({ version: 'socketed' });
  const [old] = await host.units();
  expect(await host.prepare({ switch: 'restart' })).toMatchObject({ result: 'done' });
  await host.shell(`systemctl kill --signal=KILL ${old}`);
  await host.until('curl --silent --fail --max-time 5 http://127.0.0.1:8080/health');
  const result = await host.deploy({ version: '8', health: 'html when live' });
  expect(result).toMatchObject({ result: 'reverted', reason: 'check-failed', met: true, healthy: true });
  await host.cutPower();
  await host.until('curl --silent --fail --max-time 5 http://127.0.0.1:8080/health');
  expect(await host.units()).toEqual([old]);
});

test('by restart, for a server that takes no socket; the time it was down is told', async () => {
  expect(await host.deploy({ version: '1' })).toMatchObject({ result: 'done', reason: 'deployed' });
  const result = await host.deploy({ version: '2' });
  expect(result).toMatchObject({ result: 'done', reason: 'deployed', wait_ms: 0 });
  expect(result['down_ms']).toBeGreaterThan(0);
  const html = await host.deploy({ version: '3', health: 'html' });
  expect(html).toMatchObject({ result: 'reverted', reason: 'check-failed', met: false });
  const live = await host.deploy({ version: '4', health: 'html when live' });
  expect(live).toMatchObject({ result: 'reverted', reason: 'check-failed', met: true, healthy: true });
  expect(await host.health()).toContain('"version": "2"');
});
