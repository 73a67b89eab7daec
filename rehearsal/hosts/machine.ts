import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { childrenOf, identify, isAlive, type ProcessIdentity, signal } from '../ground/process.ts';
import { attempt } from '../ground/run.ts';
import type { Cgroup } from './cgroup.ts';

/** One booted (or booting) systemd machine. */
export interface MachinePlan {
  readonly name: string;
  readonly root: string;
  readonly netns: string;
  readonly cgroup: Cgroup;
  /** Where the console goes. */
  readonly log: string;
}

/** SIGRTMIN+4 to systemd as PID 1 means poweroff, SIGRTMIN+5 reboot (systemd(1)); SIGRTMIN is 34 with glibc. */
const powerOffSignal = 34 + 4;
const rebootSignal = 34 + 5;

/** Boots a machine, and gives the process that keeps it running. */
export function bootMachine(plan: MachinePlan): ProcessIdentity {
  const log = openSync(plan.log, 'a');
  const argv = [plan.name, plan.root, plan.netns, ...plan.cgroup.folders];
  const child = spawn(join(import.meta.dirname, 'supervise.sh'), argv, {
    detached: true,
    stdio: ['ignore', log, log],
    // The machine's own systemd must not take our surroundings for its own (NOTIFY_SOCKET, LISTEN_FDS, …).
    env: {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      // A machine sets its own network's sysctls.
      SYSTEMD_NSPAWN_API_VFS_WRITABLE: 'network',
    },
  });
  closeSync(log);
  child.unref();
  const identity = child.pid === undefined ? undefined : identify(child.pid);
  if (identity === undefined) throw new Error(`${plan.name} did not start; see ${plan.log}`);
  return identity;
}

/** PID 1 of the machine as seen from outside, or undefined while there is none. */
export function leaderOf(supervisor: ProcessIdentity | undefined): ProcessIdentity | undefined {
  if (!isAlive(supervisor)) return undefined;
  // supervise.sh → nspawn (through a subshell that execs it) → PID 1 of a namespace of its own.
  const leader = childrenOf(supervisor.pid).flatMap(childrenOf).find(isFirstInItsNamespace);
  return leader === undefined ? undefined : identify(leader);
}

function isFirstInItsNamespace(pid: number): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    // Before it is systemd it is nspawn still, with this machine's own root: nobody may enter there.
    return /^Name:\s+systemd$/m.test(status) && /^NSpid:\s+\d+\s+1$/m.test(status);
  } catch {
    return false;
  }
}

/**
 * The words to put before a command so that it runs on the machine whose PID 1 is `leader`.
 *
 * The shell that waits for the command stays outside of the machine's processes: at a reboot these are all stopped, and
 * with its child nsenter would stop itself and never bury it, which holds the machine. Nor may it outlive us.
 */
export function enter(leader: number): string[] {
  const target = ['--target', String(leader), '--mount', '--uts', '--ipc', '--net', '--pid', '--no-fork'];
  const wait = ['sh', '-c', '"$@"; exit $?', 'enter'];
  return ['setpriv', '--pdeathsig', 'KILL', 'nsenter', ...target, '--', ...wait];
}

/** Waits until the machine's systemd has finished booting; false when the machine goes away first. */
export async function awaitUp(
  leader: ProcessIdentity,
  sleep: (ms: number) => Promise<void>,
): Promise<boolean> {
  while (isAlive(leader)) {
    const asked = await attempt([...enter(leader.pid), 'systemctl', 'is-system-running', '--wait']);
    // "degraded" has booted, too: a unit that failed is the host's business.
    if (['running', 'degraded', 'maintenance'].includes(asked.stdout.trim())) return true;
    await sleep(100);
  }
  return false;
}

export const powerOff = (leader: ProcessIdentity): boolean => signal(leader, powerOffSignal);
export const rebootMachine = (leader: ProcessIdentity): boolean => signal(leader, rebootSignal);
/** A power cut: the kernel takes the whole PID namespace with its first process. */
export const cutPower = (leader: ProcessIdentity): boolean => signal(leader, 'SIGKILL');
