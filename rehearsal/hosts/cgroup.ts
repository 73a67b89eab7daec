import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { killNow } from '../ground/process.ts';

/**
 * One cgroup a host, in every hierarchy of the machine (one under cgroup v2, many under v1): it holds all that runs on
 * the host, so that it can be frozen whole, and found whole after a crash.
 */
export interface Cgroup {
  readonly folders: readonly string[];
}

/** Where the machine's hierarchies are mounted. */
function hierarchies(): string[] {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').trim().split('\n');
  return mounts
    .map((line) => line.split(' '))
    .filter(([, , type]) => type === 'cgroup' || type === 'cgroup2')
    .map(([, mountPoint]) => mountPoint ?? '');
}

/** The cgroup of that name, made if need be. */
export function makeCgroup(name: string): Cgroup {
  const folders = hierarchies().map((parent) => {
    const folder = join(parent, name);
    mkdirSync(folder, { recursive: true });
    // A new cpuset of v1 is empty, and takes nobody in, until it is told what it may use.
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      if (!existsSync(join(parent, 'cgroup.procs')) || !existsSync(join(folder, file))) continue;
      if (existsSync(join(folder, 'cgroup.controllers'))) continue;
      writeFileSync(join(folder, file), readFileSync(join(parent, file)));
    }
    return folder;
  });
  return { folders };
}

/** The cgroups of a cloud's hosts that are on the machine, by name. */
export function listCgroups(cloud: string): string[] {
  const own = new RegExp(`^us-${cloud}-[0-9]+$`);
  const names = hierarchies().flatMap((parent) => readdirSync(parent).filter((name) => own.test(name)));
  return [...new Set(names)];
}

/** All processes in the cgroup and below. */
export function processesIn(cgroup: Cgroup): number[] {
  const pids = cgroup.folders.flatMap(withChildren).flatMap((folder) => {
    const text = readOptional(join(folder, 'cgroup.procs'));
    return text.split('\n').filter((line) => line !== '');
  });
  return [...new Set(pids.map(Number))];
}

/** Kills all that runs in the cgroup now; what forks meanwhile is there at the next look. */
export function killAll(cgroup: Cgroup): void {
  for (const pid of processesIn(cgroup)) killNow(pid);
}

/** Freezes (or thaws) all that runs in the cgroup. */
export function setFrozen(cgroup: Cgroup, frozen: boolean): void {
  for (const folder of cgroup.folders) {
    const v1 = join(folder, 'freezer.state');
    const v2 = join(folder, 'cgroup.freeze');
    if (existsSync(v1)) writeFileSync(v1, frozen ? 'FROZEN' : 'THAWED');
    else if (existsSync(v2)) writeFileSync(v2, frozen ? '1' : '0');
  }
}

/** Whether all that runs in the cgroup stands still. */
export function isFrozen(cgroup: Cgroup): boolean {
  const states = cgroup.folders.flatMap((folder) => {
    const v1 = readOptional(join(folder, 'freezer.state')).trim();
    if (v1 !== '') return [v1 === 'FROZEN'];
    const v2 = /^frozen (\d)$/m.exec(readOptional(join(folder, 'cgroup.events')))?.[1];
    return v2 === undefined ? [] : [v2 === '1'];
  });
  // Hybrid machines freeze through v1 alone or through both: one hierarchy that stands still is enough.
  return states.includes(true);
}

/** Removes an empty cgroup; what still has processes stays. */
export function removeCgroup(cgroup: Cgroup): void {
  for (const folder of cgroup.folders.flatMap(withChildren).reverse()) {
    try {
      rmdirSync(folder);
    } catch {
      // Still busy, or gone already: whoever sweeps looks again.
    }
  }
}

function withChildren(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [folder, ...entries.flatMap((entry) => withChildren(join(folder, entry.name)))];
}

function readOptional(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
