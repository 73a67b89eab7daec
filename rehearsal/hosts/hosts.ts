import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { hostAddress, layFabric, setWire } from '../fabric/fabric.ts';
import { isAlive } from '../ground/process.ts';
import { packUpper, rootOf, unpackLayer } from './disk.ts';
import { type AgentWaits, buildSharedLayer } from './furnish.ts';
import { leaderOf, rebootMachine } from './machine.ts';
import { Power } from './power.ts';
import { type HostRecord, type HostState, type ImageRecord, Records } from './record.ts';
import { Refusal, Register } from './register.ts';

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

export interface HostsOptions {
  readonly cloud: string;
  /** STATE/hosts. */
  readonly folder: string;
  readonly base: string;
  readonly agent: string;
  readonly waits: AgentWaits;
  readonly region: string;
  readonly log: (line: string) => void;
}

/** All hosts of one cloud, and the images made of them. */
export class Hosts {
  readonly #options: HostsOptions;
  readonly #register: Register;
  readonly #power: Power;
  readonly #images: Records<ImageRecord>;
  readonly #layers = new Map<string, ImageRecord>();
  readonly #shared: string;

  constructor(options: HostsOptions) {
    this.#options = options;
    this.#register = new Register(join(options.folder, 'hosts'), options.log);
    const onGone = ({ layers }: HostRecord): void => this.#dropUnusedLayers(layers);
    this.#power = new Power({ ...options, register: this.#register, onGone });
    this.#images = new Records(join(options.folder, 'images'));
    const { agent, region, waits } = options;
    const furniture = { agent, region, waits };
    this.#shared = buildSharedLayer(furniture, join(options.folder, 'layers'));
  }

  /** Takes up what an earlier program left: running hosts run on, and those that died meanwhile boot again. */
  async mend(): Promise<void> {
    await layFabric(this.#options.cloud);
    for (const image of this.#images.readAll()) this.#layers.set(image.id, image);
    this.#register.load();
    for (const host of this.#register.all()) {
      await this.#mendHost(host).catch((error: unknown) => this.#giveUp(host, error));
    }
  }

  // One host that cannot be mended must not keep the others from it.
  #giveUp(host: HostRecord, error: unknown): void {
    this.#register.report(host, error);
    if (host.state !== 'shutting-down') this.#register.setState(host, 'stopped');
  }

  async #mendHost(host: HostRecord): Promise<void> {
    this.#power.thaw(host);
    if (host.state === 'terminated') return;
    if (host.state === 'shutting-down') return this.#power.destroy(host);
    if (isAlive(host.supervisor)) {
      this.#options.log(`${host.id} runs on`);
      this.#power.watch(host);
    } else if (host.state === 'stopped' || host.state === 'stopping') {
      this.#power.settle(host);
    } else {
      this.#options.log(`${host.id} was ${host.state} and its machine is gone: booting it again`);
      await this.#power.boot(host);
    }
  }

  list(): HostView[] {
    return this.#register.all().map((host) => this.#view(host));
  }

  get(id: string): HostView {
    return this.#view(this.#register.find(id));
  }

