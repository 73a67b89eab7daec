import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Cloud } from '../../rehearsal/cloud/cloud.ts';
import { type Host, lowerHost, raiseHost } from './ground.ts';

jest.setTimeout(90_000);

let cloud: Cloud;
let host: Host;
let live: string;

beforeAll(async () => {
  ({ cloud, host } = await raiseHost());
}, 120_000);

afterAll(lowerHost, 60_000);

const settings = { user: 'till', port: '8081', switch: 'pause', notify: 'true', workers: 'none' };
const prepareApp = (app: string) =>
  host.run('prepare-host', { ...settings, app, bucket: 'till-understudy', region: cloud.region });

describe('prepare-host refuses', () => {
  test.each(['shop-worker', 'shop-pause', 'understudy-env'])(
    'an app named %s, whose units would be those of another',
    async (app) => {
      const result = await prepareApp(app);
      expect(result).toMatchObject({ result: 'refused', reason: 'unrecognised-host', code: 2 });
      expect(result.sentence).toContain('name of an app');
    },
  );

  test('an app whose units would take the place of those of the host', async () => {
    expect((await prepareApp('getty')).sentence).toContain('getty@.service already');
  });

  test.each(['/srv/shop', '/srv'])('%s that is a symbolic link', async (place) => {
    await host.shell(`mkdir -p /volume; mv ${place} ${place}.kept 2>/dev/null; ln -s /volume ${place}`);
    const result = await host.prepare();
    await host.shell(`rm ${place}; mv ${place}.kept ${place} 2>/dev/null || true`);
    expect(result).toMatchObject({ result: 'refused', reason: 'unrecognised-host' });
    expect(result.sentence).toContain('symbolic link');
  });
});

test('a step that fails is told as such', async () => {
  await host.shell('mv /usr/sbin/useradd /root/');
  const result = await host.prepare();
  await host.shell('mv /root/useradd /usr/sbin/');
  expect(result).toMatchObject({ result: 'failed', reason: 'prepare-host-failed', code: 3 });
});

describe('what a host was prepared for before', () => {
  test('a worker that is listed no more is stopped, the others run on', async () => {
    await host.prepare({ workers: 'old,kept' });
    live = (await host.deploy({ version: '1', workers: ['old', 'kept'] })).release;
    await host.until('systemctl --quiet is-active shop-worker@old shop-worker@kept');
    const kept = await host.shell('systemctl show -p InvocationID shop-worker@kept');
    expect(await host.prepare({ workers: 'kept' })).toMatchObject({ result: 'done' });
    expect(await host.shell('pgrep -u shop -xc sleep; systemctl is-active shop-worker@old || true')).toBe(
      '1\ninactive',
    );
    expect(await host.shell('systemctl show -p InvocationID shop-worker@kept')).toBe(kept);
    expect(await host.prepare({ workers: 'kept' })).toMatchObject({ result: 'unchanged' });
  });
});

test('a host whose metadata fall silent on the way is not taken for a copy, and serves on', async () => {
  const serving = `systemctl show -p InvocationID shop@${live}; ls /var/lib/understudy/shop | grep was- || true`;
  const before = await host.shell(serving);
  await host.shell(`cat >/usr/local/sbin/curl <<'END'
#!/bin/sh
case "$*" in
*169.254.169.254/latest/meta-data/instance-id) ! test -e /root/told || exit 28; touch /root/told ;;
esac
exec /usr/bin/curl "$@"
END
chmod 755 /usr/local/sbin/curl`);
  const result = await host.prepare({ workers: 'kept', notify: 'false' });
  await host.shell('rm /usr/local/sbin/curl /root/told');
  expect(result).toMatchObject({ result: 'failed', reason: 'prepare-host-failed' });
  expect(result.sentence).toBe('Root no longer reaches the instance metadata.');
  expect(await host.shell(serving)).toBe(before);
  await host.prepare({ workers: 'kept' });
});

test('a copy of a host is probed and told to cancel by nobody, until it is prepared as itself', async () => {
  const file = '/etc/understudy/shop.json';
  await host.shell(`jq '.instance = "i-0123456789abcdef0"' ${file} >/root/copy && cp /root/copy ${file}`);
  for (const result of [await host.probe(), await host.run('cancel', { about: 'operation-1' })]) {
    expect(result).toMatchObject({ result: 'refused', reason: 'wrong-host', code: 2 });
    expect(result.sentence).toContain('i-0123456789abcdef0');
  }
  expect(await host.prepare({ workers: 'kept' })).toMatchObject({ result: 'done' });
  expect(await host.probe()).toMatchObject({ result: 'done', live, healthy: true });
});

test('prepared for restart, the live release keeps its socket, and systemd lets go of the port with the next', async () => {
  const listening = () => host.shell("ss -Hltnp 'sport = :8080'");
  const restart = { switch: 'restart', workers: 'kept' };
  expect(await host.prepare(restart)).toMatchObject({ result: 'done' });
  expect(await listening()).toContain('systemd');
  expect(await host.health()).toContain('"version": "1"');
  expect(await host.prepare(restart)).toMatchObject({ result: 'unchanged' });
  const next = await host.deploy({ version: '2', workers: ['kept'] });
  expect(next).toMatchObject({ result: 'done', healthy: true });
  expect(await listening()).not.toContain('systemd');
  expect(await host.health()).toContain('"version": "2"');
  await host.prepare(restart);
  expect(
    await host.shell("systemctl list-units --all --plain --no-legend 'shop*.socket'; ls /etc/systemd/system"),
  ).not.toMatch(/shop.*(socket|pause)/);
  expect(await host.prepare(restart)).toMatchObject({ result: 'unchanged' });
});
