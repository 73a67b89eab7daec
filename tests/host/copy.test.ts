import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Cloud } from '../../rehearsal/cloud/cloud.ts';
import { Host, lowerHost, raiseHost } from './ground.ts';

jest.setTimeout(120_000);

const state = '/var/lib/understudy/shop';
let cloud: Cloud;
let original: Host;
let image: string;
let live: string;

// What an operator laid on the machine to run by the clock.
const clockwork = `cat >/etc/systemd/system/cron.service <<'END'
[Service]
ExecStart=/bin/sh -c 'touch /root/cron-ran; exec sleep infinity'
[Install]
WantedBy=multi-user.target
END
printf '[Service]\\nType=oneshot\\nExecStart=touch /root/ticked\\n' >/etc/systemd/system/tick.service
printf '[Timer]\\nOnActiveSec=1s\\nOnUnitActiveSec=1s\\nAccuracySec=100ms\\n[Install]\\nWantedBy=timers.target\\n' >/etc/systemd/system/tick.timer
systemctl daemon-reload; systemctl --quiet enable --now cron.service tick.timer`;

const scrub = `mkdir -p .understudy/hooks; cat >.understudy/hooks/scrub <<'END'
#!/bin/bash
set -e
if [[ -e $UNDERSTUDY_SHARED/slow ]]; then sleep 60; fi
sqlite3 "$UNDERSTUDY_SHARED/app.db" 'DELETE FROM notes'
echo "$(id -un) $UNDERSTUDY_ENVIRONMENT $(awk -F: 'NR > 2 {print $1}' /proc/net/dev | xargs)" >"$UNDERSTUDY_SHARED/scrubbed"
END
chmod 755 .understudy/hooks/scrub`;

beforeAll(async () => {
  ({ cloud, host: original } = await raiseHost());
  await original.prepare({ workers: 'kept' });
  live = (await original.deploy({ version: '1', workers: ['kept'], also: scrub }, { fence: '9' })).release;
  await original.sql("INSERT INTO notes VALUES ('of a person')");
  await original.shell(clockwork);
  image = await original.image();
}, 120_000);

afterAll(lowerHost, 60_000);

const runs = async (host: Host) => ({
  units: await host.units(),
  listens: await host.shell('ss -Hltn "sport = :8080"'),
  worker: await host.shell('systemctl is-active shop-worker@kept || true'),
  clockwork: await host.shell(
    'systemctl is-active cron.service tick.timer understudy-check@shop.timer || true',
  ),
  ran: await host.shell('ls /root/cron-ran /root/ticked 2>/dev/null || true'),
});
const nothing = {
  units: [],
  listens: '',
  worker: 'inactive',
  clockwork: 'inactive\ninactive\ninactive',
  ran: '',
};

/** Boots it anew, without the traces of what ran before. */
async function bootAnew(host: Host): Promise<void> {
  await host.shell('systemctl stop cron.service tick.timer; rm -f /root/cron-ran /root/ticked; sync');
  await host.cutPower();
}

const refusesToStart = (host: Host) =>
  host.until(
    '[[ $(systemctl is-system-running) =~ ^(running|degraded)$ ]] && systemctl --quiet is-failed understudy-boot@shop',
  );
const serves = (host: Host) => host.until('curl --silent --fail --max-time 5 http://127.0.0.1:8080/health');

