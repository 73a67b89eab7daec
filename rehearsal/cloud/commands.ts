import { resolve } from 'node:path';
import { kinds, type Wish } from '../faults/faults.ts';
import { isAlive } from '../ground/process.ts';
import type { HostView } from '../hosts/hosts.ts';
import { launchHost, openCloud, startCloud, stopCloud } from './cloud.ts';
import { addFault, clearFaults, listFaults } from './fault.ts';
import { listHosts } from './host.ts';
import { requireRecord, upCommand } from './record.ts';
import { say } from './say.ts';

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
  const record = requireRecord(name);
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
  else {
    tellStatus(programs, hosts);
    if (!well) say(`Something is down: mend it with ${upCommand(name)}`);
  }
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

/** Puts a fault on the books of a cloud; without one, tells what is on them; `clear` clears them. */
export async function orderFault(name: string, action: string | undefined, wish: object): Promise<number> {
  const cloud = openCloud(name);
  if (action === 'clear') await clearFaults(cloud);
  else if (action !== undefined) {
    const { kind } = await addFault(cloud, { action, ...wish } as Wish);
    say(`The next such call is ${kinds[kind]}.`);
  }
  const faults = await listFaults(cloud);
  for (const fault of faults) say(JSON.stringify(fault));
  if (faults.length === 0) say('Nothing is to go wrong.');
  return 0;
}

/** Stops a cloud and removes all that it made. */
export async function bringDown(name: string): Promise<number> {
  await stopCloud(name);
  say(`The cloud "${name}" is down, and nothing of it is left.`);
  return 0;
}
