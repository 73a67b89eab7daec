import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { haltAt, letGo, untilHalted } from '../../rehearsal/torture/halt.ts';
import { pointOf } from '../../rehearsal/torture/journal.ts';
import { addTable } from './app.ts';
import { type Host, lowerHost, type Result, raiseHost } from './ground.ts';

jest.setTimeout(120_000);

let host: Host;
let first: string;
let second: string;

const short = (release: string) => release.slice(0, 12);
const unitOf = (release: string) => `shop@${short(release)}.service`;
const back = (release: string, parameters: Record<string, string> = {}): Promise<Result> =>
  host.run('rollback', { release, fence: '1', excerpts: 'on', data: 'same', ...parameters });

// One that does not come up while this file is there.
const maybeBroken = "if os.path.exists(os.path.join(shared, 'broken')): raise RuntimeError('broken')";

beforeAll(async () => {
  ({ host } = await raiseHost());
  await host.prepare({ workers: 'kept' });
  first = await host.store({ version: '1', workers: ['kept'], atImport: maybeBroken });
  second = await host.store({ version: '2', workers: ['kept'] });
  expect(await host.deployStored(first)).toMatchObject({ result: 'done' });
  expect(await host.deployStored(second)).toMatchObject({ result: 'done' });
}, 120_000);

afterAll(lowerHost, 60_000);

describe('a rollback', () => {
  test('takes users back without losing one, and rehearses, migrates and copies nothing', async () => {
    const load = host.load();
    await host.until('(($(sqlite3 /srv/shop/shared/app.db "SELECT count(*) FROM notes") > 10))');
    const result = await back(first);
    const { answered, lost } = await load.stop();
    expect(result).toMatchObject({
      ...{ result: 'done', reason: 'rolled-back', release: short(first), previous: short(second) },
      ...{ met: true, healthy: true, code: 0 },
    });
    expect(lost).toEqual({});
    expect(answered).toEqual({ '1': expect.any(Number), '2': expect.any(Number) });
    const { steps } = await host.details(result);
    expect(steps.map(({ name }) => name)).toEqual([
      ...['lock', 'room', 'download', 'unpack', 'fits', 'prepare', 'hold', 'switch', 'check', 'current'],
      ...['watch', 'prune'],
    ]);
    expect(await host.units()).toEqual([unitOf(first)]);
    expect(await host.shell('systemctl is-active shop-worker@kept')).toBe('active');
  });

  test('to the live release restarts nothing', async () => {
    const started = await host.shell(`systemctl show --property InvocationID ${unitOf(first)}`);
    expect(await back(first)).toMatchObject({ result: 'unchanged', reason: 'already-live' });
    expect(await host.shell(`systemctl show --property InvocationID ${unitOf(first)}`)).toBe(started);
  });

  test('is refused to an older fencing number, and to what another host was prepared for', async () => {
    expect(await back(second, { fence: '0' })).toMatchObject({ result: 'refused', reason: 'stale-fence' });
    await host.prepare({ workers: 'none' });
    expect(await back(second)).toMatchObject({ result: 'refused', reason: 'drift' });
    await host.prepare({ workers: 'kept' });
    expect(await host.units()).toEqual([unitOf(first)]);
  });

  test('to a release that does not come up leaves the live one as it was', async () => {
    expect(await back(second)).toMatchObject({ result: 'done' });
    await host.shell('touch /srv/shop/shared/broken');
    const before = await host.sql('.dump');
    expect(await back(first)).toMatchObject({
      ...{ result: 'reverted', reason: 'start-failed', met: false, healthy: true, previous: short(second) },
    });
    await host.shell('rm /srv/shop/shared/broken');
    expect(await host.units()).toEqual([unitOf(second)]);
    expect(await host.health()).toContain('"version": "2"');
    expect(await host.sql('.dump')).toBe(before);
    expect(await host.shell('systemctl is-active shop-worker@kept')).toBe('active');
  });
});

