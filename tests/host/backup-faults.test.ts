// What S3, the disk, the clock and a sudden death do to a backup: a true verdict, nothing left, and the next one good.
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Cloud } from '../../rehearsal/cloud/cloud.ts';
import { addFault, clearFaults, listFaults } from '../../rehearsal/cloud/fault.ts';
import { haltAt, letGo, untilHalted } from '../../rehearsal/torture/halt.ts';
import { pointOf } from '../../rehearsal/torture/journal.ts';
import { Backups, state } from './backups.ts';
import { type Host, lowerHost, raiseHost } from './ground.ts';

jest.setTimeout(180_000);

let cloud: Cloud;
let host: Host;
let backups: Backups;

beforeAll(async () => {
  const ground = await raiseHost();
  ({ cloud, host } = ground);
  backups = await Backups.raise(ground);
  expect(await host.deploy({ version: 'live' })).toMatchObject({ result: 'done' });
  expect(await backups.make()).toMatchObject({ result: 'done' });
}, 120_000);

afterAll(lowerHost, 60_000);

const manifestsOf = async (operation: string): Promise<string[]> =>
  (await backups.keys()).filter((key) => key.includes(operation) && key.endsWith('manifest.json'));

describe('S3', () => {
  afterEach(() => clearFaults(cloud));

  const database = '*/database-0.sqlite.zst';
  const manifest = '*/manifest.json';

  // A whole minute of 503 is a row of docs/torture-backup.md.
  test.each([
    ['answers 503 again and again, and stores the manifest without a word', 'throttle', 3, 'lost'],
    ['stores an object without a word, and answers 500 to the manifest', 'lost', 1, 'error'],
  ] as const)('that %s does no harm', async (_, kind, times, ofManifest) => {
    await addFault(cloud, { action: 'PutObject', kind, times, resource: database });
    await addFault(cloud, { action: 'PutObject', kind: ofManifest, resource: manifest });
    const result = await backups.make();
    expect((await listFaults(cloud)).map(({ left }) => left)).toEqual([0, 0]);
    expect(result).toMatchObject({ result: 'done', reason: 'backed-up' });
    const { databases } = await backups.manifest(result);
    for (const each of databases) await backups.unpacked(result, each);
  });

  test.each([
    ['an object', database, { result: 'failed', reason: 'upload-failed', code: 15 }],
    ['the manifest', manifest, { result: 'failed', reason: 'commit-failed', code: 16 }],
  ])('that refuses %s is asked no second time', async (_, resource, expected) => {
    const operation = host.operation();
    await addFault(cloud, { action: 'PutObject', kind: 'denied', resource });
    const before = await backups.kept();
    const result = await backups.make({ operation });
    expect(result).toMatchObject(expected);
    expect(result.sentence).toMatch(/could not be stored in shop-backups: .*AccessDenied/);
    const [fault] = await listFaults(cloud);
    expect(fault).toMatchObject({ met: 1, left: 0 });
    expect(await manifestsOf(operation)).toEqual([]);
    expect(await backups.leftBehind()).toBe('');
    expect(await backups.kept()).toEqual(before);
  });

  test('that has what is not ours under the key keeps it, and the backup fails', async () => {
    const operation = host.operation();
    const point = pointOf('upload:put');
    await haltAt(host, point);
    const running = backups.make({ operation });
    await untilHalted(host, point);
    const stamp = await host.shell(`basename ${state}/copies/*${operation}.half .half`);
    const key = `backups/shop/staging/daily/${stamp}/database-0.sqlite.zst`;
    await backups.put(key, 'of somebody else');
    await letGo(host);
    const result = await running;
    expect(result).toMatchObject({ result: 'failed', reason: 'upload-failed' });
    expect(result.sentence).toContain('PreconditionFailed');
    expect((await backups.get(key)).toString()).toBe('of somebody else');
  });

  test('that never answers about the manifest leaves it unknown', async () => {
    await addFault(cloud, { action: 'PutObject', kind: 'lost', resource: manifest, times: 'always' });
    const result = await backups.make({ timeout: '24' });
    expect(result).toMatchObject({ result: 'unknown', reason: 'commit-failed', code: 16 });
    expect(await backups.leftBehind()).toBe('');
  });
});

