// What hostile or unlucky apps, disks and hooks do to the data of a deploy.
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { addTable } from './app.ts';
import { type Host, lowerHost, raiseHost } from './ground.ts';

jest.setTimeout(180_000);

const state = '/var/lib/understudy/shop';
let host: Host;
let live: string;

beforeAll(async () => {
  ({ host } = await raiseHost());
  await host.prepare({ switch: 'pause' });
  live = (await host.deploy({ version: 'old' })).release;
}, 120_000);

afterAll(lowerHost, 60_000);

const liveOnly = (command: string) => `if [[ -z \${UNDERSTUDY_REHEARSAL:-} ]]; then\n${command}\nfi`;
const checkHook = (text: string) =>
  `mkdir -p .understudy/hooks && printf '#!/bin/bash\\n%s\\n' '${text}' >.understudy/hooks/check && chmod 755 .understudy/hooks/check`;

describe("the app's user", () => {
  test('cannot put a link where root makes or gives folders', async () => {
    const operation = host.operation();
    const release = await host.store({
      version: 'link',
      migrate: '[[ -z ${UNDERSTUDY_REHEARSAL:-} ]] || sleep 3',
    });
    const running = host.deployStored(release, { operation });
    await host.untilStep(operation, 'rehearse-migrate');
    const backup = `${state}/backups/${operation}`;
    const plant = `mv ${backup}/kept ${backup}/gone; ln -sfT /etc/systemd/system ${backup}/kept`;
    expect(await host.shell(`runuser -u shop -- sh -c '${plant}' 2>&1 || true`)).toContain('denied');
    const result = await running;
    expect(result).toMatchObject({ result: 'done', reason: 'deployed' });
    expect(await host.shell('stat -c %U /etc/systemd/system')).toBe('root');
    expect(await host.shell(`stat -c '%U %a' ${backup} ${backup}/before ${backup}/kept`)).toBe(
      'root 711\nshop 700\nshop 700',
    );
    live = result.release;
  });

  test('has nothing evaluated by root that its sqlite3 printed', async () => {
    await host.shell(`cat >/usr/local/bin/sqlite3 <<'END'
#!/bin/sh
case "$*" in *page_count*) printf 'ok\\na[$(touch /run/owned)]\\n1\\n1\\n' ;; *) exec /usr/bin/sqlite3 "$@" ;; esac
END
chmod 755 /usr/local/bin/sqlite3`);
    const result = await host.deploy({ version: 'evaluated' });
    await host.shell('rm /usr/local/bin/sqlite3');
    expect(result).toMatchObject({ result: 'reverted', reason: 'backup-failed', met: false });
    expect(await host.shell('ls /run/owned 2>/dev/null || true')).toBe('');
  });
});

describe('a hook', () => {
  test('that ignores SIGTERM ends before the data goes back', async () => {
    await host.sql('DELETE FROM notes; INSERT INTO notes VALUES (42)');
    const before = await host.sql('.dump');
    const late = `trap '' TERM; touch /tmp/late
for ((i = 0; i < 150; i++)); do
  sqlite3 "$UNDERSTUDY_SHARED/app.db" 'CREATE TABLE IF NOT EXISTS late (x)' || true
  sleep 0.2
done`;
    const operation = host.operation();
    const running = host.deployStored(await host.store({ version: 'late', migrate: liveOnly(late) }), {
      operation,
    });
    await host.until('test -e /tmp/late');
    await host.shell(`systemctl kill --signal=KILL understudy-shop-${operation}.service`);
    expect(await running).toMatchObject({ result: 'reverted', reason: 'interrupted', healthy: true });
    await host.shell('sleep 1');
    expect(await host.sql('.dump')).toBe(before);
  });

  test('check is asked in the rehearsal, and reaches the release by its socket', async () => {
    const also = checkHook(
      'test "$UNDERSTUDY_REHEARSAL" = 1 && curl --silent --unix-socket "$UNDERSTUDY_SOCKET" http://localhost/health | grep asked',
    );
    const result = await host.deploy({ version: 'asked', also });
    expect(result).toMatchObject({ result: 'done', reason: 'deployed' });
    live = result.release;
  });

  test('check that fails keeps the release from users', async () => {
    const result = await host.deploy({ version: 'unasked', also: checkHook('exit 7') });
    expect(result).toMatchObject({ result: 'reverted', reason: 'check-failed', met: false, previous: live });
    expect(result.sentence).toContain('The hook check ended with code 7 in the rehearsal.');
  });
});