describe('after a migration', () => {
  let third: string;

  beforeAll(async () => {
    third = await host.store({ version: '3', workers: ['kept'], migrate: addTable('three') });
    expect(await host.deployStored(third)).toMatchObject({ result: 'done' });
    await host.sql('DELETE FROM notes; INSERT INTO notes VALUES (1), (2)');
  });

  test('it is refused, telling both schemas and the rows, and nothing is touched', async () => {
    const started = await host.shell(`systemctl show --property InvocationID ${unitOf(third)}`);
    const known = await host.shell(`jq -r .schema /var/lib/understudy/shop/releases/${short(second)}.json`);
    const now = await host.shell(`jq -r .schema /var/lib/understudy/shop/releases/${short(third)}.json`);
    const result = await back(second);
    expect(result).toMatchObject({ result: 'refused', reason: 'data-changed', rows: 2, code: 2 });
    expect(result.sentence).toContain(
      `begins with ${now.slice(0, 8)}, and the release's with ${known.slice(0, 8)}`,
    );
    expect(await host.shell(`systemctl show --property InvocationID ${unitOf(third)}`)).toBe(started);
  });

  test('it is done when the data is to be kept, and forward again by the same button', async () => {
    expect(await back(second, { data: 'keep' })).toMatchObject({ result: 'done', reason: 'rolled-back' });
    expect(await host.sql('SELECT count(*) FROM three')).toBe('0');
    expect(await back(third)).toMatchObject({ result: 'done', reason: 'rolled-back' });
  });

  test('a release that is kept no more is fetched again, and its schema is known still', async () => {
    const gone = `/var/lib/understudy/shop/releases/${short(first)}.json`;
    const fourth = await host.store({ version: '4', workers: ['kept'] });
    expect(await host.deployStored(fourth)).toMatchObject({ result: 'done' });
    expect(await host.shell(`ls ${gone} /srv/shop/releases/${short(first)} 2>/dev/null || true`)).toBe('');
    expect(await back(first)).toMatchObject({ result: 'refused', reason: 'data-changed' });
    await host.sql('DROP TABLE three');
    expect(await back(first)).toMatchObject({ result: 'done', previous: short(fourth) });
    expect(await host.health()).toContain('"version": "1"');
  });

  test('one of which this host knows nothing is refused', async () => {
    const never = await host.store({ version: 'never', workers: ['kept'] });
    const result = await back(never);
    expect(result).toMatchObject({ result: 'refused', reason: 'data-changed' });
    expect(result.sentence).toContain('does not know');
  });
});

describe('a rollback that is killed', () => {
  const reverted = { result: 'reverted', reason: 'interrupted', met: false, healthy: true };
  const cases = [
    ...['room', 'hold:held', 'switch'].map((at) => [at, reverted] as const),
    ...['switch:exposed', 'current'].map((at) => [at, { ...reverted, met: true }] as const),
    ['watch', { result: 'done', reason: 'rolled-back', healthy: true }] as const,
  ];

  test.each(cases)('at %s is put back, or carried to its end, by the host itself', async (at, wanted) => {
    const live = String((await host.probe())['digest']);
    const to = live === first ? second : first;
    await host.sql('CREATE TABLE IF NOT EXISTS notes (note)');
    const before = await host.sql('.dump');
    const point = pointOf(at);
    await haltAt(host, point);
    const operation = host.operation();
    const running = back(to, { operation, data: 'keep' });
    await untilHalted(host, point);
    await host.shell(`systemctl kill --signal=KILL understudy-shop-${operation}.service`);
    await letGo(host);
    expect(await running).toMatchObject(wanted);
    expect(await host.units()).toEqual([unitOf(wanted.result === 'done' ? to : live)]);
    expect(await host.shell('systemctl is-active shop.socket shop-worker@kept')).toBe('active\nactive');
    expect(await host.sql('.dump')).toBe(before);
  });

  test('by a power cut while users wait, boots with the release that was live', async () => {
    const live = String((await host.probe())['digest']);
    const point = pointOf('switch');
    await haltAt(host, point);
    const operation = host.operation();
    const running = back(live === first ? second : first, { operation, data: 'keep' }).catch(() => undefined);
    await untilHalted(host, point);
    await host.cutPower();
    await running;
    await host.until(`test -f /var/lib/understudy/shop/operations/${operation}/line`);
    expect(await host.probe(operation)).toMatchObject({
      live: short(live),
      healthy: true,
      about: { state: 'ended', result: { result: 'reverted', reason: 'interrupted', met: false } },
    });
  });
});

test('by overlap nobody waits for it', async () => {
  await host.prepare({ switch: 'overlap', workers: 'none' });
  const [old, young] = [await host.store({ version: 'o1' }), await host.store({ version: 'o2' })];
  await host.deployStored(old);
  await host.deployStored(young);
  const load = host.load();
  const result = await back(old);
  expect((await load.stop()).lost).toEqual({});
  expect(result).toMatchObject({ result: 'done', reason: 'rolled-back', wait_ms: 0, met: true });
  expect(await host.units()).toEqual([unitOf(old)]);
});
