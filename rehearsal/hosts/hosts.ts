import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hostAddress, hostNamespace, layFabric, plugHost, setWire, unplugHost } from '../fabric/fabric.ts';
import { isAlive } from '../ground/process.ts';
import { type Cgroup, isFrozen, makeCgroup, processesIn, removeCgroup, setFrozen } from './cgroup.ts';
import { type Disk, makeDisk, mountDisk, packUpper, rootOf, unmountDisk, unpackLayer } from './disk.ts';
import { buildSharedLayer, nameHost } from './furnish.ts';
import { awaitUp, bootMachine, cutPower, leaderOf, powerOff, rebootMachine } from './machine.ts';
import { type HostRecord, type HostState, type ImageRecord, Records } from './record.ts';

/** What a caller may know of a host. */
export interface HostView {
  readonly id: string;
  readonly ip: string;
  readonly state: HostState;
  /** PID of the host's systemd as this machine counts, or null when it is off. */
  readonly leader: number | null;
  readonly root: string;
  readonly rootGiB: number;
  readonly rootHonoured: boolean;
  readonly cut: boolean;
}

/** A request that cannot be done; `status` is HTTP's. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface HostsOptions {
  readonly cloud: string;
  /** STATE/hosts. */
  readonly folder: string;
  readonly base: string;
  readonly agent: string;
  readonly region: string;
  readonly log: (line: string) => void;
}

/** How long a clean shutdown may take before the plug is pulled, in milliseconds. */
const patience = { stop: 30_000, terminate: 5_000 };
const watchEvery = 150;

/** All hosts of one cloud, and the images made of them. */
export class Hosts {
  readonly #options: HostsOptions;
  readonly #hosts: Records<HostRecord>;
  readonly #images: Records<ImageRecord>;
  readonly #known = new Map<string, HostRecord>();
  readonly #layers = new Map<string, ImageRecord>();
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #shared: string;
  #stopped = false;

  constructor(options: HostsOptions) {
    this.#options = options;
    this.#hosts = new Records(join(options.folder, 'hosts'));
    this.#images = new Records(join(options.folder, 'images'));
    const furniture = { agent: options.agent, region: options.region };
    this.#shared = buildSharedLayer(furniture, join(options.folder, 'layers'));
  }

