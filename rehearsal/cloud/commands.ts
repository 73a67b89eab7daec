import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DescribeInstancesCommand, EC2Client, type Instance } from '@aws-sdk/client-ec2';
import { parseConfig } from '../../src/config/parse.ts';
import { isAlive } from '../ground/process.ts';
import type { HostView } from '../hosts/hosts.ts';
import { runWorkflow } from '../runner/runner.ts';
import { callerRepository } from './caller.ts';
import { type Cloud, launchHost, openCloud, operatorClient, startCloud, stopCloud } from './cloud.ts';
import { hostPrefix, listHosts } from './host.ts';
import { enrol, provision } from './provision.ts';
import { listClouds, readRecord } from './record.ts';

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

/** Starts or mends a cloud, and launches hosts until there are as many as were asked for. */
export async function bringUp(wish: {
  name: string;
  hosts: number;
  agent: string | undefined;
}): Promise<number> {
  const agent = wish.agent === undefined ? {} : { agent: resolve(wish.agent) };
  const cloud = await startCloud({ name: wish.name, ...agent, onStep: (step) => say(`  ${step}`) });
  const there = (await listHosts(cloud)).filter((host) => host.state !== 'terminated');
  for (let number = there.length + 1; number <= wish.hosts; number++) {
    const host = await launchHost(cloud, { tags: { Name: `host-${number}` } });
    say(`  ${host.instanceId} is online at ${host.ip} (${number} of ${wish.hosts})`);
  }
  say(`The cloud "${cloud.name}" is up. AWS: ${cloud.gatewayUrl}  GitHub: ${cloud.githubUrl}`);
  say(`To use it: ${asExports(cloud.operatorEnv)}`);
  return 0;
}

const asExports = (env: Record<string, string>): string =>
  `export ${Object.entries(env)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')}`;

/** Tells what runs, and where; 1 when something of the cloud is not as it should be. */
export async function showStatus(name: string, json: boolean): Promise<number> {
  const record = readRecord(name);
  if (record === undefined) {
    const others = listClouds().filter((other) => readRecord(other) !== undefined);
    throw new Error(
      `there is no cloud "${name}"${others.length === 0 ? '' : ` (there is: ${others.join(', ')})`}`,
    );
  }
  const programs = record.programs.map((program) => ({
    name: program.name,
    up: isAlive(program.process),
    pid: program.process.pid,
    ...program.ready,
  }));
  const hosts = programs.some((program) => program.name === 'hosts' && program.up)
    ? await listHosts(openCloud(name))
    : [];
  const well = programs.every((program) => program.up);
  if (json) say(JSON.stringify({ name, well, programs, hosts }, null, 2));
  else tellStatus(programs, hosts);
  return well ? 0 : 1;
}

function tellStatus(
  programs: readonly { name: string; up: boolean; pid: number }[],
  hosts: readonly HostView[],
): void {
  for (const { name, up, pid, ...rest } of programs) {
    say(`${name.padEnd(10)} ${up ? 'up  ' : 'DOWN'} pid ${pid}  ${Object.values(rest).join(' ')}`);
  }
  for (const host of hosts) {
    const marks = `${host.cut ? ' (network cut)' : ''}${host.rootHonoured ? '' : ' (disk size not honoured)'}`;
    say(`${host.id.padEnd(20)} ${host.state.padEnd(13)} ${host.ip.padEnd(14)} ${host.rootGiB} GiB${marks}`);
  }
}

/** An interactive shell on a host, as root. */
export async function openShell(name: string, wanted: string): Promise<number> {
  const cloud = openCloud(name);
  const found = (await listHosts(cloud)).filter(({ id, ip }) => id.startsWith(wanted) || ip === wanted);
  const [host] = found;
  if (host === undefined || found.length > 1) {
    const all = (await listHosts(cloud)).map(({ id, ip, state }) => `${id} ${ip} ${state}`).join('\n  ');
    throw new Error(
      `"${wanted}" is ${host === undefined ? 'no host' : 'more than one host'}; there are:\n  ${all}`,
    );
  }
  const [command = '', ...rest] = await hostPrefix(cloud, host.id);
  const terminal = `TERM=${process.env['TERM'] ?? 'dumb'}`;
  const shell = spawn(command, [...rest, terminal, '--chdir=/root', 'bash', '--login'], { stdio: 'inherit' });
  const [code] = await once(shell, 'exit');
  return typeof code === 'number' ? code : 1;
}

/** Plays a push to main of a repository, on an account that is prepared for it. */
export async function pushRepository(name: string, repo: string, environment: string): Promise<number> {
  const cloud = openCloud(name);
  const tell = (step: string): void => say(`  ${step}`);
  const file = join(resolve(repo), 'understudy.yml');
  const { app } = parseConfig(readFileSync(file, 'utf8'), file);
  const folder = await callerRepository(cloud, app, resolve(repo), tell);
  const repository = `acme/${app}`;
  await provision(cloud, { app, environment, folder, repository, onStep: tell });
  await ensureHost(cloud, { app, environment, folder });
  const trigger = { repository, folder, event: 'push', ref: 'refs/heads/main' } as const;
  const ended = await runWorkflow(cloud, { ...trigger, onLine: say });
  for (const job of ended.jobs) if (job.summary !== '') say(`\n${job.summary}`);
  say(`${ended.conclusion} in ${ended.seconds.toFixed(1)} s`);
  return ended.conclusion === 'success' ? 0 : 1;
}

async function ensureHost(
  cloud: Cloud,
  place: { app: string; environment: string; folder: string },
): Promise<void> {
  const { app, environment } = place;
  const instances = await enrolledInstances(cloud, app, environment);
  const ids = instances.flatMap(({ InstanceId }) => (InstanceId === undefined ? [] : [InstanceId]));
  if (ids.length === 0) {
    const tags = { App: app, Environment: environment, Name: `${app}-${environment}` };
    const host = await launchHost(cloud, { tags, instanceProfile: `${app}-${environment}-host` });
    say(`  ${host.instanceId} is online at ${host.ip}`);
    ids.push(host.instanceId);
  }
  // prepare-host is idempotent: a host that is prepared already says so.
  for (const id of ids) await enrol(cloud, id, place);
}

async function enrolledInstances(cloud: Cloud, app: string, environment: string): Promise<Instance[]> {
  const answer = await new EC2Client(operatorClient(cloud)).send(
    new DescribeInstancesCommand({
      Filters: [
        { Name: 'tag:App', Values: [app] },
        { Name: 'tag:Environment', Values: [environment] },
        { Name: 'instance-state-name', Values: ['running'] },
      ],
    }),
  );
  return answer.Reservations?.flatMap((reservation) => reservation.Instances ?? []) ?? [];
}

/** Stops a cloud and removes all that it made. */
export async function bringDown(name: string): Promise<number> {
  await stopCloud(name);
  say(`The cloud "${name}" is down, and nothing of it is left.`);
  return 0;
}
