// Rules of the switch that no other file tests: what once broke it, on paper or on a host, must not break it again.
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { addTable } from './app.ts';
import { type Host, type Load, lowerHost, raiseHost } from './ground.ts';

jest.setTimeout(180_000);

let host: Host;
let live: string;

beforeAll(async () => {
  ({ host } = await raiseHost());
}, 120_000);

afterAll(lowerHost, 60_000);

/** Lets users request while something happens, and tells how they fared. */
async function underLoad<Happened>(happen: () => Promise<Happened>): Promise<[Happened, Load]> {
  const load = host.load();
  try {
    return [await happen(), await load.stop()];
  } catch (error) {
    await load.stop();
    throw error;
  }
}

/** A server that picks its sockets by name, whatever their order, and accepts on those that are named. */
const server = (version: string, accepts: string) => `#!/usr/bin/python3
import os, select, socket
accepts = 'probe' if 'UNDERSTUDY_REHEARSAL' in os.environ else '${accepts}'
names = os.environ['LISTEN_FDNAMES'].split(':')
served = [socket.socket(fileno=3 + at) for at, name in enumerate(names) if name in accepts.split()]
[one.setblocking(False) for one in served]
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])
answer = b'HTTP/1.0 200 OK\\r\\nContent-Type: application/json\\r\\n\\r\\n{"version": "${version}"}'
while True:
    for one in select.select(served, [], [])[0]:
        try:
            connection, _ = one.accept()
        except BlockingIOError:
            continue
        connection.settimeout(5)
        connection.recv(65536)
        connection.sendall(answer)
        connection.close()
`;

