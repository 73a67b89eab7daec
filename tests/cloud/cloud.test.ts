import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DescribeInstancesCommand, EC2Client } from '@aws-sdk/client-ec2';
import { afterAll, describe, expect, test } from '@jest/globals';
import {
  askHosts,
  bootHost,
  type Cloud,
  describeHost,
  inFabric,
  launchHost,
  onHost,
  openCloud,
  operatorClient,
  startCloud,
  stopCloud,
} from '../../rehearsal/cloud/cloud.ts';
import type { Program } from '../../rehearsal/cloud/programs.ts';
import { readRecord } from '../../rehearsal/cloud/record.ts';
import { listNamespaces } from '../../rehearsal/fabric/fabric.ts';
import { repositoryFolder, runFolder, stateFolder } from '../../rehearsal/ground/places.ts';
import { identify, isAlive, signal } from '../../rehearsal/ground/process.ts';
import { attempt } from '../../rehearsal/ground/run.ts';
import { listCgroups } from '../../rehearsal/hosts/cgroup.ts';
import { mountsBelow } from '../../rehearsal/hosts/disk.ts';

const names = ['tcloud', 'tother', 'tcli', 'tbroken', 'tgone'];

afterAll(async () => {
  for (const name of names) await stopCloud(name);
}, 60_000);

function programsOf(cloud: string): Program[] {
  return [...(readRecord(cloud)?.programs ?? [])];
}

