import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Cloud } from '../../rehearsal/cloud/cloud.ts';
import { requireRecord } from '../../rehearsal/cloud/record.ts';
import { type Host, lowerHost, raiseHost } from './ground.ts';
import { atStart } from './restores.ts';

jest.setTimeout(90_000);

let cloud: Cloud;
let host: Host;
let live: string;

/** Prints the status that the metadata gives: 401 to whoever has no token, 000 when there is no answer. */
const ask =
  "curl --silent --max-time 3 --write-out '%{http_code}' --output /dev/null http://169.254.169.254/latest/meta-data/ || true";

beforeAll(async () => {
  ({ cloud, host } = await raiseHost());
  await host.prepare();
  const release = await host.store({
    version: '1',
    prepare: `(${ask}) >asked`,
    migrate: `[[ -n \${UNDERSTUDY_REHEARSAL:-} ]] || (${ask}) >"$UNDERSTUDY_SHARED/asked"`,
  });
  live = (await host.deployStored(release)).release;
}, 120_000);

afterAll(lowerHost, 60_000);

const check = () => host.shell('/usr/local/lib/understudy/firewall check 2>&1 && echo in force');
const answers = () => host.shell(`for user in root shop; do runuser -u $user -- sh -c "${ask}"; echo; done`);
const closed = '401\n000';

describe('the instance metadata', () => {
  test('is closed to hooks, whoever they run as', async () => {
    expect(await host.shell(`cat /srv/shop/releases/${live}/asked`)).toBe('000');
    expect(await host.shell('cat /srv/shop/shared/asked')).toBe('000');
  });

  test("stays closed when the host's own rules are loaded, loaded anew and flushed, with the app untouched", async () => {
    const before = await host.shell(`systemctl show -p InvocationID shop@${live}`);
    for (const change of ['start', 'reload', 'restart', 'stop']) {
      await host.shell(`systemctl ${change} nftables`);
      expect(`${change}: ${await check()}`).toBe(`${change}: in force`);
      expect(await answers()).toBe(closed);
    }
    expect(await host.shell(`systemctl show -p InvocationID shop@${live}`)).toBe(before);
  });

  test('is closed again by itself once somebody flushed our rule', async () => {
    await host.shell('nft flush ruleset');
    await host.until('/usr/local/lib/understudy/firewall check');
    expect(await answers()).toBe(closed);
  });

  test('is said to be open once somebody flushed our rule for good, and closed again by prepare-host', async () => {
    await host.shell('systemctl stop understudy-firewall-keep; nft flush ruleset');
    await expect(check()).rejects.toThrow('is not in force');
    expect(await answers()).toBe('401\n401');
    expect(await host.prepare()).toMatchObject({ result: 'done', reason: 'prepared' });
    expect(await check()).toBe('in force');
  });

  test('is said to be open where the rule stands but lets users through', async () => {
    await host.shell(`nft insert rule inet understudy output accept`);
    await expect(check()).rejects.toThrow('Other users than root still reach');
    await host.shell('systemctl reload understudy-firewall');
    expect(await check()).toBe('in force');
  });

  test('keeps the app from starting while it cannot be closed', async () => {
    // Nothing may start the app, or what it requires, while that is being stopped.
    const starters = 'understudy-check@shop.timer understudy-check@shop.service understudy-firewall-keep';
    await host.shell(
      `mv /etc/understudy/metadata.nft /root/; systemctl stop ${starters}; systemctl stop understudy-firewall`,
    );
    expect(await host.units()).toEqual([]);
    await expect(host.shell(`systemctl start shop@${live}`)).rejects.toThrow('dependency');
    await host.shell(
      `mv /root/metadata.nft /etc/understudy/; systemctl start shop@${live} understudy-check@shop.timer`,
    );
    expect(await host.health()).toContain('"version": "1"');
  });

  test("is closed after a boot on which the host's own rules flush everything", async () => {
    const late = '[Service]\\nExecStartPre=/bin/sleep 1\\n';
    await host.shell(
      `printf '${late}' >/etc/systemd/system/nftables.service.d/late.conf; systemctl enable nftables`,
    );
    await host.cutPower();
    await host.until('curl --silent --fail --max-time 5 http://127.0.0.1:8080/health');
    expect(await host.shell('systemctl is-active nftables')).toBe('active');
    expect(await check()).toBe('in force');
    expect(await answers()).toBe(closed);
    expect(await host.shell('curl --silent --max-time 10 http://127.0.0.1:8080/metadata')).toContain(
      '"metadata": "no: ',
    );
  });
});

const metadataProcess = (): number => {
  const { pid = 0 } =
    requireRecord(cloud.name).programs.find(({ name }) => name === 'metadata')?.process ?? {};
  expect(pid).toBeGreaterThan(0);
  return pid;
};

test('a metadata service that is silent for longer than one request waits is asked again', async () => {
  const pid = metadataProcess();
  process.kill(pid, 'SIGSTOP');
  const probed = host.probe();
  await sleep(7000);
  process.kill(pid, 'SIGCONT');
  expect(await probed).toMatchObject({ result: 'done', live, healthy: true });
});

test('a metadata service that takes two seconds to answer keeps no release away', async () => {
  const pid = metadataProcess();
  let over = false;
  const slow = async (): Promise<void> => {
    while (!over) {
      process.kill(pid, 'SIGSTOP');
      await sleep(2000);
      process.kill(pid, 'SIGCONT');
      await sleep(50);
    }
  };
  const slowness = slow();
  const deployed = await host.deploy({ version: '1', prepare: 'true' }).finally(() => {
    over = true;
  });
  await slowness;
  expect(deployed).toMatchObject({ result: 'done', reason: 'deployed' });
  live = deployed.release;
});

describe('the network', () => {
  /** Who of them has an answer from another machine of the network, be it a refusal. */
  const reached = () =>
    host.shell(
      `at=$(sed -n 's/^endpoint_url = //p' /root/.aws/config); for user in root shop shop-rehearse understudy-build; do runuser -u $user -- curl --silent --max-time 3 --output /dev/null "$at" && echo $user; done; true`,
    );

  test('of a drill host is closed to the app and its hooks, which go on to serve the host itself', async () => {
    expect(await reached()).toBe('root\nshop\nshop-rehearse\nunderstudy-build');
    expect(await host.prepare({ environment: 'drill' })).toMatchObject({
      result: 'done',
      reason: 'prepared',
    });
    expect(await reached()).toBe('root');
    await atStart(
      host,
      `: >/srv/shop/shared/reached; curl --silent --max-time 3 "$(sed -n 's/.*endpoint_url = //p' /srv/shop/shared/config)" >/dev/null && echo yes >/srv/shop/shared/reached; true`,
    );
    await host.shell(
      `install -o shop /root/.aws/config /srv/shop/shared/config; systemctl restart shop@${live}`,
    );
    expect(await host.health()).toContain('"version": "1"');
    expect(await host.shell('cat /srv/shop/shared/reached')).toBe('');
    expect(await check()).toBe('in force');
    await host.shell('nft flush ruleset');
    await host.until('/usr/local/lib/understudy/firewall check');
    expect(await reached()).toBe('root');
  });

  test('of a host that is one of its environment again is open', async () => {
    expect(await host.prepare()).toMatchObject({ result: 'done', reason: 'prepared' });
    expect(await reached()).toBe('root\nshop\nshop-rehearse\nunderstudy-build');
  });
});