describe('what fails on the way', () => {
  test('a holder that does not start is no failed migration', async () => {
    await host.shell(
      'mkdir -p /run/systemd/system/shop-pause.service.d; printf "[Service]\\nExecStartPre=/bin/false\\n" >/run/systemd/system/shop-pause.service.d/no.conf; systemctl daemon-reload',
    );
    const result = await host.deploy({ version: 'unheld' });
    await host.shell('rm -r /run/systemd/system/shop-pause.service.d; systemctl daemon-reload');
    expect(result).toMatchObject({ result: 'reverted', reason: 'switch-failed', met: false, healthy: true });
    const { steps } = await host.details(result);
    expect(steps.at(-1)).toMatchObject({ name: 'hold', ok: false });
  });

  test('a holder that is killed lets users meet what is checked, so the data is not put back under them', async () => {
    const killed = "rehearsal or os.system('touch /tmp/loading; sleep 2') or os._exit(3)";
    const operation = host.operation();
    const release = await host.store({ version: 'bared', migrate: addTable('bared'), atImport: killed });
    const running = host.deployStored(release, { operation });
    await host.until('test -e /tmp/loading');
    await host.shell('systemctl kill --signal=KILL shop-pause.service');
    expect(await running).toMatchObject({ result: 'reverted', reason: 'start-failed', previous: live });
    expect(await host.sql('.dump')).toContain('bared');
  });

  test('a copy of the files that has no room is not rehearsed on', async () => {
    await host.shell(
      `head -c 1000000 /dev/urandom >/srv/shop/shared/big; chown shop: /srv/shop/shared/big; mount -t tmpfs -o size=128k,mode=711 tmpfs ${state}/rehearsal`,
    );
    const result = await host.deploy({ version: 'roomless' });
    await host.shell(`umount ${state}/rehearsal; rm /srv/shop/shared/big`);
    expect(result).toMatchObject({ result: 'reverted', reason: 'backup-failed', met: false });
    expect(result.sentence).toContain('The files of shared/ could not be copied.');
  });

  test('data that cannot be put back is left as it is, and the old release serves on it', async () => {
    await host.sql('CREATE TABLE ballast (x); INSERT INTO ballast VALUES (zeroblob(1000000))');
    await host.shell(`systemctl stop shop.socket 'shop@*' && mkdir /run/before && cp -a /srv/shop/shared/. /run/before/ &&
mount -t tmpfs -o size=8m,mode=750,uid=$(id -u shop),gid=$(id -g shop) tmpfs /srv/shop/shared && cp -a /run/before/. /srv/shop/shared/`);
    await host.prepare();
    const fill = `${addTable('unput')}
head -c 20000000 /dev/zero >"$UNDERSTUDY_SHARED/fill" || true
truncate -s -400000 "$UNDERSTUDY_SHARED/fill"; exit 3`;
    const result = await host.deploy({ version: 'full', migrate: liveOnly(fill) });
    expect(result).toMatchObject({ result: 'failed', reason: 'migrate-failed', met: false, healthy: true });
    expect(result.sentence).toContain('could not be put back');
    expect(await host.units()).toEqual([`shop@${live}.service`]);
    expect(await host.sql('SELECT count(*) FROM ballast; SELECT count(*) FROM unput')).toBe('1\n0');
    expect(await host.shell('find /srv/shop/shared -name "*.understudy"')).toBe('');
    await host.shell('rm /srv/shop/shared/fill');
    await host.sql('DROP TABLE ballast; DROP TABLE unput; VACUUM');
  });
});

describe('an operation that never came to its end', () => {
  const folder = (operation: string) => `${state}/operations/${operation}`;
  let stale: string;

  test('is not recovered over releases that were deployed since', async () => {
    stale = host.operation();
    await host.deployStored(await host.store({ version: 'stale' }), { operation: stale });
    live = (await host.deploy({ version: 'since' })).release;
    await host.shell(`rm ${folder(stale)}/line; systemctl start understudy-recover@shop.service`);
    const { about } = await host.probe(stale);
    expect(about).toMatchObject({ state: 'ended', result: { result: 'unknown', reason: 'interrupted' } });
    expect(await host.units()).toEqual([`shop@${live}.service`]);
    expect(await host.health()).toContain('"version": "since"');
  });

  test('and cannot be put right refuses the next deploy, by name', async () => {
    await host.shell(
      `cd ${folder(stale)} && rm line && cp script script.kept && printf '#!/bin/bash\\nexit 1\\n' >script`,
    );
    const result = await host.deploy({ version: 'beside' });
    await host.shell(`cd ${folder(stale)} && mv script.kept script`);
    expect(result).toMatchObject({ result: 'refused', reason: 'busy', code: 2 });
    expect(result.sentence).toContain(stale);
    expect(await host.deploy({ version: 'beside' })).toMatchObject({ result: 'done', reason: 'deployed' });
  });
});

test('the hook check of an app without sockets reaches the release by its network', async () => {
  await host.shell(
    'systemctl stop "shop*"; umount /srv/shop/shared || true; rm -rf /srv/shop /var/lib/understudy/shop',
  );
  await host.shell(
    'rm -f /etc/understudy/shop.json; rm -rf /etc/systemd/system/shop*; systemctl daemon-reload; systemctl reset-failed',
  );
  await host.prepare({ switch: 'restart' });
  const also = checkHook('curl --silent "http://127.0.0.1:$PORT/health" | grep networked');
  expect(await host.deploy({ version: 'networked', also })).toMatchObject({ result: 'done' });
});