describe('by overlap', () => {
  beforeAll(async () => {
    await host.prepare({ switch: 'overlap' });
    live = (await host.deploy({ version: '1' })).release;
  }, 60_000);

  test('a live release that dies at each start for longer than systemd is patient does not close the port', async () => {
    const broken = '/srv/shop/shared/broken';
    live = (await host.deploy({ version: '2', atStart: `[ ! -e ${broken} ] || exit 1` })).release;
    const [, seen] = await underLoad(async () => {
      await host.shell(`touch ${broken}; systemctl kill --signal=KILL shop@${live}.service`);
      await host.until(`(($(systemctl show -p NRestarts --value shop@${live}.service) >= 12))`);
      expect(await host.shell('systemctl is-active shop.socket')).toBe('active');
      await host.shell(`rm ${broken}`);
      await host.until(`systemctl is-active shop@${live}.service`);
    });
    // What was being answered when it was killed is lost; whoever asked while it was down was answered later.
    expect(Object.values(seen.lost).reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(3);
    expect(await host.health()).toContain('"version": "2"');
  });

  test('releases that die when they are live take nothing from the good one after them', async () => {
    const dies = '[ -n "$UNDERSTUDY_REHEARSAL" ] || exit 1';
    for (const version of ['dead 1', 'dead 2']) {
      const [result, seen] = await underLoad(() => host.deploy({ version, atStart: dies }));
      expect(result).toMatchObject({ result: 'reverted', reason: 'start-failed', healthy: true });
      expect(seen.lost).toEqual({});
      expect(await host.shell('systemctl is-active shop.socket')).toBe('active');
    }
    const [good, seen] = await underLoad(() => host.deploy({ version: '3' }));
    expect(good).toMatchObject({ result: 'done', reason: 'deployed' });
    expect(seen.lost).toEqual({});
    expect(await host.health()).toContain('"version": "3"');
    live = good.release;
  });

  test('a release that is healthy on its probe and not for users gives way to the old one at once', async () => {
    const [result, seen] = await underLoad(() => host.deploy({ version: '4', health: 'html for users' }));
    expect(result).toMatchObject({ result: 'reverted', reason: 'check-failed', met: true, healthy: true });
    expect(result.sentence).toContain(
      'The check /health failed on the public port: content type is text/html',
    );
    expect(seen.lost).toEqual({});
    expect(await host.units()).toEqual([`shop@${live}.service`]);
  });

  test.each([
    ['the probe alone', 'probe', 'failed on the public port: no answer'],
    ['the public socket alone', 'public', 'failed before it took over: no answer'],
  ])('a server that accepts on %s is taken back, and nobody is lost', async (_, accepts, problem) => {
    const variant = { version: '5', server: server('5', accepts), startTimeoutMs: 6000 };
    const [result, seen] = await underLoad(() => host.deploy(variant));
    expect(result).toMatchObject({ result: 'reverted', reason: 'check-failed', healthy: true });
    expect(result.sentence).toContain(problem);
    expect(seen.lost).toEqual({});
    expect(await host.units()).toEqual([`shop@${live}.service`]);
  });

  test('a server that picks its sockets by name gets both', async () => {
    const [result, seen] = await underLoad(() =>
      host.deploy({ version: '6', server: server('6', 'public probe') }),
    );
    expect(result).toMatchObject({ result: 'done', reason: 'deployed' });
    expect(seen.lost).toEqual({});
    live = result.release;
  });
});

describe('by pause', () => {
  beforeAll(async () => {
    await host.prepare({ switch: 'pause' });
    live = (await host.deploy({ version: '10' })).release;
  }, 60_000);

  beforeEach(async () => {
    await host.sql('DELETE FROM notes; INSERT INTO notes VALUES (42)');
  });

  test('data is not put back once users may have written', async () => {
    const [result, seen] = await underLoad(() =>
      host.deploy({ version: '11', health: 'html for users', migrate: addTable('eleven') }),
    );
    expect(result).toMatchObject({ result: 'reverted', reason: 'check-failed', met: true, healthy: true });
    expect(seen.lost).toEqual({});
    expect(await host.sql('.tables')).toContain('eleven');
    const kept = new Set((await host.sql('SELECT note FROM notes')).split('\n'));
    expect(seen.acknowledged.filter((note) => !kept.has(note))).toEqual([]);
  });

  test('a schema that changes during the rehearsal stops the deploy before the live data is touched', async () => {
    const operation = host.operation();
    const release = await host.store({
      version: '12',
      atImport: 'if rehearsal: time.sleep(4)',
      migrate: addTable('twelve'),
    });
    const running = host.deployStored(release, { operation });
    await host.untilStep(operation, 'rehearse');
    await host.sql('CREATE TABLE by_hand (x)');
    const result = await running;
    expect(result).toMatchObject({ result: 'reverted', reason: 'schema-changed', met: false, healthy: true });
    expect(result.sentence).toContain('deploy again');
    const tables = await host.sql('.tables');
    expect(tables).toContain('by_hand');
    expect(tables).not.toContain('twelve');
    expect(await host.deployStored(release)).toMatchObject({ result: 'done', reason: 'deployed' });
    live = release.slice(0, 12);
  });

  test('a release is on the disk before its record says so, and `current` before it is believed', async () => {
    const wrapper = `cat >/usr/local/bin/sync <<'END'
#!/bin/sh
echo "$* | $(ls /var/lib/understudy/shop/releases | tr '\\n' ' ') | $(readlink /srv/shop/current)" >>/root/synced
exec /usr/bin/sync "$@"
END
chmod 755 /usr/local/bin/sync; rm -f /root/synced`;
    await host.shell(wrapper);
    const { release } = await host.deploy({ version: '13' });
    const synced = (await host.shell('cat /root/synced; rm /usr/local/bin/sync')).split('\n');
    const first = synced.findIndex((line) => line.includes(`${release}.json`));
    const whole = synced.findIndex((line) =>
      line.startsWith(`--file-system /srv/shop/releases/${release} |`),
    );
    expect(first).toBeGreaterThanOrEqual(0);
    expect(whole).toBeGreaterThanOrEqual(0);
    expect(whole).toBeLessThan(first);
    expect(synced).toContainEqual(expect.stringMatching(`^/srv/shop \\|.*\\| releases/${release}$`));
  });
});
