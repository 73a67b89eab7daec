import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  askHosts,
  awaitState,
  bootHost,
  type Cloud,
  describeHost,
  hostRoot,
  onHost,
  startCloud,
  stopCloud,
} from '../../rehearsal/cloud/cloud.ts';
import { readRecord } from '../../rehearsal/cloud/record.ts';
import { listNamespaces } from '../../rehearsal/fabric/fabric.ts';
import { isAlive, type ProcessIdentity, signal } from '../../rehearsal/ground/process.ts';
import { listCgroups } from '../../rehearsal/hosts/cgroup.ts';
import { mountsBelow } from '../../rehearsal/hosts/disk.ts';

const name = 'thosts';
let cloud: Cloud;

beforeAll(async () => {
  await stopCloud(name);
  cloud = await startCloud({ name });
}, 120_000);

afterAll(async () => {
  await stopCloud(name);
}, 60_000);

/** Runs a shell command on a host that must succeed there. */
async function shell(id: string, command: string): Promise<string> {
  const { code, stdout, stderr } = await onHost(cloud, id, ['bash', '-c', command]);
  if (code !== 0) throw new Error(`"${command}" on ${id} ended with ${code}: ${stderr}`);
  return stdout.trim();
}

/** Waits until the systemd that now runs on the host has booted. */
async function untilUp(id: string): Promise<void> {
  for (;;) {
    const ended = await onHost(cloud, id, ['systemctl', 'is-system-running', '--wait']).catch(
      () => undefined,
    );
    if (ended?.stdout.trim() === 'running') return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const post = (id: string, verb: string): Promise<unknown> => askHosts(cloud, 'POST', `/hosts/${id}/${verb}`);
const drop = async (id: string): Promise<void> => {
  await askHosts(cloud, 'DELETE', `/hosts/${id}`);
  await awaitState(cloud, id, 'terminated');
};

function hostsProgram(): ProcessIdentity {
  const found = readRecord(name)?.programs.find((program) => program.name === 'hosts');
  if (found === undefined) throw new Error('no hosts program is on record');
  return found.process;
}

async function killHostsProgram(): Promise<void> {
  const program = hostsProgram();
  signal(program, 'SIGKILL');
  while (isAlive(program)) await new Promise((resolve) => setTimeout(resolve, 10));
}

describe('a host', () => {
  const id = 'i-0first';

  beforeAll(async () => {
    await bootHost(cloud, id);
  }, 60_000);

  afterAll(() => drop(id), 60_000);

  test('is a whole systemd machine with nothing failed', async () => {
    expect(await shell(id, 'systemctl is-system-running')).toBe('running');
    expect(await shell(id, 'ps -o comm= -p 1')).toBe('systemd');
    expect(await shell(id, 'hostname')).toBe('ip-198-18-0-10');
    expect(await shell(id, 'cat /etc/resolv.conf')).toBe('');
  });

  test('has the AWS CLI that can create an object only where there is none', async () => {
    expect(await shell(id, 'aws s3api put-object --generate-cli-skeleton input')).toContain('"IfNoneMatch"');
  });

  test('finds the region and the endpoint of AWS, and its agent does too', async () => {
    expect(await shell(id, 'aws configure get region')).toBe('us-east-2');
    expect(await shell(id, 'aws configure get endpoint_url')).toBe('http://198.18.0.1:8000');
    const agent = JSON.parse(await shell(id, 'cat /etc/amazon/ssm/amazon-ssm-agent.json'));
    const endpoint = { Endpoint: 'http://198.18.0.1:8000' };
    const waits = { RebootDelaySeconds: 2, LostCommandSeconds: 2, ResendSeconds: 2 };
    const Agent = { Region: 'us-east-2', ...waits };
    expect(agent).toEqual({ Agent, Ssm: endpoint, Mds: endpoint, S3: endpoint });
    expect(await shell(id, 'systemctl show -P Environment amazon-ssm-agent')).toContain(
      'http://169.254.169.254',
    );
  });

  test('has no way out of the fabric', async () => {
    const outside = '192.0.2.1'; // TEST-NET-1, RFC 5737
    const { code } = await onHost(cloud, id, ['curl', '--silent', '--max-time', '3', `http://${outside}/`]);
    expect(code).not.toBe(0);
    expect(
      await shell(id, 'curl -s -o /dev/null -w "%{http_code}" http://169.254.169.254/ || true'),
    ).not.toBe('000');
  });

  test('filters its own traffic, as an instance does', async () => {
    await shell(id, 'nft add table inet probe && nft delete table inet probe');
  });

  test('answers the same id again with the host that is there', async () => {
    const before = await describeHost(cloud, id);
    expect(await askHosts(cloud, 'PUT', `/hosts/${id}`, {})).toEqual(before);
  });

  test('runs a command as another user, and passes its input', async () => {
    const ended = await onHost(cloud, id, ['sh', '-c', 'id -un; cat'], { user: 'nobody', input: 'as given' });
    expect(ended).toEqual({ code: 0, stdout: 'nobody\nas given', stderr: '' });
  });

  test('shows its files from outside while it runs', async () => {
    await shell(id, 'echo seen > /root/seen');
    expect(readFileSync(join(await hostRoot(cloud, id), 'root/seen'), 'utf8')).toBe('seen\n');
  });

  test('loses the network when it is cut, and has it back when it is healed', async () => {
    const ask = ['curl', '--silent', '--max-time', '3', '--output', '/dev/null', 'http://169.254.169.254/'];
    await post(id, 'cut');
    expect((await onHost(cloud, id, ask)).code).not.toBe(0);
    await post(id, 'heal');
    // The kernel notices a wire within a second or so: ask as any client does, again.
    expect((await onHost(cloud, id, [...ask, '--retry', '10', '--retry-all-errors'])).code).toBe(0);
  });

  test('stops cleanly: its units get their say', async () => {
    await shell(
      id,
      'systemd-run --unit=last-word --property=ExecStop="touch /root/last-word" sleep infinity',
    );
    await post(id, 'stop');
    const stopped = await awaitState(cloud, id, 'stopped');
    expect(stopped.leader).toBeNull();
    await post(id, 'start');
    await awaitState(cloud, id, 'running');
    await shell(id, 'test -e /root/last-word');
  });

  test('does not get its say when the power is cut, and keeps its disk', async () => {
    await shell(id, 'rm /root/last-word; echo kept > /root/kept');
    await shell(
      id,
      'systemd-run --unit=last-word --property=ExecStop="touch /root/last-word" sleep infinity',
    );
    await post(id, 'crash');
    expect((await describeHost(cloud, id)).state).toBe('stopped');
    await post(id, 'start');
    await awaitState(cloud, id, 'running');
    expect(await shell(id, 'cat /root/kept; ls /root')).toBe('kept\nkept\nseen');
  });

  test('comes back by itself from a reboot from inside, and is running all the while', async () => {
    const before = await describeHost(cloud, id);
    await shell(id, 'touch /run/gone-with-the-boot; systemctl reboot');
    const states = new Set<string>();
    for (;;) {
      const { leader, state } = await describeHost(cloud, id);
      states.add(state);
      if (leader !== null && leader !== before.leader) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect([...states]).toEqual(['running']);
    await untilUp(id);
    await shell(id, 'test ! -e /run/gone-with-the-boot && test -e /root/kept');
  });

  test('is stopped when it powers itself off', async () => {
    await onHost(cloud, id, ['systemctl', 'poweroff']);
    await awaitState(cloud, id, 'stopped');
    await post(id, 'start');
    await awaitState(cloud, id, 'running');
  });
});

describe('a root disk', () => {
  test('ends where it was asked to', async () => {
    const host = await bootHost(cloud, 'i-0small', { rootGiB: 1 });
    expect(host.rootHonoured).toBe(true);
    const ended = await onHost(cloud, host.id, ['fallocate', '--length', '2G', '/root/too-big']);
    expect(ended.stderr).toContain('No space left on device');
    await drop(host.id);
  }, 60_000);
});

describe('an image', () => {
  const source = 'i-0source';

  beforeAll(async () => {
    await bootHost(cloud, source);
    await shell(source, 'echo golden > /root/golden; rm /usr/bin/jq; mkdir -p /var/lib/amazon/ssm/mine');
    await shell(
      source,
      'mv /etc/logrotate.d /etc/logrotate.away; mkdir /etc/logrotate.d; touch /etc/logrotate.d/new',
    );
  }, 60_000);

  afterAll(() => drop(source), 60_000);

  async function launch(image: string, id: string): Promise<void> {
    await bootHost(cloud, id, { image });
    const found = await shell(id, 'cat /root/golden; ls /etc/logrotate.d; ls -d /usr/bin/jq 2>&1; hostname');
    const { ip } = await describeHost(cloud, id);
    const missing = "ls: cannot access '/usr/bin/jq': No such file or directory";
    expect(found).toBe(`golden\nnew\n${missing}\nip-${ip.replaceAll('.', '-')}`);
    await shell(id, 'test ! -e /var/lib/amazon/ssm/mine && test -e /etc/logrotate.away');
    expect(await shell(id, 'cat /etc/machine-id')).toBe(await shell(source, 'cat /etc/machine-id'));
  }

  test('of a host that reboots for it holds what that host had written, and boots', async () => {
    const before = await describeHost(cloud, source);
    await askHosts(cloud, 'PUT', '/images/ami-0quiet', { host: source, reboot: true });
    const after = await awaitState(cloud, source, 'running');
    expect(after.leader).not.toBe(before.leader);
    await launch('ami-0quiet', 'i-0quiet');
    // The image may go while a host stands on it.
    await askHosts(cloud, 'DELETE', '/images/ami-0quiet');
    expect(await shell('i-0quiet', 'cat /root/golden')).toBe('golden');
    await drop('i-0quiet');
    expect(existsSync(join(cloud.state, 'hosts/layers/ami-0quiet'))).toBe(false);
  }, 60_000);

  test('of a host that runs on is whole: what was acknowledged before is in it', async () => {
    const before = await describeHost(cloud, source);
    await shell(source, 'sqlite3 /root/live.db "pragma journal_mode=wal; create table t (n integer)"');
    const writer =
      'n=0; while :; do n=$((n+1)); sqlite3 /root/live.db "insert into t values ($n)" && echo $n > /root/n; done';
    await shell(source, `systemd-run --unit=writer bash -c '${writer.replaceAll('$', '$$')}'`);
    await shell(source, 'until [ -s /root/n ]; do sleep 0.05; done');
    const acknowledged = Number(await shell(source, 'cat /root/n'));
    await askHosts(cloud, 'PUT', '/images/ami-0live', { host: source, reboot: false });
    await shell(source, 'systemctl is-active writer; systemctl stop writer');
    expect((await describeHost(cloud, source)).leader).toBe(before.leader);
    await launch('ami-0live', 'i-0live');
    expect(await shell('i-0live', 'sqlite3 /root/live.db "pragma integrity_check"')).toBe('ok');
    const rows = Number(await shell('i-0live', 'sqlite3 /root/live.db "select max(n) from t"'));
    expect(rows).toBeGreaterThanOrEqual(acknowledged);
    await drop('i-0live');
  }, 60_000);

  test('that is unknown launches nothing', async () => {
    await expect(bootHost(cloud, 'i-0none', { image: 'ami-0none' })).rejects.toThrow(
      'there is no image ami-0none',
    );
    await expect(describeHost(cloud, 'i-0none')).rejects.toThrow('there is no host i-0none');
  });
});

describe('after a SIGKILL of the hosts program', () => {
  test('hosts run on, and are taken up again with their state', async () => {
    const before = await bootHost(cloud, 'i-0on');
    await killHostsProgram();
    expect(isAlive(hostsProgram())).toBe(false);
    await startCloud({ name });
    expect(await describeHost(cloud, 'i-0on')).toEqual(before);
    await shell('i-0on', 'systemctl reboot');
    await untilUp('i-0on');
    await drop('i-0on');
  }, 60_000);

  test('hosts that died meanwhile boot again, and half-made ones are finished', async () => {
    const before = await bootHost(cloud, 'i-0died');
    await shell('i-0died', 'echo kept > /root/kept');
    await killHostsProgram();
    process.kill(before.leader ?? 0, 'SIGKILL');
    // What a crash leaves between the record and the first boot: a host that is known, and nothing more.
    const file = join(cloud.state, 'hosts/hosts/i-0half.json');
    const record = JSON.parse(readFileSync(join(cloud.state, 'hosts/hosts/i-0died.json'), 'utf8'));
    const { supervisor, ...rest } = record;
    writeFileSync(file, JSON.stringify({ ...rest, id: 'i-0half', index: 40, state: 'pending', made: false }));
    await startCloud({ name });
    const after = await awaitState(cloud, 'i-0died', 'running');
    expect(after.leader).not.toBe(before.leader);
    expect(await shell('i-0died', 'cat /root/kept')).toBe('kept');
    expect(await awaitState(cloud, 'i-0half', 'running')).toMatchObject({
      ip: '198.18.0.50',
      rootHonoured: true,
    });
    await drop('i-0died');
    await drop('i-0half');
  }, 60_000);
});

describe('a terminated host', () => {
  test('leaves no mount, network, cgroup or file', async () => {
    const host = await bootHost(cloud, 'i-0gone');
    const folder = join(host.root, '..');
    expect(mountsBelow(folder)).not.toEqual([]);
    const index = Number(host.ip.split('.')[3]) - 10;
    expect(await listNamespaces(name)).toContain(`us-${name}-${index}`);
    await drop('i-0gone');
    expect(mountsBelow(folder)).toEqual([]);
    expect(existsSync(folder)).toBe(false);
    expect(await listNamespaces(name)).not.toContain(`us-${name}-${index}`);
    expect(listCgroups(name)).not.toContain(`us-${name}-${index}`);
  }, 60_000);
});

describe('what hosts do not implement', () => {
  test('is refused in a sentence', async () => {
    await expect(askHosts(cloud, 'POST', '/hosts/i-0first/hibernate')).rejects.toThrow(
      'hosts do not implement POST /hosts/i-0first/hibernate',
    );
    await expect(bootHost(cloud, 'i-0big', { rootGiB: 0 })).rejects.toThrow('rootGiB is a whole number');
  });
});
