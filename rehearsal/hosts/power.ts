import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hostAddress, hostNamespace, plugHost, setWire, unplugHost } from '../fabric/fabric.ts';
import { isAlive } from '../ground/process.ts';
import {
  type Cgroup,
  isFrozen,
  killAll,
  makeCgroup,
  processesIn,
  removeCgroup,
  setFrozen,
} from './cgroup.ts';
import { type Disk, makeDisk, mountDisk, rootOf, unmountDisk } from './disk.ts';
import { nameHost } from './furnish.ts';
import { awaitUp, bootMachine, cutPower, leaderOf, powerOff } from './machine.ts';
import type { HostRecord } from './record.ts';
import type { Register } from './register.ts';

interface PowerOptions {
  readonly cloud: string;
  /** STATE/hosts. */
  readonly folder: string;
  readonly region: string;
  readonly log: (line: string) => void;
  readonly register: Register;
  /** Hears of each host that is terminated for good. */
  readonly onGone: (host: HostRecord) => void;
}

/** How long a clean shutdown may take before the plug is pulled, in milliseconds. */
const patience = { stopping: 30_000, 'shutting-down': 5_000 };
const watchEvery = 150;

/** Boots hosts, follows their machines, and takes their power away. */
export class Power {
  readonly #options: PowerOptions;
  readonly #register: Register;
  #closed = false;

  constructor(options: PowerOptions) {
    this.#options = options;
    this.#register = options.register;
  }

  /** Boots a host, making its disk the first time. Its state tells when it is up. */
  async boot(host: HostRecord): Promise<void> {
    const { cloud } = this.#options;
    this.#register.setState(host, 'pending');
    await plugHost(cloud, host.index);
    if (host.cut) await setWire(cloud, host.index, 'down');
    if (!host.made) await this.#make(host);
    await mountDisk(this.disk(host), host.layers);
    const name = hostNamespace(cloud, host.index);
    host.supervisor = bootMachine({
      name,
      root: rootOf(this.disk(host)),
      netns: name,
      cgroup: this.#cgroup(host),
      log: join(this.#folder(host.id), 'console.log'),
    });
    this.#register.remember(host);
    this.watch(host);
  }

  async #make(host: HostRecord): Promise<void> {
    const disk = this.disk(host);
    const fresh = host.image === null;
    await unmountDisk(disk);
    host.rootHonoured = await makeDisk(disk);
    await mountDisk(disk, host.layers);
    nameHost(rootOf(disk), { ip: hostAddress(host.index), region: this.#options.region, fresh });
    host.made = true;
    this.#register.remember(host);
  }

  /** Follows a host's machine to its end, and keeps its state true meanwhile. */
  watch(host: HostRecord): void {
    void this.#follow(host).catch((error: unknown) => this.#register.report(host, error));
  }

  async #follow(host: HostRecord): Promise<void> {
    const { supervisor } = host;
    const pause = (ms: number): Promise<void> => sleep(ms);
    while (isAlive(supervisor) && host.state === 'pending') {
      const leader = leaderOf(supervisor);
      if (leader !== undefined && (await awaitUp(leader, pause)) && host.state === 'pending') {
        this.#register.setState(host, 'running');
      } else await sleep(watchEvery);
    }
    while (isAlive(supervisor)) await sleep(watchEvery);
    // Booted anew meanwhile, or the program itself is on its way out: that machine's end is nobody's news.
    if (host.supervisor !== supervisor || this.#closed) return;
    if (host.state === 'shutting-down') await this.#register.inTurn(host.id, () => this.destroy(host));
    else this.settle(host);
  }

  /** Begins a clean shutdown; the plug is pulled when it takes too long. */
  goDown(host: HostRecord, state: 'stopping' | 'shutting-down'): void {
    this.#register.setState(host, state);
    void this.#powerDown(host, patience[state]).catch((error: unknown) => this.#register.report(host, error));
  }

  async #powerDown(host: HostRecord, milliseconds: number): Promise<void> {
    // This very machine: the host may be stopped, and booted anew, before we look again.
    const { supervisor } = host;
    const until = Date.now() + milliseconds;
    for (let tries = 0; isAlive(supervisor) && Date.now() < until; tries++) {
      // Said again now and then: a systemd that has only just started does not hear it yet.
      const leader = tries % 10 === 0 ? leaderOf(supervisor) : undefined;
      if (leader !== undefined) powerOff(leader);
      await sleep(50);
    }
    if (!isAlive(supervisor)) return;
    this.#options.log(`${host.id} did not shut down within ${milliseconds / 1000} s: pulling the plug`);
    await this.pullPlug(host);
  }

  /** Does something while nothing changes on a host: off, or frozen for a moment. */
  async whileStill(host: HostRecord, reboot: boolean, work: () => Promise<void>): Promise<void> {
    if (host.state === 'stopped') return work();
    if (!reboot) return this.#whileFrozen(host, work);
    this.#register.setState(host, 'stopping');
    await this.#powerDown(host, patience.stopping);
    this.settle(host);
    try {
      await work();
    } finally {
      // Unless it was terminated meanwhile.
      if (this.#register.find(host.id).state === 'stopped') await this.boot(host);
    }
  }

  async #whileFrozen(host: HostRecord, work: () => Promise<void>): Promise<void> {
    const cgroup = this.#cgroup(host);
    setFrozen(cgroup, true);
    try {
      for (let tries = 0; !isFrozen(cgroup) && tries < 100; tries++) await sleep(10);
      await work();
    } finally {
      setFrozen(cgroup, false);
    }
  }

  /** Takes a host's power, so that no process of it gets a chance to say anything; resolves when it is off. */
  async pullPlug(host: HostRecord): Promise<void> {
    const { supervisor } = host;
    const leader = leaderOf(supervisor);
    if (leader !== undefined) cutPower(leader);
    else killAll(this.#cgroup(host));
    for (let tries = 0; isAlive(supervisor); tries++) {
      if (tries > 0 && tries % 40 === 0) killAll(this.#cgroup(host));
      await sleep(50);
    }
  }

  /** A machine that has ended: its host is stopped. */
  settle(host: HostRecord): void {
    if (host.state === 'shutting-down' || host.state === 'terminated') return;
    delete host.supervisor;
    this.#register.setState(host, 'stopped');
  }

  /** A terminated host: all of it goes but its record. */
  async destroy(host: HostRecord): Promise<void> {
    await this.release(host);
    rmSync(this.#folder(host.id), { recursive: true, force: true });
    delete host.supervisor;
    this.#register.setState(host, 'terminated');
    this.#options.onGone(host);
  }

  /** Takes away what a host holds of this machine: processes, mounts and network. Its disk stays. */
  async release(host: HostRecord): Promise<void> {
    const cgroup = this.#cgroup(host);
    killAll(cgroup);
    await unmountDisk(this.disk(host));
    await unplugHost(this.#options.cloud, host.index);
    removeCgroup(cgroup);
  }

  #folder(id: string): string {
    return join(this.#options.folder, 'machines', id);
  }

  disk(host: HostRecord): Disk {
    return { folder: this.#folder(host.id), sizeGiB: host.rootGiB };
  }

  /** Lets a host go on that a program froze and did not live to thaw. */
  thaw(host: HostRecord): void {
    const cgroup = this.#cgroup(host);
    if (processesIn(cgroup).length > 0) setFrozen(cgroup, false);
  }

  /** Leaves the machines to themselves from here on: what becomes of them is nobody's news. */
  close(): void {
    this.#closed = true;
  }

  #cgroup(host: HostRecord): Cgroup {
    return makeCgroup(hostNamespace(this.#options.cloud, host.index));
  }
}