  /** Makes a host and begins to boot it. The same id again answers with the host that is there. */
  create(id: string, image: string | undefined, rootGiB: number): Promise<HostView> {
    return this.#register.inTurn(id, async () => {
      const known = this.#register.get(id);
      if (known !== undefined) return this.#view(known);
      const layers = this.#layersOf(image);
      const index = this.#register.all().length;
      const nothing = { made: false, rootHonoured: false, state: 'pending', cut: false } as const;
      const host: HostRecord = { id, index, image: image ?? null, layers, rootGiB, ...nothing };
      // Known before anything is made, so that a crash in between leaves nothing that nobody remembers.
      this.#register.remember(host);
      await this.#power.boot(host);
      return this.#view(host);
    });
  }

  /** Shuts a host down; answers at once, the state tells the rest. */
  async stop(id: string): Promise<HostView> {
    const host = this.#register.find(id);
    this.#register.expect(host, ['running', 'pending', 'stopping', 'stopped']);
    if (host.state === 'running' || host.state === 'pending') this.#power.goDown(host, 'stopping');
    return this.#view(host);
  }

  /** Boots a stopped host. */
  start(id: string): Promise<HostView> {
    return this.#register.inTurn(id, async () => {
      const host = this.#register.find(id);
      this.#register.expect(host, ['stopped', 'running', 'pending']);
      if (host.state === 'stopped') await this.#power.boot(host);
      return this.#view(host);
    });
  }

  async reboot(id: string): Promise<HostView> {
    const host = this.#register.find(id);
    const leader = leaderOf(host.supervisor);
    this.#register.expect(host, ['running']);
    if (leader !== undefined) rebootMachine(leader);
    return this.#view(host);
  }

  /** Cuts the host's power: no process of it gets a chance to say anything. */
  async crash(id: string): Promise<HostView> {
    const host = this.#register.find(id);
    this.#register.expect(host, ['running', 'pending', 'stopping']);
    await this.#power.pullPlug(host);
    this.#power.settle(host);
    return this.#view(host);
  }

  async setWire(id: string, state: 'up' | 'down'): Promise<HostView> {
    const host = this.#register.find(id);
    this.#register.expect(host, ['running', 'pending', 'stopping', 'stopped']);
    host.cut = state === 'down';
    this.#register.remember(host);
    if (host.state !== 'stopped') await setWire(this.#options.cloud, host.index, state);
    return this.#view(host);
  }

  /** Terminates a host: a short time for a clean shutdown, then all of it goes. */
  async terminate(id: string): Promise<HostView> {
    const host = this.#register.find(id);
    if (host.state === 'terminated' || host.state === 'shutting-down') return this.#view(host);
    if (isAlive(host.supervisor)) {
      this.#power.goDown(host, 'shutting-down');
    } else {
      this.#register.setState(host, 'shutting-down');
      void this.#register
        .inTurn(id, () => this.#power.destroy(host))
        .catch((error: unknown) => this.#register.report(host, error));
    }
    return this.#view(host);
  }

  /** Makes an image of a host; with `reboot` it is off meanwhile, without it stands still for a moment. */
  createImage(imageId: string, hostId: string, reboot: boolean): Promise<ImageRecord> {
    return this.#register.inTurn(hostId, async () => {
      const host = this.#register.find(hostId);
      this.#register.expect(host, ['running', 'stopped']);
      if (this.#layers.has(imageId)) throw new Refusal(409, `the image ${imageId} is there already`);
      const layer = join(this.#options.folder, 'layers', imageId);
      const file = `${layer}.tar`;
      await this.#power.whileStill(host, reboot, () => packUpper(this.#power.disk(host), file));
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
    this.#power.close();
    for (const host of this.#register.all()) {
      await this.#power.pullPlug(host);
      await this.#power.release(host);
    }
  }

  #layersOf(image: string | undefined): readonly string[] {
    if (image === undefined) return [this.#shared, this.#options.base];
    const found = this.#layers.get(image);
    if (found === undefined) throw new Refusal(404, `there is no image ${image}`);
    return found.layers;
  }

  #dropUnusedLayers(candidates: readonly string[]): void {
    const hosts = this.#register.all().filter((host) => host.state !== 'terminated');
    const used = new Set([...hosts, ...this.#layers.values()].flatMap((one) => one.layers));
    for (const layer of candidates) {
      if (used.has(layer) || layer === this.#shared || layer === this.#options.base) continue;
      rmSync(layer, { recursive: true, force: true });
    }
  }

  #view(host: HostRecord): HostView {
    return {
      id: host.id,
      ip: hostAddress(host.index),
      state: host.state,
      leader: leaderOf(host.supervisor)?.pid ?? null,
      root: rootOf(this.#power.disk(host)),
      rootGiB: host.rootGiB,
      rootHonoured: host.rootHonoured,
      cut: host.cut,
    };
  }
}