  /** Takes up what an earlier program left: running hosts run on, and those that died meanwhile boot again. */
  async mend(): Promise<void> {
    await layFabric(this.#options.cloud);
    for (const image of this.#images.readAll()) this.#layers.set(image.id, image);
    for (const host of this.#hosts.readAll()) this.#known.set(host.id, host);
    for (const host of this.#known.values()) {
      await this.#mendHost(host).catch((error: unknown) => this.#giveUp(host, error));
    }
  }

  // One host that cannot be mended must not keep the others from it.
  #giveUp(host: HostRecord, error: unknown): void {
    this.#report(host, error);
    if (host.state !== 'shutting-down') this.#setState(host, 'stopped');
  }

  async #mendHost(host: HostRecord): Promise<void> {
    setFrozenIfAny(this.#cgroup(host), false);
    if (host.state === 'terminated') return;
    if (host.state === 'shutting-down') return this.#destroy(host);
    if (isAlive(host.supervisor)) {
      this.#options.log(`${host.id} runs on`);
      this.#watch(host);
    } else if (host.state === 'stopped' || host.state === 'stopping') {
      await this.#settle(host);
    } else {
      this.#options.log(`${host.id} was ${host.state} and its machine is gone: booting it again`);
      await this.#boot(host);
    }
  }

  list(): HostView[] {
    return [...this.#known.values()].map((host) => this.#view(host));
  }

  get(id: string): HostView {
    return this.#view(this.#find(id));
  }

  /** Makes a host and begins to boot it. The same id again answers with the host that is there. */
  create(id: string, image: string | undefined, rootGiB: number): Promise<HostView> {
    return this.#inTurn(id, async () => {
      const known = this.#known.get(id);
      if (known !== undefined) return this.#view(known);
      const layers = this.#layersOf(image);
      const index = this.#known.size;
      const nothing = { made: false, rootHonoured: false, state: 'pending', cut: false } as const;
      const host: HostRecord = { id, index, image: image ?? null, layers, rootGiB, ...nothing };
      // Known before anything is made, so that a crash in between leaves nothing that nobody remembers.
      this.#remember(host);
      await this.#boot(host);
      return this.#view(host);
    });
  }

  /** Shuts a host down; answers at once, the state tells the rest. */
  async stop(id: string): Promise<HostView> {
    const host = this.#find(id);
    this.#expect(host, ['running', 'pending', 'stopping', 'stopped']);
    if (host.state === 'running' || host.state === 'pending') this.#goDown(host, 'stopping', patience.stop);
    return this.#view(host);
  }

  /** Boots a stopped host. */
  start(id: string): Promise<HostView> {
    return this.#inTurn(id, async () => {
      const host = this.#find(id);
      this.#expect(host, ['stopped', 'running', 'pending']);
      if (host.state === 'stopped') await this.#boot(host);
      return this.#view(host);
    });
  }

  async reboot(id: string): Promise<HostView> {
    const host = this.#find(id);
    const leader = leaderOf(host.supervisor);
    this.#expect(host, ['running']);
    if (leader !== undefined) rebootMachine(leader);
    return this.#view(host);
  }

  /** Cuts the host's power: no process of it gets a chance to say anything. */
  async crash(id: string): Promise<HostView> {
    const host = this.#find(id);
    this.#expect(host, ['running', 'pending', 'stopping']);
    this.#kill(host);
    await this.#ended(host);
    await this.#settle(host);
    return this.#view(host);
  }

  async setWire(id: string, state: 'up' | 'down'): Promise<HostView> {
    const host = this.#find(id);
    this.#expect(host, ['running', 'pending', 'stopping', 'stopped']);
    host.cut = state === 'down';
    this.#remember(host);
    if (host.state !== 'stopped') await setWire(this.#options.cloud, host.index, state);
    return this.#view(host);
  }

  /** Terminates a host: a short time for a clean shutdown, then all of it goes. */
  async terminate(id: string): Promise<HostView> {
    const host = this.#find(id);
    if (host.state === 'terminated' || host.state === 'shutting-down') return this.#view(host);
    if (isAlive(host.supervisor)) {
      this.#goDown(host, 'shutting-down', patience.terminate);
    } else {
      this.#setState(host, 'shutting-down');
      void this.#inTurn(id, () => this.#destroy(host)).catch((error: unknown) => this.#report(host, error));
    }
    return this.#view(host);
  }

  /** Makes an image of a host; with `reboot` it is off meanwhile, without it stands still for a moment. */
  createImage(imageId: string, hostId: string, reboot: boolean): Promise<ImageRecord> {
    return this.#inTurn(hostId, async () => {
      const host = this.#find(hostId);
      this.#expect(host, ['running', 'stopped']);
      if (this.#layers.has(imageId)) throw new Refusal(409, `the image ${imageId} is there already`);
      const layer = join(this.#options.folder, 'layers', imageId);
      const file = `${layer}.tar`;
      await this.#whileStill(host, reboot, () => packUpper(this.#disk(host), file));
      await unpackLayer(file, layer);
      rmSync(file);
      const image = { id: imageId, layers: [layer, ...host.layers] };
      this.#images.write(image);
      this.#layers.set(imageId, image);
      return image;
    });
  }

  /** Forgets an image; its layers go once no host and no image stands on them. */
  deleteImage(imageId: string): ImageRecord {
    const image = this.#layers.get(imageId);
    if (image === undefined) throw new Refusal(404, `there is no image ${imageId}`);
    this.#layers.delete(imageId);
    this.#images.remove(imageId);
    this.#dropUnusedLayers(image.layers);
    return image;
  }

  /** Pulls the plug of every host and takes networks and mounts away; the records stay, so that they boot again. */
  async close(): Promise<void> {
    this.#stopped = true;
    for (const host of this.#known.values()) {
      this.#kill(host);
      await this.#ended(host);
      await this.#release(host);
    }
  }

  async #boot(host: HostRecord): Promise<void> {
    const { cloud } = this.#options;
    this.#setState(host, 'pending');
    await plugHost(cloud, host.index);
    if (host.cut) await setWire(cloud, host.index, 'down');
    if (!host.made) await this.#make(host);
    await mountDisk(this.#disk(host), host.layers);
    const name = hostNamespace(cloud, host.index);
    host.supervisor = bootMachine({
      name,
      root: rootOf(this.#disk(host)),
      netns: name,
      cgroup: this.#cgroup(host),
      log: join(this.#folder(host.id), 'console.log'),
    });
    this.#remember(host);
    this.#watch(host);
  }

  async #make(host: HostRecord): Promise<void> {
    const disk = this.#disk(host);
    const fresh = host.image === null;
    await unmountDisk(disk);
    host.rootHonoured = await makeDisk(disk);
    await mountDisk(disk, host.layers);
    nameHost(rootOf(disk), { ip: hostAddress(host.index), region: this.#options.region, fresh });
    host.made = true;
    this.#remember(host);
  }

  /** Follows a host's machine to its end, and keeps its state true meanwhile. */
  #watch(host: HostRecord): void {
    void this.#follow(host).catch((error: unknown) => this.#report(host, error));
  }

  async #follow(host: HostRecord): Promise<void> {
    const { supervisor } = host;
    const pause = (ms: number): Promise<void> => sleep(ms);
    while (isAlive(supervisor) && host.state === 'pending') {
      const leader = leaderOf(supervisor);
      if (leader !== undefined && (await awaitUp(leader, pause)) && host.state === 'pending') {
        this.#setState(host, 'running');
      } else await sleep(watchEvery);
    }
    while (isAlive(supervisor)) await sleep(watchEvery);
    // Booted anew meanwhile, or the program itself is on its way out: that machine's end is nobody's news.
    if (host.supervisor !== supervisor || this.#stopped) return;
    if (host.state === 'shutting-down') await this.#inTurn(host.id, () => this.#destroy(host));
    else await this.#settle(host);
  }

  #goDown(host: HostRecord, state: 'stopping' | 'shutting-down', milliseconds: number): void {
    this.#setState(host, state);
    void this.#powerDown(host, milliseconds).catch((error: unknown) => this.#report(host, error));
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
    this.#kill(host);
    await this.#ended(host);
  }

  async #whileStill(host: HostRecord, reboot: boolean, work: () => Promise<void>): Promise<void> {
    if (host.state === 'stopped') return work();
    if (!reboot) return this.#whileFrozen(host, work);
    this.#setState(host, 'stopping');
    await this.#powerDown(host, patience.stop);
    await this.#settle(host);
    try {
      await work();
    } finally {
      // Unless it was terminated meanwhile.
      if (this.get(host.id).state === 'stopped') await this.#boot(host);
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

  #kill(host: HostRecord): void {
    const leader = leaderOf(host.supervisor);
    if (leader !== undefined) cutPower(leader);
    else killAll(this.#cgroup(host));
  }

  async #ended(host: HostRecord): Promise<void> {
    const { supervisor } = host;
    for (let tries = 0; isAlive(supervisor); tries++) {
      if (tries > 0 && tries % 40 === 0) killAll(this.#cgroup(host));
      await sleep(50);
    }
  }

  /** A machine that has ended: its host is stopped. */
  async #settle(host: HostRecord): Promise<void> {
    if (host.state === 'shutting-down' || host.state === 'terminated') return;
    delete host.supervisor;
    this.#setState(host, 'stopped');
  }

  async #destroy(host: HostRecord): Promise<void> {
    await this.#release(host);
    rmSync(this.#folder(host.id), { recursive: true, force: true });
    delete host.supervisor;
    this.#setState(host, 'terminated');
    this.#dropUnusedLayers(host.layers);
  }

  async #release(host: HostRecord): Promise<void> {
    const cgroup = this.#cgroup(host);
    killAll(cgroup);
    await unmountDisk(this.#disk(host));
    await unplugHost(this.#options.cloud, host.index);
    removeCgroup(cgroup);
  }

  #layersOf(image: string | undefined): readonly string[] {
    if (image === undefined) return [this.#shared, this.#options.base];
    const found = this.#layers.get(image);
    if (found === undefined) throw new Refusal(404, `there is no image ${image}`);
    return found.layers;
  }

  #dropUnusedLayers(candidates: readonly string[]): void {
    const hosts = [...this.#known.values()].filter((host) => host.state !== 'terminated');
    const used = new Set([...hosts, ...this.#layers.values()].flatMap((one) => one.layers));
    for (const layer of candidates) {
      if (used.has(layer) || layer === this.#shared || layer === this.#options.base) continue;
      rmSync(layer, { recursive: true, force: true });
    }
  }

  #find(id: string): HostRecord {
    const host = this.#known.get(id);
    if (host === undefined) throw new Refusal(404, `there is no host ${id}`);
    return host;
  }

  #expect(host: HostRecord, states: readonly HostState[]): void {
    if (states.includes(host.state)) return;
    throw new Refusal(409, `${host.id} is ${host.state}, not ${states.join(' or ')}`);
  }

  #setState(host: HostRecord, state: HostState): void {
    if (host.state !== state) this.#options.log(`${host.id}: ${host.state} → ${state}`);
    host.state = state;
    this.#remember(host);
  }

  #remember(host: HostRecord): void {
    this.#known.set(host.id, host);
    this.#hosts.write(host);
  }

  #folder(id: string): string {
    return join(this.#options.folder, 'machines', id);
  }

  #disk(host: HostRecord): Disk {
    return { folder: this.#folder(host.id), sizeGiB: host.rootGiB };
  }

  #cgroup(host: HostRecord): Cgroup {
    return makeCgroup(hostNamespace(this.#options.cloud, host.index));
  }

  #view(host: HostRecord): HostView {
    return {
      id: host.id,
      ip: hostAddress(host.index),
      state: host.state,
      leader: leaderOf(host.supervisor)?.pid ?? null,
      root: rootOf(this.#disk(host)),
      rootGiB: host.rootGiB,
      rootHonoured: host.rootHonoured,
      cut: host.cut,
    };
  }

  #report(host: HostRecord, error: unknown): void {
    this.#options.log(`${host.id}: ${error instanceof Error ? error.message : String(error)}`);
  }

  /** One thing at a time is done to a host. */
  #inTurn<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(id) ?? Promise.resolve();
    const turn = before.then(work, work);
    this.#turns.set(id, turn);
    return turn;
  }
}

function killAll(cgroup: Cgroup): void {
  for (const pid of processesIn(cgroup)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Gone between the list and the kill.
    }
  }
}

function setFrozenIfAny(cgroup: Cgroup, frozen: boolean): void {
  if (processesIn(cgroup).length > 0) setFrozen(cgroup, frozen);
}
