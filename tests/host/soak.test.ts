import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { addTable } from './app.ts';
import { type Host, lowerHost, raiseHost } from './ground.ts';

jest.setTimeout(120_000);

const checks = '/var/lib/understudy/shop/checks';
let host: Host;
let first: string;
let live: string;

beforeAll(async () => {
  ({ host } = await raiseHost());
  await host.shell('echo 2 >/etc/understudy/beat-seconds');
  await host.prepare();
  first = await host.store({ version: '1' });
  await host.deployStored(first);
  live = await host.store({ version: '2', migrate: addTable('two') });
}, 120_000);

afterAll(lowerHost, 60_000);

const soakOf = async (release: string) =>
  (await host.probe('none', release))['soak'] as Record<string, number | string>;

describe('the check log', () => {
  test('is written by the host itself, beat by beat, for root alone', async () => {
    const short = first.slice(0, 12);
    await host.until(`(($(cat ${checks}/*.jsonl | grep -c '"ok":true') >= 4))`);
    const [line = ''] = (await host.shell(`cat ${checks}/*.jsonl`)).split('\n');
    expect(JSON.parse(line)).toEqual({
      ...{ t: expect.any(Number), release: short, digest: first, restarts: 0, ok: true, problem: '' },
      invocation: await host.shell(`systemctl show --property InvocationID --value shop@${short}.service`),
    });
    expect(await host.shell(`find ${checks} ! -user root -o -perm /077; stat -c %a ${checks}`)).toBe('700');
    const soak = await soakOf(first);
    expect(soak).toMatchObject({ release: first, ended: 'live', minutes: 0 });
    expect(Number(soak['seconds'])).toBeGreaterThanOrEqual(4);
  });

  test('tells of the release that followed, and that the one before was well until then', async () => {
    expect(await host.deployStored(live)).toMatchObject({ result: 'done' });
    await host.until(`grep --quiet '"release":"${live.slice(0, 12)}"' ${checks}/*.jsonl`);
    expect(await soakOf(first)).toMatchObject({ ended: 'replaced' });
    expect(await soakOf(live)).toMatchObject({ ended: 'live' });
    expect(await host.shell(`grep --count '"ok":false' ${checks}/*.jsonl || true`)).toBe('0');
  });

  test('goes on after a power cut, with a span that begins anew', async () => {
    await host.cutPower();
    const boot = await host.shell('date +%s');
    await host.until(`(($(tail -n 1 ${checks}/*.jsonl | jq .t) > ${boot}))`);
    const soak = await soakOf(live);
    expect(Number(soak['from'])).toBeGreaterThanOrEqual(Number(boot) - 30);
    expect(soak).toMatchObject({ ended: 'live' });
  });

  test('says what is wrong while the release does not answer', async () => {
    const unit = `shop@${live.slice(0, 12)}`;
    await host.shell(`systemctl kill --signal=STOP --kill-whom=all ${unit}`);
    await host.until(`tail -n 1 ${checks}/*.jsonl | grep --quiet '/health: no answer within 5000 ms'`);
    expect(await soakOf(live)).toMatchObject({ ended: 'check' });
    await host.shell(`systemctl kill --signal=CONT --kill-whom=all ${unit}`);
    await host.until(`tail -n 1 ${checks}/*.jsonl | grep --quiet '"ok":true'`);
    expect(await soakOf(live)).toMatchObject({ ended: 'live' });
  });
});

describe('the releases that are kept', () => {
  test('are told with whether the data is as they knew it, and how many rows there are', async () => {
    await host.sql('DELETE FROM notes; INSERT INTO notes VALUES (1), (2), (3)');
    expect(await host.probe('none', 'kept')).toMatchObject({
      rows: 3,
      kept: [{ release: first, commit: 'a'.repeat(40), deployed: expect.any(Number), fits: false }],
    });
    await host.sql('DROP TABLE two');
    expect(await host.probe('none', 'kept')).toMatchObject({ kept: [{ release: first, fits: true }] });
    await host.sql('CREATE TABLE two (x)');
  });

  test('are the newest four of fifty, in a line that SSM does not cut', async () => {
    await host.shell(`cd /var/lib/understudy/shop/releases; for n in {10..59}; do
short=$(printf 'fa%010d' "$n"); cp ${first.slice(0, 12)}.description.json $short.description.json
jq -c --arg release "$short$(printf '%052d' 0)" --argjson n "$n" '. + {$release, deployed: ($n * 1000)} | .commit = "c" * 500' ${first.slice(0, 12)}.json >$short.json; done`);
    const result = await host.probe('none', 'kept');
    const kept = result['kept'] as { release: string }[];
    expect(kept.map(({ release }) => release.slice(0, 12))).toEqual([
      first.slice(0, 12),
      ...['fa0000000059', 'fa0000000058', 'fa0000000057'],
    ]);
    expect(JSON.stringify({ ...result, code: undefined }).length).toBeLessThanOrEqual(2000);
    await host.shell('cd /var/lib/understudy/shop/releases; rm fa*');
  });
});