async function kill(cloud: string, ...wanted: string[]): Promise<void> {
  for (const program of programsOf(cloud).filter(({ name }) => wanted.includes(name))) {
    signal(program.process, 'SIGKILL');
    while (isAlive(program.process)) await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function shell(cloud: Cloud, id: string, command: string): Promise<string> {
  const { code, stdout, stderr } = await onHost(cloud, id, ['bash', '-c', command]);
  if (code !== 0) throw new Error(`"${command}" on ${id} ended with ${code}: ${stderr}`);
  return stdout.trim();
}

async function instancesOf(cloud: Cloud): Promise<string[]> {
  const answer = await new EC2Client(operatorClient(cloud)).send(new DescribeInstancesCommand({}));
  const instances = answer.Reservations?.flatMap((reservation) => reservation.Instances ?? []) ?? [];
  return instances.map((instance) => instance.InstanceId ?? '');
}

describe('two clouds at once', () => {
  test('have hosts of the same address that never meet', async () => {
    const one = await startCloud({ name: 'tcloud' });
    const other = await startCloud({ name: 'tother' });
    const here = await launchHost(one, { tags: { App: 'isso' } });
    const there = await launchHost(other);
    expect(there.ip).toBe(here.ip);
    expect(await instancesOf(one)).toEqual([here.instanceId]);
    expect(await instancesOf(other)).toEqual([there.instanceId]);
    // Each host's endpoint is its own cloud's.
    const arn = 'aws ec2 describe-instances --query "Reservations[].Instances[].InstanceId" --output text';
    const settings = Object.entries(one.operatorEnv).filter(([name]) => /KEY/.test(name));
    const asOperator = `env ${settings.map(([name, value]) => `${name}=${value}`).join(' ')} ${arn}`;
    expect(await shell(one, here.instanceId, asOperator)).toBe(here.instanceId);
    expect(await shell(other, there.instanceId, asOperator)).toBe(there.instanceId);
    // What happens to one is nothing to the other.
    await shell(one, here.instanceId, 'touch /root/mine');
    await stopCloud('tother');
    expect(await shell(one, here.instanceId, 'systemctl is-system-running; ls /root')).toBe('running\nmine');
  }, 120_000);

  test('leave nothing of the one that went', async () => {
    expect(mountsBelow(stateFolder('tother'))).toEqual([]);
    expect(await listNamespaces('tother')).toEqual([]);
    expect(listCgroups('tother')).toEqual([]);
    expect(existsSync(stateFolder('tother'))).toBe(false);
    expect(existsSync(runFolder('tother'))).toBe(false);
    expect(() => openCloud('tother')).toThrow('there is no cloud "tother"');
  });
});

describe('a host of the cloud', () => {
  test('has its role from instance metadata, and its agent is online', async () => {
    const cloud = openCloud('tcloud');
    const [id = ''] = await instancesOf(cloud);
    const identity = JSON.parse(await shell(cloud, id, 'aws sts get-caller-identity'));
    expect(identity.Arn).toBe(`arn:aws:sts::${cloud.account}:assumed-role/understudy-plain-host/${id}`);
  });

  test('is met by what runs inside the fabric', async () => {
    const cloud = openCloud('tcloud');
    const [id = ''] = await instancesOf(cloud);
    const { ip } = await describeHost(cloud, id);
    await shell(cloud, id, 'systemd-run --unit=web python3 -m http.server 8080 --directory /root');
    const ask = [
      'curl',
      '--silent',
      '--max-time',
      '5',
      '--retry',
      '20',
      '--retry-all-errors',
      `http://${ip}:8080/`,
    ];
    expect((await attempt(inFabric(cloud, ask))).stdout).toContain('mine');
  });
});

describe('up again', () => {
  test('leaves alone what runs', async () => {
    const before = programsOf('tcloud');
    await startCloud({ name: 'tcloud' });
    expect(programsOf('tcloud')).toEqual(before);
  });

  test('mends what a crash left: programs come back where others know them, hosts run on', async () => {
    const cloud = openCloud('tcloud');
    const [id = ''] = await instancesOf(cloud);
    const host = await describeHost(cloud, id);
    await kill('tcloud', 'door', 'hosts', 'metadata', 'github', 'oidc');
    expect(await startCloud({ name: 'tcloud' })).toEqual(cloud);
    expect(programsOf('tcloud').filter((program) => !isAlive(program.process))).toEqual([]);
    expect(await describeHost(cloud, id)).toEqual(host);
    expect(await shell(cloud, id, 'aws sts get-caller-identity --query Account')).toBe(`"${cloud.account}"`);
    for (const url of [cloud.oidcUrl, cloud.githubUrl]) await fetch(url);
  }, 60_000);

  test('starts anew, and says so, when the account itself is lost', async () => {
    const cloud = openCloud('tcloud');
    const { leader } = await describeHost(cloud, (await instancesOf(cloud))[0] ?? '');
    await kill('tcloud', 'gateway');
    const steps: string[] = [];
    const fresh = await startCloud({ name: 'tcloud', onStep: (step) => steps.push(step) });
    expect(steps[0]).toContain('has lost its memory');
    expect(await askHosts(fresh, 'GET', '/hosts')).toEqual([]);
    expect(identify(leader ?? 0)).toBeUndefined();
    expect(await instancesOf(fresh)).toEqual([]);
  }, 60_000);

  test('by two at the same time makes one cloud', async () => {
    await stopCloud('tcloud');
    const [one, other] = await Promise.all([startCloud({ name: 'tcloud' }), startCloud({ name: 'tcloud' })]);
    expect(other).toEqual(one);
    await stopCloud('tcloud');
  }, 60_000);
});

describe('a start that cannot succeed', () => {
  test('names the program and shows the end of its log', async () => {
    const agent = '/nowhere/agent';
    const started = startCloud({ name: 'tbroken', agent });
    await expect(started).rejects.toThrow(/^hosts ended before it was ready\.\nThe end of .*hosts\.log:\n/);
    await expect(startCloud({ name: 'tbroken', agent })).rejects.toThrow(
      `${agent} holds no amazon-ssm-agent`,
    );
    await stopCloud('tbroken');
    expect(await listNamespaces('tbroken')).toEqual([]);
  }, 60_000);

  test.each(['', 'Up', '9lives', 'toolongname', '../x'])('is refused for the name "%s"', async (name) => {
    await expect(startCloud({ name })).rejects.toThrow("a cloud's name is like");
    await expect(stopCloud(name)).rejects.toThrow("a cloud's name is like");
  });
});

describe('down', () => {
  test('takes away what is left when every program was killed', async () => {
    const cloud = await startCloud({ name: 'tgone' });
    const host = await bootHost(cloud, 'i-0left');
    const programs = programsOf('tgone');
    await kill('tgone', ...programs.map((program) => program.name));
    const supervisor = JSON.parse(
      readFileSync(join(cloud.state, 'hosts/hosts/i-0left.json'), 'utf8'),
    ).supervisor;
    expect(isAlive(supervisor)).toBe(true);
    await stopCloud('tgone');
    expect(isAlive(supervisor)).toBe(false);
    expect(identify(host.leader ?? 0)).toBeUndefined();
    expect(mountsBelow(stateFolder('tgone'))).toEqual([]);
    expect(await listNamespaces('tgone')).toEqual([]);
    expect(listCgroups('tgone')).toEqual([]);
    expect(existsSync(stateFolder('tgone'))).toBe(false);
  }, 60_000);

  test('does nothing where there is nothing', async () => {
    await stopCloud('tgone');
  });
});

describe('npm run cloud', () => {
  const main = join(repositoryFolder, 'rehearsal/cloud/main.ts');
  const cli = (...words: string[]): Promise<{ stdout: string; stderr: string }> =>
    promisify(execFile)(process.execPath, [main, ...words, '--name', 'tcli']);

  test('brings a cloud up with hosts, fills it up, tells of it, enters a host, and takes it down', async () => {
    expect((await cli('up', '--hosts', '1')).stdout).toContain('The cloud "tcli" is up.');
    expect((await cli('up', '--hosts', '2')).stdout).toContain('(2 of 2)');
    const status = JSON.parse((await cli('status', '--json')).stdout);
    expect(status.well).toBe(true);
    expect(status.hosts.map((host: { state: string }) => host.state)).toEqual(['running', 'running']);
    expect((await cli('status')).stdout).toContain('198.18.0.11');
    const shell = execFile(process.execPath, [main, 'shell', '198.18.0.11', '--name', 'tcli']);
    const said = new Promise<string>((resolve) =>
      shell.stdout?.once('data', (chunk) => resolve(String(chunk))),
    );
    shell.stdin?.end('hostname; exit\n');
    expect(await said).toBe('ip-198-18-0-11\n');
    await kill('tcli', 'github');
    await expect(cli('status')).rejects.toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/github +DOWN[\s\S]+mend it with "npm run cloud -- up --name tcli"\n$/),
    });
    await expect(cli('push', '--repo', 'rehearsal')).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^there is no \S+\/rehearsal\/understudy.yml: --repo is [^\n]+\n$/),
    });
    expect((await cli('down')).stdout).toContain('nothing of it is left');
    await expect(cli('status')).rejects.toMatchObject({
      stderr: expect.stringMatching(
        /there is no cloud "tcli".*: start it with "npm run cloud -- up --name tcli"/,
      ),
    });
  }, 120_000);

  test.each([
    ['no command', []],
    ['an unknown command', ['fly']],
    ['a shell on nothing', ['shell']],
    ['a push of nothing', ['push']],
  ])('shows how it is used on %s', async (_, words) => {
    await expect(cli(...words)).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('usage:') });
  });

  test('refuses a number of hosts that is none', async () => {
    await expect(cli('up', '--hosts', 'many')).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('--hosts is a number from 0 to 99, for example 2, not "many"'),
    });
  });
});
