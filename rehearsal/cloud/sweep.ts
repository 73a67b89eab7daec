import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { listNamespaces } from '../fabric/fabric.ts';
import { runFolder, stateFolder } from '../ground/places.ts';
import { run } from '../ground/run.ts';
import { killAll, listCgroups, makeCgroup, processesIn, removeCgroup } from '../hosts/cgroup.ts';
import { unmountBelow } from '../hosts/disk.ts';

/**
 * Takes away all that a cloud may have left on this machine, whatever state its programs are in: what runs in its
 * cgroups, mounts below its folder, its network namespaces, its sockets and its folder.
 */
export async function sweepCloud(name: string): Promise<void> {
  await Promise.all(listCgroups(name).map(emptyCgroup));
  await unmountBelow(stateFolder(name));
  for (const namespace of await listNamespaces(name)) await run(['ip', 'netns', 'delete', namespace]);
  removeTraces(name);
  rmSync(runFolder(name), { recursive: true, force: true });
  rmSync(stateFolder(name), { recursive: true, force: true });
}

async function emptyCgroup(name: string): Promise<void> {
  const cgroup = makeCgroup(name);
  for (let tries = 0; tries < 200; tries++) {
    if (processesIn(cgroup).length === 0) break;
    killAll(cgroup);
    await sleep(25);
  }
  removeCgroup(cgroup);
}

// nspawn leaves an empty folder for each machine that it ever ran.
function removeTraces(cloud: string): void {
  const folder = '/run/systemd/nspawn/propagate';
  const own = new RegExp(`^us-${cloud}-[0-9]+$`);
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    if (own.test(name)) rmSync(join(folder, name), { recursive: true, force: true });
  }
}
