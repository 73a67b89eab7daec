import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { HostView } from '../hosts/hosts.ts';
import { askHosts, type Cloud, openCloud } from './cloud.ts';
import { awaitUpAnew, hostPrefix, listHosts } from './host.ts';
import { say } from './say.ts';

/** The one host that a person means: by its id, the beginning of it, or its address. Throws with all there are. */
async function findHost(cloud: Cloud, wanted: string): Promise<HostView> {
  const all = await listHosts(cloud);
  const found = all.filter(({ id, ip }) => id === wanted || ip === wanted);
  if (found.length === 0) found.push(...all.filter(({ id }) => id.startsWith(wanted)));
  const [host] = found;
  if (host !== undefined && found.length === 1) return host;
  const there = all.map(({ id, ip, state }) => `${id} ${ip} ${state}`).join('\n  ') || 'none';
  throw new Error(
    `"${wanted}" is ${host === undefined ? 'no host' : 'more than one host'}; there are:\n  ${there}`,
  );
}

/** An interactive shell on a host, as root. */
export async function openShell(name: string, wanted: string): Promise<number> {
  return enter(name, wanted, ['--chdir=/root', 'bash', '--login']);
}

/** The journal of a host: its last lines, or those that come as well. */
export async function showLogs(name: string, wanted: string, follow: boolean): Promise<number> {
  return enter(name, wanted, ['journalctl', '--no-pager', '--lines=200', ...(follow ? ['--follow'] : [])]);
}

async function enter(name: string, wanted: string, argv: readonly string[]): Promise<number> {
  const cloud = openCloud(name);
  const [command = '', ...rest] = await hostPrefix(cloud, (await findHost(cloud, wanted)).id);
  const terminal = `TERM=${process.env['TERM'] ?? 'dumb'}`;
  const child = spawn(command, [...rest, terminal, ...argv], { stdio: 'inherit' });
  const [code] = await once(child, 'exit');
  return typeof code === 'number' ? code : 1;
}

/** Takes a host's network away; what runs on it runs on. */
export async function cutHost(name: string, wanted: string): Promise<number> {
  return setWire(name, wanted, 'cut');
}

/** Gives a host its network back. */
export async function healHost(name: string, wanted: string): Promise<number> {
  return setWire(name, wanted, 'heal');
}

const wires = {
  cut: { already: 'is cut off already', done: 'is cut off: nothing reaches it, and it reaches nothing' },
  heal: { already: 'is not cut off', done: 'is on the network again' },
} as const;

async function setWire(name: string, wanted: string, verb: 'cut' | 'heal'): Promise<number> {
  const cloud = openCloud(name);
  const { id, cut } = await findHost(cloud, wanted);
  if (cut === (verb === 'cut')) throw new Error(`${id} ${wires[verb].already}: nothing was done`);
  await askHosts(cloud, 'POST', `/hosts/${id}/${verb}`);
  say(`${id} ${wires[verb].done}.`);
  return 0;
}

/** Reboots a host in an orderly way, and waits until it is up again. */
export async function rebootHost(name: string, wanted: string): Promise<number> {
  const cloud = openCloud(name);
  const { id, leader } = await findHost(cloud, wanted);
  await askHosts(cloud, 'POST', `/hosts/${id}/reboot`);
  await awaitUpAnew(cloud, id, leader);
  say(`${id} has booted anew.`);
  return 0;
}