describe('kill -9', () => {
  const steps = [
    'lock',
    'sources',
    'room',
    'hold',
    'copy',
    'pack',
    'manifest',
    'upload',
    'upload:put',
    'commit',
  ];
  const after = ['commit:committing', 'commit:committed', 'keep', 'prune'];

  const kill = async (name: string): Promise<{ result: unknown; operation: string }> => {
    const operation = host.operation();
    const point = pointOf(name);
    await haltAt(host, point);
    const running = backups.make({ operation });
    await untilHalted(host, point);
    await host.shell(
      `systemctl kill --signal=KILL understudy-shop-${operation}.service; rm -rf /run/torture`,
    );
    return { result: await running, operation };
  };

  afterEach(() => letGo(host));

  test.each(steps)('at %s: told as failed, and nothing is left', async (name) => {
    const before = await backups.kept();
    const { result, operation } = await kill(name);
    expect(result).toMatchObject({ result: 'failed', reason: 'interrupted', code: 19 });
    expect(await backups.leftBehind()).toBe('');
    expect(await backups.kept()).toEqual(before);
    expect(await manifestsOf(operation)).toEqual([]);
  });

  test.each(after)('at %s: carried to its end, for its manifest may be stored', async (name) => {
    const { result, operation } = await kill(name);
    expect(result).toMatchObject({ result: 'done', reason: 'backed-up', code: 0 });
    expect(await backups.leftBehind()).toBe('');
    expect((await backups.kept()).filter((each) => each.includes(operation))).toHaveLength(1);
    expect((await backups.keys()).filter((key) => key.includes(operation))).toHaveLength(3);
  });

  test('over its verdict: what S3 had said to the manifest is told', async () => {
    const operation = host.operation();
    await addFault(cloud, { action: 'PutObject', kind: 'denied', resource: '*/manifest.json' });
    await addFault(cloud, { action: 'PutObject', kind: 'delay', resource: '*/results/*', seconds: 20 });
    const running = backups.make({ operation });
    await host.until(`test -s ${state}/operations/${operation}/details`);
    await host.shell(`systemctl kill --signal=KILL understudy-shop-${operation}.service`);
    expect(await running).toMatchObject({ result: 'failed', reason: 'commit-failed', code: 16 });
    await clearFaults(cloud);
    expect(await backups.leftBehind()).toBe('');
    expect((await backups.kept()).filter((each) => each.includes(operation))).toEqual([]);
  });

  test('by a power cut in the middle of the upload: nothing is left after the boot, and the next one is good', async () => {
    const operation = host.operation();
    const point = pointOf('upload:put');
    await haltAt(host, point);
    const running = backups.make({ operation }).catch(() => undefined);
    await untilHalted(host, point);
    await host.cutPower();
    await running;
    await host.until(`test -f ${state}/operations/${operation}/line`);
    expect(await host.probe(operation)).toMatchObject({
      about: { state: 'ended', result: { result: 'failed', reason: 'interrupted' } },
    });
    expect(await backups.leftBehind()).toBe('');
    await letGo(host);
    expect(await backups.make()).toMatchObject({ result: 'done' });
  });
});

describe('a disk', () => {
  const filler = '/var/lib/filler';
  const fill = (but: number) =>
    `free=$(df --output=avail --block-size=1K / | tail -n 1); fallocate --length $(((free - ${but} * 1024) * 1024)) ${filler}`;

  afterEach(() => host.shell(`rm -f ${filler}`));

  test('without room is not filled: refused, before anything is copied', async () => {
    await host.shell(fill(150));
    const result = await backups.make();
    expect(result).toMatchObject({ result: 'refused', reason: 'no-room', code: 11 });
    expect(result.sentence).toMatch(
      /has \d+ MiB free, and a backup needs about \d+ MiB beside \d+ MiB that stay free for the app. Earlier backups take \d+ MiB there/,
    );
  });

  test('that others fill meanwhile stops the backup before it is full', async () => {
    const operation = host.operation();
    await addFault(cloud, { action: 'PutObject', kind: 'delay', resource: '*/code.tar.zst', seconds: 30 });
    const running = backups.make({ operation });
    await host.untilStep(operation, 'upload');
    await host.shell(fill(100));
    expect(await running).toMatchObject({ result: 'failed', reason: 'no-room', code: 11 });
    await clearFaults(cloud);
    expect(await backups.leftBehind()).toBe('');
    await host.shell(`rm -f ${filler}`);
    expect(await backups.make()).toMatchObject({ result: 'done' });
  });
});

test.each(['+1h', '-1h'])(
  'a clock that is off by %s changes what it is called, and nothing else',
  async (off) => {
    const before = await backups.kept();
    const result = await backups.makeAt(off);
    expect(result).toMatchObject({ result: 'done' });
    const manifest = await backups.manifest(result);
    const hours = Math.round((manifest.started - Date.now()) / 3_600_000);
    expect(hours).toBe(off === '+1h' ? 1 : -1);
    for (const { ms } of manifest.phases) expect(ms).toBeLessThan(60_000);
    expect(await backups.kept()).toHaveLength(before.length + 1);
  },
);
