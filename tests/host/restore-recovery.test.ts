// A restore that dies: at each of its renames, while it is put back, and when the app starts. Once old or once new.
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Backups } from './backups.ts';
import { type Host, lowerHost, type Result, raiseHost } from './ground.ts';
import { atStart, Restores, shared } from './restores.ts';

jest.setTimeout(120_000);

let host: Host;
let restores: Restores;
let live: string;
let request: object;

// The renames of a restore, in order: each may be held, and what holds it be killed or lose its power.
const holdingMv = `#!/bin/sh
if [ "$1" = -T ] && [ -e /run/hold/at ]; then
  case $2 in
  ${shared}/*)
    count=$(($(cat /run/hold/count) + 1))
    echo "$count" >/run/hold/count
    if [ "$count" = "$(cat /run/hold/at)" ]; then touch /run/hold/held; while [ -e /run/hold/at ]; do sleep 0.1; done; fi
    ;;
  esac
fi
exec /usr/bin/mv "$@"`;

const hold = (at: number) =>
  host.shell(
    `rm -rf /run/hold; install -d -m 1777 /run/hold; echo 0 >/run/hold/count; chmod 666 /run/hold/count; echo ${at} >/run/hold/at`,
  );
const kill = (operation: string) =>
  host.shell(`systemctl kill --signal=KILL understudy-shop-${operation}.service; rm -f /run/hold/at`);

beforeAll(async () => {
  const ground = await raiseHost();
  ({ host } = ground);
  await host.prepare({ switch: 'pause' });
  const backups = await Backups.raise(ground);
  restores = new Restores(ground, backups);
  live = (await host.deploy({ version: 'live' })).release;
  await host.sql("INSERT INTO notes VALUES ('kept')");
  await host.shell(`mkdir ${shared}/uploads; touch ${shared}/uploads/kept; chown -R shop: ${shared}/uploads`);
  await backups.describe('.data.include = ["uploads"]');
  request = await restores.request(await backups.make(), ['databases', 'files']);
  await host.shell(`cat >/usr/local/bin/mv <<'END'\n${holdingMv}\nEND\nchmod 755 /usr/local/bin/mv`);
}, 180_000);

afterAll(lowerHost, 60_000);

beforeEach(async () => {
  await host.sql("DELETE FROM notes WHERE note <> 'kept'; INSERT INTO notes VALUES ('later')");
  await host.shell(
    `rm -rf ${shared}/.understudy-aside ${shared}/uploads/*; touch ${shared}/uploads/later; chown -R shop: ${shared}/uploads`,
  );
});

/** All of the old set, or all of the new one, under the app that is alone and well. */
async function stands(which: 'old' | 'new'): Promise<void> {
  const [notes, files] = which === 'old' ? ['kept,later', 'later'] : ['kept', 'kept'];
  expect(await host.sql('SELECT group_concat(note) FROM notes')).toBe(notes);
  expect(await host.shell(`ls ${shared}/uploads`)).toBe(files);
  expect(await host.units()).toEqual([`shop@${live}.service`]);
  expect(await host.health()).toContain('"version": "live"');
  expect(await restores.leftBehind()).toBe('');
  // Where the new one stands, the old one is kept.
  const aside = await host.shell(
    `find ${shared}/.understudy-aside -name app.db -o -name later 2>/dev/null | wc -l`,
  );
  expect(aside).toBe(which === 'old' ? '0' : '2');
}

describe('killed with -9', () => {
  test.each([
    [2, 'between the database and the files'],
    [3, 'before anything was put in place'],
    [4, 'between the files and the database'],
  ])('at rename %i, %s: the old set is back', async (at) => {
    const operation = host.operation();
    await hold(at);
    const running = restores.run(request, { operation });
    await host.until('test -e /run/hold/held');
    await kill(operation);
    expect(await running).toMatchObject({
      ...{ result: 'reverted', reason: 'interrupted', code: 1, met: false, healthy: true, release: live },
    });
    await stands('old');
  });

  test('while the app starts on the backup: recovery carries it to its end', async () => {
    await atStart(host, 'touch /tmp/starting; sleep 2');
    const operation = host.operation();
    const running = restores.run(request, { operation });
    await host.untilStep(operation, 'start');
    await host.until('ls /tmp/starting /tmp/systemd-private*/tmp/starting 2>/dev/null | grep -q .');
    await kill(operation);
    const result: Result = await running;
    await atStart(host, '');
    expect(result).toMatchObject({ result: 'done', reason: 'restored', healthy: true });
    expect(result.sentence).toContain('finished by recovery');
    await stands('new');
  });

  test.each([
    [6, 'while the new set goes'],
    [8, 'while the old set comes'],
  ])('at rename %i, %s, because the app did not start: the old set is back', async (at) => {
    // Content with the old set, and with nothing, on which recovery could take a mixture for well.
    await atStart(
      host,
      `[ ! -s ${shared}/app.db ] || sqlite3 ${shared}/app.db 'SELECT note FROM notes' | grep -q later`,
    );
    const operation = host.operation();
    await hold(at);
    const running = restores.run(request, { operation });
    await host.until('test -e /run/hold/held');
    await kill(operation);
    expect(await running).toMatchObject({ result: 'reverted', healthy: true, release: live });
    await atStart(host, '');
    await stands('old');
  });
});

describe('a power cut', () => {
  const line = (operation: string) => `/var/lib/understudy/shop/operations/${operation}/line`;

  test('in the middle of the exchange: the old set is back before the app starts', async () => {
    const operation = host.operation();
    await hold(4);
    const running = restores.run(request, { operation }).catch(() => undefined);
    await host.until('test -e /run/hold/held');
    await host.cutPower();
    await running;
    await host.until(`test -f ${line(operation)}`);
    expect(await host.probe(operation)).toMatchObject({
      ...{ live, healthy: true, about: { result: { result: 'reverted', reason: 'interrupted' } } },
    });
    await stands('old');
  });

  test('after it: the app boots on the backup, and the restore is told as done', async () => {
    const operation = host.operation();
    await atStart(host, 'touch /tmp/starting; sleep 5');
    const running = restores.run(request, { operation }).catch(() => undefined);
    await host.untilStep(operation, 'start');
    await host.cutPower(); // takes what was laid below /run with it
    await running;
    await host.until(`test -f ${line(operation)}`);
    expect(await host.probe(operation)).toMatchObject({
      ...{ live, healthy: true, about: { result: { result: 'done', reason: 'restored' } } },
    });
    await stands('new');
  });
});
