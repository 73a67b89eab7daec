import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { addTable, type Variant } from './app.ts';
import { type Host, lowerHost, type Result, raiseHost } from './ground.ts';

jest.setTimeout(180_000);

let host: Host;
let live: string;

beforeAll(async () => {
  ({ host } = await raiseHost());
  await host.prepare({ switch: 'pause' });
  live = (await host.deploy({ version: 'old' })).release;
}, 120_000);

afterAll(lowerHost, 60_000);

const onlyLive = 'time.sleep(0 if rehearsal else 60)';
const liveOnly = (command: string) => `[[ -n \${UNDERSTUDY_REHEARSAL:-} ]] || { ${command}; }`;

/** Holds every systemctl whose words begin so, before it is run, until the power or the file is gone. */
const holdAt = (words: string) => `cat >/usr/local/sbin/systemctl <<'END'
#!/bin/sh
while [ -e /run/hold-at ]; do
  case "$*" in "$(cat /run/hold-at)"*) touch /run/held; sleep 0.1 ;; *) break ;; esac
done
exec /usr/bin/systemctl "$@"
END
chmod 755 /usr/local/sbin/systemctl; rm -f /run/held; echo '${words}' >/run/hold-at`;

const kill = (operation: string) =>
  `/usr/bin/systemctl kill --signal=KILL understudy-shop-${operation}.service; rm -f /run/hold-at`;

async function whatIsLeft(): Promise<string> {
  return host.shell(
    'ls /var/lib/understudy/shop/rehearsal 2>/dev/null; ls /srv/shop/current.new 2>/dev/null || true',
  );
}

// At each line of its journal: rehearsal/torture. Here, in the middle of what a release brings along.
describe('an operation killed with -9', () => {
  beforeEach(async () => {
    await host.sql('DELETE FROM notes; INSERT INTO notes VALUES (42)');
  });

  const hook = "pgrep -xf 'sleep 60'";
  const cases: [step: string, begun: string, Variant][] = [
    ['rehearse-migrate', hook, { version: 'r', migrate: 'sleep 60' }],
    ['migrate', hook, { version: 'm', migrate: liveOnly(`${addTable('half')}\nsleep 60`) }],
    [
      'switch',
      `systemctl list-units --plain --no-legend 'shop@*' | grep --invert-match "$(basename "$(readlink /srv/shop/current)")"`,
      { version: 'w', migrate: addTable('whole'), atImport: onlyLive },
    ],
  ];

  test.each(cases)(
    'in %s is put back by the host itself, and the watcher tells it',
    async (step, begun, variant) => {
      const before = await host.sql('.dump');
      const operation = host.operation();
      const release = await host.store(variant);
      const running = host.deployStored(release, { operation });
      await host.untilStep(operation, step);
      await host.until(begun);
      await host.shell(kill(operation));
      expect(await running).toMatchObject({
        ...{ result: 'reverted', reason: 'interrupted', met: false, healthy: true, previous: live, code: 1 },
      });
      expect(await host.units()).toEqual([`shop@${live}.service`]);
      expect(await host.health()).toContain('"version": "old"');
      expect(await host.sql('.dump')).toBe(before);
      expect(await whatIsLeft()).toBe('');
      expect(await host.probe(operation)).toMatchObject({ running: '', about: { state: 'ended', step } });
      expect(await host.shell('systemctl is-active shop.socket')).toBe('active');
    },
  );

  test('its watcher alone: the work goes on, and a second watcher waits for it', async () => {
    const operation = host.operation();
    const release = await host.store({ version: 'watched', prepare: 'sleep 4' });
    const first = host.deployStored(release, { operation }).catch(() => 'killed');
    await host.untilStep(operation, 'prepare');
    await host.shell(`pkill -9 -f '^/bin/bash /root/script' || true`);
    expect(await first).toBe('killed');
    const second: Result = await host.deployStored(release, { operation });
    expect(second).toMatchObject({ result: 'done', reason: 'deployed' });
    expect(
      await host.shell(
        `grep -c '"step":"prepare","event":"started"' /var/lib/understudy/shop/operations/${operation}/journal.jsonl`,
      ),
    ).toBe('1');
    live = second.release;
  });
});

