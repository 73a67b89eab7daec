import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import {
  askHosts,
  awaitState,
  type Cloud,
  describeHost,
  operatorClient,
} from '../../rehearsal/cloud/cloud.ts';
import { type Host, lowerHost, type Result, raiseHost } from './ground.ts';

jest.setTimeout(90_000);

const secret = 'first "quoted" part\nsecond $HOME part\\\nthird `id` \\n part';
const lines = secret.split('\n');
let cloud: Cloud;
let host: Host;
let live: Result;

const digest = (text: string) => createHash('sha256').update(text).digest('hex');

async function putSecret(Value: string): Promise<void> {
  const Name = '/shop/staging/SECRET';
  await new SSMClient(operatorClient(cloud)).send(
    new PutParameterCommand({ Name, Value, Type: 'SecureString', Overwrite: true }),
  );
}

/** What the app and its hook keep of the secret: a digest. */
const keepDigest = `import hashlib
with open(os.path.join(shared, 'app-digest'), 'w') as file:
    file.write(hashlib.sha256(os.environ.get('SECRET', '').encode()).hexdigest())`;
const migrate = 'printf %s "$SECRET" | sha256sum | cut -c 1-64 >"$UNDERSTUDY_SHARED/hook-digest"';

beforeAll(async () => {
  ({ cloud, host } = await raiseHost());
  await putSecret(secret);
  await host.shell('touch /root/before');
  await host.prepare();
  live = await host.deploy({ version: '1', atImport: keepDigest, migrate });
}, 120_000);

afterAll(lowerHost, 60_000);

const digestOfApp = () => host.shell('cat /srv/shop/shared/app-digest');

describe('a secret with quotes, a dollar, backslashes and line breaks', () => {
  test('reaches the app and its hooks whole', async () => {
    expect(live).toMatchObject({ result: 'done' });
    expect(await digestOfApp()).toBe(digest(secret));
    expect(await host.shell('cat /srv/shop/shared/hook-digest')).toBe(digest(secret));
  });

  test('is in no file but below /run; of its name a note is kept', async () => {
    const found = await Promise.all(
      lines.map((line) =>
        host.shell(`cat >/run/line <<'END'\n${line}\nEND
find / /tmp /var/tmp -xdev -type f -newer /root/before -exec grep --fixed-strings --file=/run/line --files-with-matches {} + || true`),
      ),
    );
    expect(found).toEqual(lines.map(() => ''));
    expect(await host.shell('cat /var/lib/understudy/shop/parameters')).toBe('SECRET');
    expect(
      await host.shell('stat -c "%a %U" /run/understudy/shop/env /run/understudy/shop/values.json'),
    ).toBe('600 root\n600 root');
  });

  test('is told by the version that the release ran with, which its record keeps', async () => {
    const record = `/var/lib/understudy/shop/releases/${live.release}.json`;
    expect(JSON.parse(await host.shell(`jq -c .parameters ${record}`))).toEqual({ SECRET: 1 });
    expect((await host.details(live)).parameters).toEqual({ SECRET: 1 });
  });

  test('is in nothing that leaves the host when a release spills it', async () => {
    const spill = "print(os.environ['SECRET'], flush=True)\nraise RuntimeError(os.environ['SECRET'])";
    const died = await host.deploy({ version: '2', atImport: spill });
    const wrong = await host.deploy({ version: '3', health: 'html', prepare: 'env' });
    for (const result of [died, wrong]) {
      expect(result).toMatchObject({ result: 'reverted', met: false });
      const details = await host.details(result);
      expect(JSON.stringify(details)).toContain('[redacted]');
      const log = await host.object(`logs/shop/staging/${result['operation']}/${host.instanceId}.log`);
      const left = `${JSON.stringify(result)}${JSON.stringify(details)}${log}`;
      for (const line of lines) {
        expect(left).not.toContain(line);
        expect(left).not.toContain(JSON.stringify(line).slice(1, -1));
      }
    }
  });
});

describe('while Parameter Store is out', () => {
  const silence = "sed -i.kept 's/:8000/:1/' /root/.aws/config";
  const restore = 'mv /root/.aws/config.kept /root/.aws/config';

  test('an app that is known to have parameters waits at boot, its users with it, and starts with them', async () => {
    await host.shell(`${silence}; rm /srv/shop/shared/app-digest`);
    await askHosts(cloud, 'POST', `/hosts/${host.instanceId}/crash`);
    await awaitState(cloud, host.instanceId, 'stopped');
    await askHosts(cloud, 'POST', `/hosts/${host.instanceId}/start`);
    // It counts as running only when the app is up: until then, one enters as soon as there is a systemd.
    while ((await describeHost(cloud, host.instanceId)).leader === null) await sleep(100);
    // A try is seen to fail, and neither has the app started nor is the port closed.
    await host.until("[[ $(journalctl -b -u understudy-env@shop | grep -c 'Could not connect') -ge 1 ]]");
    expect(await host.shell('systemctl is-active shop.socket; ls /srv/shop/shared')).not.toMatch(
      /inactive|app-digest/,
    );
    expect(await host.units()).toEqual([]);
    const waiting = host.shell('curl --silent --max-time 60 http://127.0.0.1:8080/health');
    await host.shell(restore);
    expect(await waiting).toContain('"version": "1"');
    expect(await digestOfApp()).toBe(digest(secret));
  });

  test('an app that had to start without them is started again when they come', async () => {
    // As the unit leaves it when it has given up: the app up, a later try of its own.
    await host.shell('touch /run/understudy/shop/started-without');
    await putSecret('came late');
    await host.shell(`${silence}; systemctl restart understudy-env@shop || true`);
    expect(await digestOfApp()).toBe(digest(secret));
    await host.shell(`${restore}; systemctl restart understudy-env@shop`);
    await host.until(`grep -q ${digest('came late')} /srv/shop/shared/app-digest`);
    expect(await host.shell('ls /run/understudy/shop')).not.toContain('started-without');
  });
});
