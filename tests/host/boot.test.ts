import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type Host, lowerHost, raiseHost } from './ground.ts';

jest.setTimeout(90_000);

let host: Host;
let live: string;

beforeAll(async () => {
  ({ host } = await raiseHost());
  await host.prepare({ workers: 'kept' });
  live = (await host.deploy({ version: '1', workers: ['kept'] })).release;
}, 120_000);

afterAll(lowerHost, 60_000);

const boots = () => host.shell('cat /var/lib/understudy/shop/boots; cat /proc/sys/kernel/random/boot_id');

describe('at boot', () => {
  test('the live release comes up from a volume that is mounted late, whatever the settings of another app', async () => {
    const [first, now] = (await boots()).split('\n');
    expect(first).toBe(now);
    await host.shell('mkdir /volume; mv /srv/shop /volume/; echo "/volume /srv none bind 0 0" >>/etc/fstab');
    await host.shell('echo "{" >/etc/understudy/broken.json; echo "" >/etc/understudy/empty.json');
    await host.cutPower();
    await host.until('curl --silent --fail --max-time 5 http://127.0.0.1:8080/health');
    await host.until('systemctl --quiet is-active shop-worker@kept');
    expect(await host.units()).toEqual([`shop@${live}.service`]);
    expect(await host.shell('systemctl show -p Triggers --value shop.socket')).toBe(`shop@${live}.service`);
    const [before, ours, boot, ...more] = (await boots()).split('\n');
    expect({ before, ours, more }).toEqual({ before: first, ours: boot, more: [] });
    expect(ours).not.toBe(before);
    await host.shell('rm /etc/understudy/broken.json /etc/understudy/empty.json');
  });

  /** An operation that died when it had begun to change live data; it can be put back once a file is there. */
  const died = `folder=/var/lib/understudy/shop/operations/operation-dead-1; mkdir -p $folder
echo '{"at":1,"fact":"migrating","value":"yes"}' >$folder/journal.jsonl
cat >$folder/script <<'END'
[[ -e /root/may-recover ]] || exit 3
echo "$2" >>/root/recovered
[[ $2 == boot ]] || echo '{}' >/var/lib/understudy/shop/operations/operation-dead-1/line
END`;

  test('an app whose data could not be put right does not start, and others do', async () => {
    await host.prepare({ app: 'till', user: 'till', port: '8081' });
    await host.shell(died);
    const [, before] = (await boots()).split('\n');
    await host.cutPower();
    await host.until('systemctl --quiet is-failed understudy-boot@shop');
    await host.cutPower();
    await host.until('systemctl --quiet is-active till.socket');
    await host.until('systemctl --quiet is-failed understudy-boot@shop');
    await host.until('[[ $(systemctl show -p SubState --value understudy-recover@shop) == auto-restart ]]');
    expect(await host.units()).toEqual([]);
    // The boot on which nothing started does not count.
    const [last, ours, boot] = (await boots()).split('\n');
    expect({ last, ours }).toEqual({ last: before, ours: boot });
    expect(await host.shell('ss -Hltn "sport = :8080"; systemctl is-active shop-worker@kept || true')).toBe(
      'inactive',
    );
    const result = await host.prepare({ workers: 'kept' });
    expect(result).toMatchObject({ result: 'failed', reason: 'prepare-host-failed' });
    expect(result.sentence).toContain('understudy-boot@shop');
    expect(await host.units()).toEqual([]);
  });

  test('it starts by itself once recovery, which is tried again, has succeeded', async () => {
    await host.shell('touch /root/may-recover');
    await host.until('curl --silent --fail --max-time 5 http://127.0.0.1:8080/health');
    await host.until('systemctl --quiet is-active shop-worker@kept');
    await host.until('[[ $(systemctl show -p ActiveState --value understudy-recover@shop) == inactive ]]');
    expect(await host.shell('cat /root/recovered')).toBe('boot\nnow');
    expect(await host.units()).toEqual([`shop@${live}.service`]);
  });
});
