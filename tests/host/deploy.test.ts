import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { addTable } from './app.ts';
import { type Host, lowerHost, raiseHost } from './ground.ts';

jest.setTimeout(180_000);

let host: Host;

beforeAll(async () => {
  ({ host } = await raiseHost());
}, 120_000);

afterAll(lowerHost, 60_000);

test('refuses a host that nobody prepared', async () => {
  const result = await host.deployStored('a'.repeat(64));
  expect(result).toMatchObject({ result: 'refused', reason: 'not-prepared', code: 2 });
});

describe('prepare-host', () => {
  test('refuses a host that lacks what it needs, before it changes anything', async () => {
    await host.shell('mv /usr/bin/sqlite3 /root/');
    const result = await host.prepare();
    await host.shell('mv /root/sqlite3 /usr/bin/');
    expect(result).toMatchObject({ result: 'refused', reason: 'unrecognised-host', code: 2 });
    expect(result.sentence).toContain('sqlite3');
    // The ground's own setting was there before.
    expect(await host.shell('ls --ignore=watched-ms /etc/understudy 2>/dev/null || true')).toBe('');
  });

  test("refuses somebody else's folder", async () => {
    await host.shell('mkdir -p /srv/shop/theirs');
    expect(await host.prepare()).toMatchObject({ result: 'refused', reason: 'unrecognised-host' });
    await host.shell('rm -r /srv/shop');
  });

  test('refuses a port that another program holds', async () => {
    await host.shell('systemd-run --quiet --unit=theirs python3 -m http.server 8080; sleep 1');
    const result = await host.prepare();
    await host.shell('systemctl stop theirs');
    expect(result).toMatchObject({ result: 'refused', reason: 'unrecognised-host' });
    expect(result.sentence).toContain('8080');
  });

  test('prepares a host, and the second time changes nothing', async () => {
    expect(await host.prepare()).toMatchObject({ result: 'done', reason: 'prepared', code: 0 });
    const before = await host.shell(
      'find /etc /srv/shop -newer /etc/understudy/shop.json -type f; stat -c %y /etc/understudy/shop.json',
    );
    expect(await host.prepare()).toMatchObject({ result: 'unchanged', reason: 'already-prepared', code: 0 });
    const after = await host.shell(
      'find /etc /srv/shop -newer /etc/understudy/shop.json -type f; stat -c %y /etc/understudy/shop.json',
    );
    expect(after).toBe(before);
  });

  test('leaves the metadata to root alone', async () => {
    const ask =
      'curl --silent --max-time 3 -o /dev/null -w "%{http_code}" http://169.254.169.254/latest/meta-data/ || true';
    expect(await host.shell(ask)).toBe('401');
    expect(await host.shell(`runuser -u nobody -- sh -c '${ask}'`)).toBe('000');
  });
});

describe('what is refused before anything changes', () => {
  test.each([
    ['the wrong environment', { environment: 'production' }, 'wrong-host'],
    ['an archive that is not there', {}, 'download-failed'],
  ])('%s', async (_, parameters, reason) => {
    expect(await host.deployStored('b'.repeat(64), parameters)).toMatchObject({
      result: 'refused',
      reason,
      code: 2,
    });
  });

  test('bytes that are not the release', async () => {
    await host.put('c'.repeat(64), Buffer.from('not it'));
    expect(await host.deployStored('c'.repeat(64))).toMatchObject({
      result: 'refused',
      reason: 'bad-digest',
    });
  });

  test.each([
    ['a link that leads out', 'ln -s /etc/passwd out'],
    ['a link that leads out by dots', 'mkdir -p a && ln -s ../../up a/out'],
    ['a pipe', 'mkfifo pipe'],
    ['a setuid file', 'echo x >tool && chmod 4755 tool'],
    ['no run', 'rm .understudy/run'],
    ['a run that nobody may execute', 'chmod 644 .understudy/run'],
    ["another app's release.json", `sed -i 's/"shop"/"other"/' .understudy/release.json`],
  ])('an archive with %s', async (_, also) => {
    expect(await host.deploy({ version: '0', also })).toMatchObject({
      result: 'refused',
      reason: 'bad-release',
    });
    expect(await host.shell('ls /srv/shop/current 2>/dev/null || true')).toBe('');
  });

  test('another port than the host was prepared for, naming the document that changes it', async () => {
    const result = await host.deploy({ version: '0', listen: 8081 });
    expect(result).toMatchObject({ result: 'refused', reason: 'drift' });
    expect(result.sentence).toContain('shop-prepare-host');
    expect(result.sentence).toContain('port=8081');
  });

  test('a closed socket', async () => {
    await host.shell('systemctl stop shop.socket');
    expect(await host.deploy({ version: '0' })).toMatchObject({
      result: 'refused',
      reason: 'socket-inactive',
    });
    expect(await host.prepare()).toMatchObject({ result: 'done', reason: 'prepared' });
  });
});

