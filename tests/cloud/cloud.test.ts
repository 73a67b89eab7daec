import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
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
import type { HostView } from '../../rehearsal/hosts/hosts.ts';

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
  }, 120_000);

  test('shows what a host logs, cuts it off, heals and reboots it, and refuses what makes no sense', async () => {
    const at = '198.18.0.11';
    // A host that is there refuses (7); one that is cut off does not answer (28).
    const knock = async () => {
      const ask = ['curl', '--silent', '--max-time', '2', `http://${at}:9`];
      return (await attempt(inFabric({ name: 'tcli' }, ask))).code;
    };
    const boot = async () => (await cli('logs', at)).stdout.match(/kernel|systemd\[1\]/g)?.length ?? 0;
    expect(await boot()).toBeGreaterThan(0);
    const following = execFile(process.execPath, [main, 'logs', at, '--follow', '--name', 'tcli']);
    const heard = new Promise((resolve) =>
      following.stdout?.on('data', (chunk) => /heard at once/.test(chunk) && resolve('it')),
    );
    const { hosts } = JSON.parse((await cli('status', '--json')).stdout) as { hosts: HostView[] };
    const id = hosts.find(({ ip }) => ip === at)?.id ?? '';
    await onHost(openCloud('tcli'), id, ['logger', 'heard at once']);
    expect(await heard).toBe('it');
    following.kill();
    expect(await knock()).toBe(7);
    expect((await cli('cut', at)).stdout).toBe(
      `${id} is cut off: nothing reaches it, and it reaches nothing.\n`,
    );
    expect(await knock()).toBe(28);
    expect((await cli('status')).stdout).toContain('(network cut)');
    const refused = (stderr: RegExp) => ({ code: 1, stderr: expect.stringMatching(stderr) });
    await expect(cli('cut', id)).rejects.toMatchObject(refused(/is cut off already: nothing was done/));
    expect((await cli('heal', id)).stdout).toBe(`${id} is on the network again.\n`);
    expect(await knock()).toBe(7);
    await expect(cli('heal', id)).rejects.toMatchObject(refused(/is not cut off: nothing was done/));
    const { leader } = await describeHost(openCloud('tcli'), id);
    expect((await cli('reboot', id)).stdout).toBe(`${id} has booted anew.\n`);
    expect((await describeHost(openCloud('tcli'), id)).leader).not.toBe(leader);
    await expect(cli('reboot', '198.18.9.9')).rejects.toMatchObject(
      refused(/^"198\.18\.9\.9" is no host; there are:\n {2}i-/),
    );
    await expect(cli('logs', 'i-')).rejects.toMatchObject(refused(/^"i-" is more than one host; there are:/));
  }, 120_000);

  test('plays a dispatch, a schedule and a tag, and starts nothing that GitHub would not', async () => {
    const repo = mkdtempSync(join(tmpdir(), 'understudy-events-'));
    try {
      cpSync(join(repositoryFolder, 'examples/chatmrpt'), repo, { recursive: true });
      writeFileSync(join(repo, '.github/workflows/say.yml'), saying);
      rmSync(join(repo, '.github/workflows/promote.yml')); // it starts at a tag, too
      const refused = (stderr: string) => ({ code: 1, stderr: expect.stringContaining(stderr) });
      const on = ['--repo', repo];
      await expect(cli('dispatch', 'nosuch.yml', ...on)).rejects.toMatchObject(
        refused('there is no workflow nosuch.yml in'),
      );
      await expect(cli('dispatch', 'deploy.yml', ...on)).rejects.toMatchObject(
        refused('workflow_dispatch of refs/heads/main must start deploy.yml; it would start: none'),
      );
      await expect(cli('dispatch', 'say.yml', 'loud', ...on)).rejects.toMatchObject(
        refused('an input is key=value, for example environment=staging, not "loud"'),
      );
      await expect(cli('dispatch', 'say.yml', 'size=3', ...on)).rejects.toMatchObject(
        refused('say.yml has no input size; it has: word, colour'),
      );
      await expect(cli('dispatch', 'say.yml', ...on)).rejects.toMatchObject(
        refused('say.yml wants the input word (What to say): give it as word=…'),
      );
      await expect(cli('dispatch', 'say.yml', 'word=x', 'colour=grey', ...on)).rejects.toMatchObject(
        refused('the input colour of say.yml is one of red, green, not "grey"'),
      );
      const dispatched = (await cli('dispatch', 'say.yml', 'word=a=b', ...on)).stdout;
      expect(dispatched).toContain('| workflow_dispatch of refs/heads/main: a=b red');
      expect(dispatched).toMatch(/enrolled for staging: i-[^\n]+\n[\s\S]+success in [\d.]+ s\n$/);
      expect((await cli('schedule', 'say.yml', ...on)).stdout).toContain('| schedule of refs/heads/main:');
      const tagged = (await cli('push', '--tag', 'v1.0.0', ...on)).stdout;
      expect(tagged).toContain('| push of refs/tags/v1.0.0:');
      const copy = join(stateFolder('tcli'), 'repositories/chatmrpt');
      await expect(cli('push', '--tag', 'v2', '--repo', copy)).rejects.toMatchObject(
        refused(`${copy} has no tag v2: make it with "git tag v2"`),
      );
    } finally {
      rmSync(repo, { recursive: true });
    }
  }, 120_000);

  test('says what is down, and how to mend it', async () => {
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

  const saying = `
on:
  workflow_dispatch:
    inputs:
      word: {description: What to say, required: true}
      colour: {type: choice, options: [red, green], default: red}
  schedule: [{cron: '0 2 * * *'}]
  push: {tags: ['v*']}
permissions: {}
jobs:
  say:
    runs-on: ubuntu-latest
    permissions: {}
    steps: [{run: 'echo "\${{ github.event_name }} of \${{ github.ref }}: \${{ inputs.word }} \${{ inputs.colour }}"'}]
`;

  test.each([
    ['no command', []],
    ['an unknown command', ['fly']],
    ['a shell on nothing', ['shell']],
    ['a push of nothing', ['push']],
    ['a dispatch of no workflow', ['dispatch', '--repo', 'examples/isso']],
    ['a schedule of no repository', ['schedule', 'deploy.yml']],
    ['a cut of nothing', ['cut']],
    ['a word that every object has', ['constructor']],
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