describe('an operation killed between two commands of its switch by pause', () => {
  test.each([
    ['the old one has lost its probe and still runs', `stop shop@`, false],
    ['the new one is about to start', 'start --no-block shop@', false],
    ['the new one is about to meet its users', 'stop shop-pause', true],
  ])('when %s', async (_, words, met) => {
    const before = await host.sql('.dump');
    await host.shell(holdAt(words));
    const operation = host.operation();
    const release = await host.store({ version: words, migrate: addTable('midway') });
    const running = host.deployStored(release, { operation });
    await host.until('test -e /run/held');
    await host.shell(kill(operation));
    expect(await running).toMatchObject({ result: 'reverted', reason: 'interrupted', met, previous: live });
    expect(await host.units()).toEqual([`shop@${live}.service`]);
    // Once the new one may have been met, what was written to the data since is kept.
    if (!met) expect(await host.sql('.dump')).toBe(before);
  });
});

describe('a power cut', () => {
  test('in the middle of a live migration: the old data and the old release come up alone', async () => {
    const before = await host.sql('.dump');
    const operation = host.operation();
    const release = await host.store({
      version: 'cut',
      migrate: liveOnly(`${addTable('cut')}\ntouch /tmp/migrated; sleep 60`),
    });
    const running = host.deployStored(release, { operation }).catch(() => undefined);
    await host.until('test -e /tmp/migrated');
    await host.cutPower();
    await running;
    await host.until(`test -f /var/lib/understudy/shop/operations/${operation}/line`);
    expect(await host.probe(operation)).toMatchObject({
      live,
      healthy: true,
      about: { state: 'ended', result: { result: 'reverted', reason: 'interrupted', met: false } },
    });
    expect(await host.units()).toEqual([`shop@${live}.service`]);
    expect(await host.sql('.dump')).toBe(before);
  });

  test('between the rename of `current` and the reload: what `current` names comes up alone', async () => {
    await host.shell(holdAt('daemon-reload'));
    const operation = host.operation();
    const release = await host.store({ version: 'renamed' });
    const running = host.deployStored(release, { operation }).catch(() => undefined);
    await host.until('test -e /run/held');
    await host.cutPower();
    await running;
    await host.until(`test -f /var/lib/understudy/shop/operations/${operation}/line`);
    await host.shell('rm /usr/local/sbin/systemctl');
    expect(await host.probe(operation)).toMatchObject({
      live: release.slice(0, 12),
      healthy: true,
      about: { state: 'ended', result: { result: 'done', reason: 'deployed' } },
    });
    expect(await host.units()).toEqual([`shop@${release.slice(0, 12)}.service`]);
    live = release.slice(0, 12);
  });

  test('with nothing going on: the live release and its port come up', async () => {
    await host.cutPower();
    await host.until('curl --silent --fail --max-time 5 http://127.0.0.1:8080/health');
    expect(await host.units()).toEqual([`shop@${live}.service`]);
    expect(
      await host.shell(
        'runuser -u nobody -- curl --silent --max-time 3 -w "%{http_code}" http://169.254.169.254/ || true',
      ),
    ).toBe('000');
    expect(await host.prepare()).toMatchObject({ result: 'unchanged', reason: 'already-prepared' });
  });
});

describe('by overlap', () => {
  beforeAll(async () => {
    await host.prepare({ switch: 'overlap' });
  });

  test('a switch killed when the new one has the port and the old one is about to stop', async () => {
    await host.shell(holdAt('stop shop@'));
    const operation = host.operation();
    const running = host.deployStored(await host.store({ version: 'beside' }), { operation });
    await host.until('test -e /run/held');
    const load = host.load();
    await host.shell(kill(operation));
    expect(await running).toMatchObject({
      result: 'reverted',
      reason: 'interrupted',
      met: true,
      healthy: true,
    });
    expect((await load.stop()).lost).toEqual({});
    expect(await host.units()).toEqual([`shop@${live}.service`]);
  });

  test.each([
    ['whole', `${addTable('over1')}\nsleep 60`, { result: 'reverted', reason: 'interrupted' }],
    ['not begun', `sleep 60\n${addTable('over2')}`, { result: 'reverted', reason: 'interrupted' }],
    [
      'half',
      `${addTable('over3')}\nsleep 60\n${addTable('over4')}`,
      { result: 'unknown', reason: 'migrate-interrupted' },
    ],
  ])('a live migration killed when it was %s is never resumed', async (_, live_, wanted) => {
    const quick = live_.replace('sleep 60', ':');
    const migrate = `if [[ -n \${UNDERSTUDY_REHEARSAL:-} ]]; then\n${quick}\nelse\n${live_}\nfi`;
    const operation = host.operation();
    const running = host.deployStored(await host.store({ version: 'over', migrate }), { operation });
    await host.untilStep(operation, 'migrate');
    await host.until("pgrep -xf 'sleep 60'");
    await host.shell(kill(operation));
    expect(await running).toMatchObject({ ...wanted, met: false, healthy: true });
    expect(await host.units()).toEqual([`shop@${live}.service`]);
  });
});
