import { readdirSync, readFileSync } from 'node:fs';

/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Start time in clock ticks since the machine's boot (field 22 of /proc/PID/stat). */
  readonly started: string;
}

/** The identity of a live process, or undefined when there is none (a zombie counts as none). */
export function identify(pid: number): ProcessIdentity | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The command in brackets may hold spaces and brackets itself: the fields start after the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const started = fields[19];
    return fields[0] === 'Z' || fields[0] === 'X' || started === undefined ? undefined : { pid, started };
  } catch {
    return undefined;
  }
}

/** Whether this very process still runs. */
export function isAlive(process: ProcessIdentity | undefined): process is ProcessIdentity {
  return process !== undefined && identify(process.pid)?.started === process.started;
}

/** Sends a signal to this very process (or, with `group`, to the group it leads); false when it is gone. */
export function signal(target: ProcessIdentity, name: NodeJS.Signals | number, group = false): boolean {
  if (!isAlive(target)) return false;
  try {
    process.kill(group ? -target.pid : target.pid, name);
    return true;
  } catch {
    return false;
  }
}

/** The numbers of a process's direct children, whichever of its threads started them: each thread knows its own alone. */
export function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1').split(' ').filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

/** Kills a process, if it is there still, by a number that was read a moment ago. */
export function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone between the list and the kill.
  }
}