describe('a release', () => {
  let first: string;

  test('is deployed where none was', async () => {
    first = await host.store({ version: '1', prepare: 'echo built >built; id -un >builder' });
    const result = await host.deployStored(first);
    expect(result).toMatchObject({
      result: 'done',
      reason: 'deployed',
      previous: '',
      met: true,
      healthy: true,
      code: 0,
    });
    expect(await host.units()).toEqual([`shop@${first.slice(0, 12)}.service`]);
    expect(await host.health()).toContain('"version": "1"');
    const { steps, checks } = await host.details(result);
    expect(steps.map(({ name: step }) => step)).toEqual([
      ...['lock', 'room', 'download', 'unpack', 'prepare', 'backup', 'copy', 'rehearse-migrate', 'rehearse'],
      ...['schema', 'hold', 'migrate', 'switch', 'check', 'current', 'watch', 'prune'],
    ]);
    expect(steps.every(({ ok, ended, started }) => ok && ended !== null && ended >= started)).toBe(true);
    expect(checks.map(({ where, ok }) => `${where} ${ok}`)).toEqual([
      ...['rehearsal true', 'probe true', 'public true', 'public true'],
    ]);
  });

  test('was prepared by the build user, and belongs to root afterwards', async () => {
    const folder = `/srv/shop/releases/${first.slice(0, 12)}`;
    expect(await host.shell(`cat ${folder}/builder`)).toBe('understudy-build');
    expect(await host.shell(`find ${folder} ! -user root -o -perm /022 ! -type l`)).toBe('');
  });

  test('cannot reach the metadata', async () => {
    expect(await host.shell('curl --silent --max-time 10 http://127.0.0.1:8080/metadata')).toContain(
      '"metadata": "no: ',
    );
  });

  test('is left alone when it is deployed again', async () => {
    const before = await host.shell(`systemctl show -p InvocationID -p MainPID shop@${first.slice(0, 12)}`);
    const result = await host.deployStored(first);
    expect(result).toMatchObject({ result: 'unchanged', reason: 'already-live', healthy: true, code: 0 });
    expect(await host.shell(`systemctl show -p InvocationID -p MainPID shop@${first.slice(0, 12)}`)).toBe(
      before,
    );
  });

  test('prints its result again when the operation is repeated, and does not run twice', async () => {
    const operation = host.operation();
    const release = await host.store({ version: '1b' });
    const one = await host.deployStored(release, { operation });
    const journal = `cat /var/lib/understudy/shop/operations/${operation}/journal.jsonl`;
    const before = await host.shell(journal);
    expect(await host.deployStored(release, { operation })).toEqual(one);
    expect(await host.shell(journal)).toBe(before);
  });

  test('is refused to whoever carries an older fencing number', async () => {
    const release = await host.store({ version: '2' });
    expect(await host.deployStored(release, { fence: '7' })).toMatchObject({ result: 'done' });
    expect(await host.deployStored(release, { fence: '6' })).toMatchObject({
      result: 'refused',
      reason: 'stale-fence',
    });
    expect(await host.probe()).toMatchObject({ fence: 7 });
  });
});

