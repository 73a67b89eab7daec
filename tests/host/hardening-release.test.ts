// What a release, its hooks and its app must not be able to do to the host that deploys it.
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type Host, lowerHost, raiseHost } from './ground.ts';

jest.setTimeout(180_000);

let host: Host;
let live: string;

beforeAll(async () => {
  ({ host } = await raiseHost());
  await host.prepare({ switch: 'pause' });
  live = (await host.deploy({ version: '1' })).release;
}, 120_000);

afterAll(lowerHost, 60_000);

/** A change of the description in the release's folder, by a jq program. */
const rewrite = (program: string) =>
  `cd .understudy && jq '${program}' release.json >release.new && mv release.new release.json`;

describe('a release', () => {
  test('that rewrites its description in `prepare` is judged by what was packed, and root runs none of it', async () => {
    const forged = '.keep = "PATH[$(touch /root/pwned)]" | .service.start_timeout_ms = .keep | .checks = []';
    const bad = await host.deploy({ version: 'forged', health: 'html', prepare: rewrite(forged) });
    expect(bad).toMatchObject({ result: 'reverted', reason: 'check-failed', met: false, previous: live });
    expect(bad.sentence).toContain(
      'The check /health failed in the rehearsal on a copy of the data: content type is text/html, not application/json.',
    );
    const good = await host.deploy({ version: '2', prepare: rewrite(forged) });
    expect(good).toMatchObject({ result: 'done', reason: 'deployed' });
    const { checks, steps } = await host.details(good);
    expect(checks.map(({ ok }) => ok)).not.toEqual([]);
    expect(steps.at(-1)).toMatchObject({ name: 'prune', ok: true, note: '' });
    expect(await host.shell('ls /root/pwned 2>/dev/null || true')).toBe('');
    live = good.release;
  });

  test.each([
    ['keep', '.keep = "PATH[$(touch /root/pwned)]"'],
    ['service.start_timeout_ms', '.service.start_timeout_ms = "PATH[$(touch /root/pwned)]"'],
    ['data', '.data.databases = ["../../etc/shadow"]'],
    ['checks', '.checks[0].path = "/health\\n--output"'],
  ])('that was packed with a false %s is refused', async (what, program) => {
    const result = await host.deploy({ version: 'false', also: rewrite(program) });
    expect(result).toMatchObject({ result: 'refused', reason: 'bad-release' });
    expect(result.sentence).toContain(what);
    expect(await host.shell('ls /root/pwned 2>/dev/null || true')).toBe('');
  });

  test('whose first 12 digits belong to another one is refused', async () => {
    const other = live + 'f'.repeat(52);
    expect(await host.deployStored(other)).toMatchObject({ result: 'refused', reason: 'bad-digest' });
    expect(await host.health()).toContain('"version": "2"');
  });
});

test("no process of the app's user holds the host's lock", async () => {
  const wrapper = `for tool in curl sqlite3; do cat >/usr/local/bin/$tool <<END
#!/bin/sh
ls -l /proc/\\$\\$/fd >>/tmp/descriptors-\\$(id -un)
exec /usr/bin/$tool "\\$@"
END
chmod 755 /usr/local/bin/$tool; done`;
  await host.shell(wrapper);
  const result = await host.deploy({ version: '3' });
  const seen = await host.shell('cat /tmp/descriptors-shop; rm /usr/local/bin/curl /usr/local/bin/sqlite3');
  expect(result).toMatchObject({ result: 'done' });
  expect(seen).toContain(' 0 -> ');
  expect(seen).not.toContain('/var/lib/understudy/shop/lock');
});

