import { setTimeout as sleep } from 'node:timers/promises';
import { attempt, type Ended } from '../ground/run.ts';
import type { HostView } from '../hosts/hosts.ts';
import { enter } from '../hosts/machine.ts';
import type { HostState } from '../hosts/record.ts';
import { askHosts, type Cloud } from './handle.ts';

/** What the hosts program knows of a host. */
export async function describeHost(cloud: Cloud, instanceId: string): Promise<HostView> {
  return (await askHosts(cloud, 'GET', `/hosts/${instanceId}`)) as HostView;
}

/** All hosts of the cloud, terminated ones too. */
export async function listHosts(cloud: Cloud): Promise<HostView[]> {
  return (await askHosts(cloud, 'GET', '/hosts')) as HostView[];
}

/** Boots a host that EC2 knows nothing of, and waits until its systemd is up: for trying the host's side alone. */
export async function bootHost(
  cloud: Cloud,
  instanceId: string,
  options: { readonly image?: string; readonly rootGiB?: number } = {},
): Promise<HostView> {
  await askHosts(cloud, 'PUT', `/hosts/${instanceId}`, options);
  return awaitState(cloud, instanceId, 'running');
}

const patience = 60_000;

/** Waits until a host has come to a state. */
export async function awaitState(cloud: Cloud, instanceId: string, state: HostState): Promise<HostView> {
  const until = Date.now() + patience;
  for (;;) {
    const host = await describeHost(cloud, instanceId);
    if (host.state === state) return host;
    if (Date.now() > until) {
      throw new Error(`${instanceId} is ${host.state}, not ${state}, after ${patience / 1000} s`);
    }
    await sleep(50);
  }
}

export interface OnHostOptions {
  readonly input?: string;
  /** The user to be; root when absent. */
  readonly user?: string;
}

/** Runs a command on a host, as somebody would who sits before it: not through Systems Manager. */
export async function onHost(
  cloud: Cloud,
  instanceId: string,
  argv: readonly string[],
  options: OnHostOptions = {},
): Promise<Ended> {
  const asUser = options.user === undefined ? [] : ['runuser', '-u', options.user, '--'];
  const words = [...(await hostPrefix(cloud, instanceId)), ...asUser, ...argv];
  return attempt(words, options.input === undefined ? {} : { input: options.input });
}

/**
 * Waits until a host that was told to reboot is up again.
 * @param before PID of its systemd as it was; null where none ran
 */
export async function awaitUpAnew(cloud: Cloud, instanceId: string, before: number | null): Promise<void> {
  const until = Date.now() + patience;
  while (!(await isUpAnew(cloud, instanceId, before))) {
    if (Date.now() > until) {
      throw new Error(`${instanceId} has not come up again within ${patience / 1000} s`);
    }
    await sleep(100);
  }
}

async function isUpAnew(cloud: Cloud, instanceId: string, before: number | null): Promise<boolean> {
  const { leader } = await describeHost(cloud, instanceId);
  if (leader === null || leader === before) return false;
  const { stdout } = await onHost(cloud, instanceId, ['systemctl', 'is-system-running', '--wait']);
  return ['running', 'degraded'].includes(stdout.trim());
}

/** The words to put before a command so that it runs on the host, with an environment of its own. */
export async function hostPrefix(cloud: Cloud, instanceId: string): Promise<string[]> {
  const { leader, state } = await describeHost(cloud, instanceId);
  if (leader === null) throw new Error(`${instanceId} is ${state}: nothing can run on it`);
  const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  return [...enter(leader), 'env', '-i', path, 'HOME=/root', 'LANG=C.UTF-8'];
}

/** A host's root folder as seen from here. Links in it count from its own root: read with care, write with more. */
export async function hostRoot(cloud: Cloud, instanceId: string): Promise<string> {
  const host = await describeHost(cloud, instanceId);
  return host.leader === null ? host.root : `/proc/${host.leader}/root`;
}