describe('a bad release', () => {
  const fence = '7';

  test('that answers HTML instead of JSON is met by nobody, and the old one is untouched', async () => {
    await host.shell(
      `aws --endpoint-url http://198.18.0.1:8000 ssm put-parameter --name /shop/staging/SECRET --type SecureString --value 'hush"hush' >/dev/null || true`,
    );
    const before = await host.units();
    const pid = await host.shell(`systemctl show -p MainPID ${before[0]}`);
    const result = await host.deploy({ version: '3', health: 'html' }, { fence });
    expect(result).toMatchObject({
      result: 'reverted',
      reason: 'check-failed',
      met: false,
      healthy: true,
      code: 1,
    });
    expect(result.sentence).toContain('content type is text/html, not application/json');
    expect(await host.units()).toEqual(before);
    expect(await host.shell(`systemctl show -p MainPID ${before[0]}`)).toBe(pid);
    const { checks } = await host.details(result);
    expect(checks[0]).toMatchObject({
      where: 'rehearsal',
      ok: false,
      status: 200,
      type: 'text/html; charset=utf-8',
    });
    expect(checks[0]?.body).toMatch(/^<html>Error/);
    expect(checks.at(-1)).toMatchObject({ where: 'old', ok: true });
  });

  test('tells no body and no log where excerpts are off', async () => {
    const result = await host.deploy({ version: '3', health: 'html' }, { fence, excerpts: 'off' });
    const { checks, log } = await host.details(result);
    expect(checks.map(({ body }) => body).join('')).toBe('');
    expect(log).toEqual([]);
    expect(checks[0]?.problem).toContain('text/html');
  });

  test('that dies at import is reverted, and the next good one is deployed', async () => {
    const before = await host.units();
    const dead = await host.deploy({ version: '4', atImport: "raise RuntimeError('dies here')" }, { fence });
    expect(dead).toMatchObject({ result: 'reverted', met: false, healthy: true });
    expect((await host.details(dead)).log.join('\n')).toContain('dies here');
    expect(await host.units()).toEqual(before);
    expect(await host.deploy({ version: '5' }, { fence })).toMatchObject({
      result: 'done',
      reason: 'deployed',
    });
    expect(await host.shell('systemctl is-active shop.socket')).toBe('active');
    expect(await host.health()).toContain('"version": "5"');
  });

  test('whose migration fails on the copy leaves the live data as it was', async () => {
    await host.sql('INSERT INTO notes VALUES (42)');
    const before = await host.sql('.dump');
    const result = await host.deploy({ version: '6', migrate: `${addTable('half')}; exit 3` }, { fence });
    expect(result).toMatchObject({ result: 'reverted', reason: 'migrate-failed', met: false });
    expect(await host.sql('.dump')).toBe(before);
  });

  test('that fails on the live data alone gets neither the port nor the data', async () => {
    const before = await host.sql('.dump');
    const result = await host.deploy(
      { version: '7', health: 'html when live', migrate: addTable('seven') },
      { fence },
    );
    expect(result).toMatchObject({ result: 'reverted', reason: 'check-failed', met: false, healthy: true });
    expect(await host.sql('.dump')).toBe(before);
    expect(await host.health()).toContain('"version": "5"');
  });

  test('whose prepare hook fails is reverted before anything else', async () => {
    expect(await host.deploy({ version: '8', prepare: 'exit 9' }, { fence })).toMatchObject({
      ...{ result: 'reverted', reason: 'prepare-failed', met: false },
    });
  });
});

describe('a migration', () => {
  const fence = '7';

  test('sees the copy first, alone, then the live data', async () => {
    const migrate = `${addTable('nine')}
echo "\${UNDERSTUDY_REHEARSAL:-live} $(id -un) $(ls /sys/class/net | wc -l)" >>"$UNDERSTUDY_SHARED/seen"`;
    expect(await host.deploy({ version: '9', migrate }, { fence })).toMatchObject({ result: 'done' });
    expect(await host.shell('cat /srv/shop/shared/seen')).toMatch(/^live shop [2-9]$/);
    expect(await host.sql('SELECT count(*) FROM nine')).toBe('0');
  });

  test('is stopped at its next safe point when somebody cancels', async () => {
    const operation = host.operation();
    const release = await host.store({ version: '10', prepare: 'sleep 5' });
    const running = host.deployStored(release, { fence, operation });
    await host.untilStep(operation, 'prepare');
    expect(await host.probe(operation)).toMatchObject({
      running: operation,
      about: { state: 'running', step: 'prepare' },
    });
    expect(await host.deployStored(release, { fence })).toMatchObject({ result: 'refused', reason: 'busy' });
    expect(await host.run('cancel', { about: operation })).toMatchObject({
      result: 'done',
      reason: 'cancel-requested',
    });
    expect(await running).toMatchObject({ result: 'reverted', reason: 'cancelled', met: false });
    expect(await host.run('cancel', { about: operation })).toMatchObject({
      result: 'unchanged',
      reason: 'already-ended',
    });
  });
});