describe('a machine from an image of another', () => {
  let copy: Host;

  beforeAll(async () => {
    await original.shell('systemctl stop cron.service tick.timer; rm -f /root/cron-ran /root/ticked; sync');
    const clean = await original.image();
    copy = await Host.launch(cloud, clean);
    await refusesToStart(copy);
  });

  test('wakes up with its agent, and nothing of the app nor of the clock', async () => {
    expect(await runs(copy)).toEqual(nothing);
    expect(await copy.shell('systemctl is-active amazon-ssm-agent')).toBe('active');
    expect(await copy.shell('journalctl --unit understudy-boot@shop --output cat')).toContain(
      `this is not the machine ${original.instanceId} that was enrolled`,
    );
  });

  test('sets aside what the other was told, and has a machine id of its own', async () => {
    const aside = `${state}/was-${original.instanceId}`;
    expect((await copy.shell(`ls ${aside}`)).split('\n')).toEqual(
      expect.arrayContaining(['boots', 'fence', 'last', 'operations']),
    );
    expect(await copy.shell(`jq .fence ${aside}/fence; ls ${state}/operations | wc -l`)).toBe('9\n0');
    expect(await copy.shell('cat /etc/machine-id')).not.toBe(await original.shell('cat /etc/machine-id'));
  });

  test('refuses whoever takes it for the other, and starts nothing at the next boot', async () => {
    const result = await copy.probe();
    expect(result).toMatchObject({ result: 'refused', reason: 'wrong-host' });
    expect(result.sentence).toContain(copy.instanceId);
    expect(result.sentence).toContain(original.instanceId);
    await copy.cutPower();
    await refusesToStart(copy);
    expect(await runs(copy)).toEqual(nothing);
  });

  test('starts as a drill host with the data as they are, and none of what ran by the clock', async () => {
    const result = await copy.prepare({ environment: 'drill', workers: 'kept' });
    expect(result).toMatchObject({ result: 'done', reason: 'prepared' });
    await serves(copy);
    expect(await copy.units()).toEqual([`shop@${live}.service`]);
    expect(await copy.sql('SELECT count(*) FROM notes')).toBe('1');
    expect(await copy.shell('systemctl is-enabled cron.service tick.timer || true')).toBe(
      'disabled\ndisabled',
    );
    expect(result.sentence).toContain('cron.service tick.timer');
    expect(await copy.probe()).toMatchObject({ result: 'refused', reason: 'wrong-host' });
    expect(await copy.run('probe', { environment: 'drill', about: 'none', ask: 'none' })).toMatchObject({
      ...{ result: 'done', live, healthy: true, fence: 0 },
    });
  });

  test('is not given to another environment by a release that cannot scrub its data', async () => {
    const hook = `/srv/shop/releases/${live}/.understudy/hooks/scrub`;
    await copy.shell(`mv ${hook} /root/`);
    const result = await copy.prepare({ environment: 'production', workers: 'kept' });
    await copy.shell(`mv /root/scrub ${hook}`);
    expect(result).toMatchObject({ result: 'refused', reason: 'scrub-missing', code: 2 });
    expect(await copy.units()).toEqual([`shop@${live}.service`]);
  });

  test('starts nothing while its data are half scrubbed, whoever dies', async () => {
    await copy.shell('touch /srv/shop/shared/slow');
    const operation = copy.operation();
    const dying = copy.prepare({ environment: 'production', workers: 'kept', operation, timeout: '90' });
    dying.catch(() => undefined);
    await copy.until("pgrep -xf 'sleep 60'");
    expect((await runs(copy)).units).toEqual([]);
    await copy.cutPower();
    await refusesToStart(copy);
    expect(await runs(copy)).toEqual(nothing);
    await copy.shell('rm /srv/shop/shared/slow');
  });

  test('is scrubbed before it starts, as the user of the app and without a network', async () => {
    const result = await copy.prepare({ environment: 'production', workers: 'kept' });
    expect(result).toMatchObject({ result: 'done', reason: 'prepared' });
    expect(result.sentence).toContain('The data of staging that it held were scrubbed.');
    expect(await copy.shell('cat /srv/shop/shared/scrubbed')).toBe('shop production lo');
    await serves(copy);
    await copy.until('systemctl --quiet is-active shop-worker@kept understudy-check@shop.timer');
    expect(await copy.sql('SELECT count(*) FROM notes')).toBe('0');
    expect(await copy.shell(`ls -d ${state}/{backups,was-*,unscrubbed,unenrolled} 2>/dev/null || true`)).toBe(
      '',
    );
    expect((await runs(copy)).ran).toBe('');
  });

  test('boots as every other from then on, and is not scrubbed again', async () => {
    await copy.sql("INSERT INTO notes VALUES ('of production')");
    expect(await copy.prepare({ environment: 'production', workers: 'kept' })).toMatchObject({
      ...{ result: 'unchanged', reason: 'already-prepared' },
    });
    await copy.cutPower();
    await serves(copy);
    expect(await copy.sql('SELECT count(*) FROM notes')).toBe('1');
  });
});