describe('what is told', () => {
  const values = '/run/understudy/shop/values.json';

  test('fits the result line, however its letters grow, with 200 tables in the database', async () => {
    const tables = 'for i in range(200): change(f"CREATE TABLE IF NOT EXISTS t{i} (x)")';
    const promised = rewrite(`.checks[0].json = {"слово": "${'очень длинное слово '.repeat(40)}"}`);
    const result = await host.deploy({ version: '4', atImport: tables, also: promised });
    expect(result).toMatchObject({ result: 'reverted', reason: 'check-failed' });
    const line = await host.shell(`cat /var/lib/understudy/shop/operations/${result['operation']}/line`);
    expect(line.length).toBeLessThanOrEqual(2000 - 'UNDERSTUDY_RESULT '.length);
    expect(line).toMatch(/^[\x20-\x7e]*$/);
    expect(result.sentence).toContain('The check /health failed');
    await host.details(result);
  });

  test('keeps names and ids whole when a value of the environment is part of them', async () => {
    const environment = '/usr/local/lib/understudy/environment';
    await host.shell(`cp ${environment} /root/environment; printf '#!/bin/sh\\n' >${environment}
echo '["health", "staging", "operation"]' >${values}`);
    const result = await host.deploy({ version: '5', health: 'html' });
    await host.shell(`mv /root/environment ${environment}; echo '[]' >${values}`);
    expect(result['operation']).toMatch(/^operation-/);
    expect(result.sentence).toContain('The check /[redacted] failed');
    expect((await host.details(result)).checks[0]).toMatchObject({ path: '/health', ok: false });
  });

  test('holds back log and bodies when the values of the environment are not there', async () => {
    const environment = '/usr/local/lib/understudy/environment';
    await host.shell(
      `cp ${environment} /root/environment; printf '#!/bin/sh\\n' >${environment}; rm ${values}`,
    );
    const result = await host.deploy({ version: '6', health: 'html' });
    await host.shell(`mv /root/environment ${environment}; echo '[]' >${values}`);
    expect(result.sentence).toContain('The log stays on the host');
    const { checks, log } = await host.details(result);
    expect(checks[0]?.body).toBe('');
    expect(log).toEqual([]);
    const key = `logs/shop/staging/${result['operation']}/${host.instanceId}.log`;
    await expect(host.object(key)).rejects.toThrow('key does not exist');
  });

  test('is whole after a line of the journal or of the checks was torn', async () => {
    const operation = host.operation();
    const release = await host.store({ version: '7', prepare: 'sleep 3' });
    const running = host.deployStored(release, { operation });
    await host.untilStep(operation, 'prepare');
    const journal = `/var/lib/understudy/shop/operations/${operation}`;
    await host.shell(`printf '{"where":"pro' >>${journal}/checks.jsonl; echo >>${journal}/checks.jsonl
printf '{"at":1,"st' >>${journal}/journal.jsonl`);
    const result = await running;
    expect(result).toMatchObject({ result: 'done', reason: 'deployed' });
    expect((await host.details(result)).steps.find(({ name }) => name === 'prepare')).toMatchObject({
      ok: true,
    });
    live = result.release;
  });
});

test('what cannot be removed does not undo a good deploy', async () => {
  const held = '/var/lib/understudy/shop/backups/held';
  await host.shell(`mkdir -p ${held}/in && touch -d 2020-01-01 ${held} && mount -t tmpfs none ${held}/in`);
  const result = await host.deploy({ version: '8' });
  await host.shell(`umount ${held}/in`);
  expect(result).toMatchObject({ result: 'done', reason: 'deployed' });
  expect((await host.details(result)).steps.at(-1)).toMatchObject({
    name: 'prune',
    ok: true,
    note: expect.stringContaining('next deploy'),
  });
  live = result.release;
});

test('a live release that is not healthy is told as it is: nothing was put back', async () => {
  const release = await host.store({ version: '8' });
  await host.shell(`systemctl kill --signal=STOP shop@${live}.service`);
  const result = await host.deployStored(release);
  await host.shell(`systemctl kill --signal=CONT shop@${live}.service`);
  expect(result).toMatchObject({ result: 'failed', reason: 'check-failed', healthy: false, release: live });
  expect(result.sentence).toContain(
    `Release ${live} was live already and is not healthy; nothing was changed.`,
  );
  expect(await host.units()).toEqual([`shop@${live}.service`]);
});

test('a host whose metadata are open to all is refused', async () => {
  const firewall = '/usr/local/lib/understudy/firewall';
  await host.shell(`[[ ! -e ${firewall} ]] || mv ${firewall} /root/firewall
printf '#!/bin/sh\\nexit 1\\n' >${firewall}; chmod 755 ${firewall}`);
  const result = await host.deploy({ version: '9' });
  await host.shell(`rm ${firewall}; [[ ! -e /root/firewall ]] || mv /root/firewall ${firewall}`);
  expect(result).toMatchObject({ result: 'refused', reason: 'not-prepared' });
  expect(result.sentence).toContain('shop-prepare-host');
});

test('a release whose checks cannot be read is never called healthy', async () => {
  const release = await host.store({ version: 'blind' });
  live = (await host.deployStored(release)).release;
  const description = `/var/lib/understudy/shop/releases/${live}.description.json`;
  await host.shell(`mv ${description} /root/description.json`);
  const seen = await host.probe();
  const again = await host.deployStored(release);
  await host.shell(`mv /root/description.json ${description}`);
  expect(seen).toMatchObject({ live, healthy: false });
  expect(again).toMatchObject({ result: 'failed', healthy: false });
  expect(await host.probe()).toMatchObject({ live, healthy: true });
});
