import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { haltAt, letGo, untilHalted } from '../../rehearsal/torture/halt.ts';
import { pointOf } from '../../rehearsal/torture/journal.ts';
import { Backups } from './backups.ts';
import { type Host, lowerHost, type Result, raiseHost } from './ground.ts';

jest.setTimeout(120_000);

let host: Host;
let backups: Backups;
let live: string;
let next: string;

const retire = (parameters: Record<string, string> = {}): Promise<Result> =>
  host.run('retire', { fence: '1', excerpts: 'on', ...parameters });

const runs = () =>
  host.shell(`systemctl list-units --plain --no-legend --state=active,activating,reloading 'shop*' 'understudy-check@shop.timer' | cut -d ' ' -f 1
ss -Hltn 'sport = :8080'; true`);

const prepared = () => ({ workers: 'kept', backups: backups.bucket });

const bringBack = async () => {
  expect(await host.prepare(prepared())).toMatchObject({ result: 'done', reason: 'prepared' });
  await host.until('curl --silent --fail --max-time 5 http://127.0.0.1:8080/health');
  await host.until('systemctl --quiet is-active shop-worker@kept understudy-check@shop.timer');
};

beforeAll(async () => {
  const ground = await raiseHost();
  ({ host } = ground);
  backups = await Backups.raise(ground);
  await host.prepare(prepared());
  live = (await host.deploy({ version: '1', workers: ['kept'] })).release;
  next = await host.store({ version: '2', workers: ['kept'] });
}, 120_000);

afterAll(lowerHost, 60_000);

describe('a machine that is retired', () => {
  test('is not, by whoever carries an older fencing number', async () => {
    expect(await retire({ fence: '0' })).toMatchObject({ result: 'refused', reason: 'stale-fence' });
    expect(await host.units()).toEqual([`shop@${live}.service`]);
  });

  test('runs nothing of the app, and refuses its users at once', async () => {
    expect(await retire()).toMatchObject({ result: 'done', reason: 'retired', release: live, code: 0 });
    expect(await runs()).toBe('');
    expect(await host.shell('curl --silent http://127.0.0.1:8080/ || echo $?')).toBe('7');
    expect(await retire()).toMatchObject({ result: 'unchanged', reason: 'already-retired' });
  });

  test('gives a last backup, which starts nothing', async () => {
    const result = await backups.make();
    expect(result).toMatchObject({ result: 'done', reason: 'backed-up', databases: 1 });
    expect(await runs()).toBe('');
  });

  test('gives no release a way back', async () => {
    expect(await host.deployStored(next)).toMatchObject({ result: 'refused', reason: 'not-enrolled' });
    expect(
      await host.run('rollback', { release: next, fence: '1', excerpts: 'on', data: 'keep' }),
    ).toMatchObject({ result: 'refused', reason: 'not-enrolled' });
    expect(await host.probe()).toMatchObject({ result: 'done', live, healthy: false, socket: 'inactive' });
  });

  test('stays so at the next boot, and is brought back by prepare-host', async () => {
    await host.cutPower();
    await host.until('[[ $(systemctl is-system-running) =~ ^(running|degraded)$ ]]');
    expect(await runs()).toBe('');
    await bringBack();
    expect(await host.units()).toEqual([`shop@${live}.service`]);
  });
});

describe('a retirement that is killed', () => {
  test.each([
    ['lock', { result: 'failed', reason: 'interrupted' }],
    ['check', { result: 'done', reason: 'retired' }],
  ])('at %s is not begun, or carried to its end', async (at, wanted) => {
    const point = pointOf(at);
    await haltAt(host, point);
    const operation = host.operation();
    const running = retire({ operation });
    await untilHalted(host, point);
    await host.shell(`systemctl kill --signal=KILL understudy-shop-${operation}.service`);
    await letGo(host);
    expect(await running).toMatchObject(wanted);
    if (wanted.result === 'done') {
      expect(await runs()).toBe('');
      await bringBack();
    }
    expect(await host.units()).toEqual([`shop@${live}.service`]);
  });
});