describe('a machine of the same environment', () => {
  let heir: Host;

  beforeAll(async () => {
    heir = await Host.launch(cloud, image);
    await refusesToStart(heir);
    await heir.shell('rm -f /root/cron-ran /root/ticked');
  });

  test('goes on with data, release and clock, and with fencing numbers of its own', async () => {
    expect(await heir.prepare({ workers: 'kept' })).toMatchObject({ result: 'done', reason: 'prepared' });
    await serves(heir);
    await heir.until('test -e /root/cron-ran && test -e /root/ticked');
    expect(await heir.sql('SELECT count(*) FROM notes')).toBe('1');
    expect(await heir.probe()).toMatchObject({ live, healthy: true, fence: 0 });
    expect(await original.probe()).toMatchObject({ live, healthy: true, fence: 9 });
  });

  describe('while the metadata do not answer', () => {
    beforeAll(async () => {
      await heir.shell(`cat >/usr/local/sbin/curl <<'END'
#!/bin/sh
case "$*" in *169.254.169.254*) exit 7 ;; esac
exec /usr/bin/curl "$@"
END
chmod 755 /usr/local/sbin/curl; mkdir -p /etc/systemd/system/understudy-boot@.service.d /root/board; echo uuid-1 >/root/board/product_uuid
printf '[Service]\\nEnvironment=UNDERSTUDY_PATIENCE=2 UNDERSTUDY_BOARD=/root/board\\n' >/etc/systemd/system/understudy-boot@.service.d/test.conf`);
    });

    test('starts nothing on a machine that it did not run on last', async () => {
      await heir.shell(`echo uuid-2 >${state}/machine`);
      await bootAnew(heir);
      await refusesToStart(heir);
      expect(await runs(heir)).toEqual(nothing);
      expect(await heir.shell(`ls -d ${state}/was-*`)).toBe(`${state}/was-${original.instanceId}`);
    });

    test.each([
      ['that it ran on last', `echo uuid-1 >${state}/machine`],
      [
        'whose board says which it is',
        'echo uuid-3 >/root/board/product_uuid; echo ID >/root/board/board_asset_tag',
      ],
    ])('starts on the machine %s', async (_, told) => {
      await heir.shell(told.replace('ID', heir.instanceId));
      await bootAnew(heir);
      await serves(heir);
      expect(await heir.units()).toEqual([`shop@${live}.service`]);
    });
  });
});

describe('a machine that is to take the place of another', () => {
  let heir: Host;
  /** Users wait with the holder; nothing of the image's runs but what watches the host. */
  const asleep = {
    ...nothing,
    units: ['shop-pause.service'],
    listens: expect.stringContaining(':8080'),
    clockwork: 'inactive\ninactive\nactive',
  };
  const held = 'systemctl --quiet is-active shop.socket shop-pause.service understudy-check@shop.timer';

  beforeAll(async () => {
    heir = await Host.launch(cloud, image);
    await refusesToStart(heir);
    await heir.shell('rm -f /root/cron-ran /root/ticked');
  });

  test('is enrolled, and runs nothing of what its image held, whose data are old', async () => {
    expect(await heir.prepare({ workers: 'kept', wake: 'no' })).toMatchObject({ result: 'done' });
    await heir.until(held);
    expect(await runs(heir)).toEqual(asleep);
    expect(await heir.probe()).toMatchObject({ result: 'done', live: '' });
  });

  test('nor at its next boot', async () => {
    await heir.cutPower();
    await heir.until(held);
    expect(await runs(heir)).toEqual(asleep);
  });

  test('runs by the clock again once it is told to wake', async () => {
    expect(await heir.prepare({ workers: 'kept' })).toMatchObject({ reason: 'already-prepared' });
    await heir.until('test -e /root/cron-ran && test -e /root/ticked');
    expect(await heir.shell(`ls ${state}/asleep 2>/dev/null || true`)).toBe('');
  });
});
