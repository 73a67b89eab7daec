import { join } from 'node:path';
import type { Cloud } from '../cloud/cloud.ts';
import { repositoryFolder } from '../ground/places.ts';
import type { OwnApp } from './own-app.ts';
import { addProduction } from './production.ts';
import { CallerRepository } from './repository.ts';
import { Staging } from './staging.ts';

interface Part {
  /** Folder of the app, from the repository's root. */
  readonly from: string;
  /** What the app is called there, where it is not the part's own name. */
  readonly named?: string;
  readonly hosts?: number;
  /** Whether its understudy.yml has a production, too. */
  readonly promotes?: true;
}

const kiosk = { from: 'rehearsal/scenes/kiosk', named: 'kiosk' };

/** Who plays: an app each, with a staging environment of its own. */
const parts = {
  isso: { from: 'examples/isso' },
  chatmrpt: { from: 'examples/chatmrpt' },
  kiosk,
  /** Its instance is lost. */
  island: kiosk,
  /** Its instance is replaced, and destroyed. */
  depot: kiosk,
  /** Has three instances. */
  trio: { ...kiosk, hosts: 3 },
  /** Has a production beside its staging. */
  market: { ...kiosk, promotes: true },
} as const satisfies Record<string, Part>;

/** `own` plays the app of `--app`. */
export type Role = keyof typeof parts | 'own';

/** Opens the staging environments that the scenes want, each when it is first asked for. */
export class Cast {
  readonly #cloud: Cloud;
  readonly #stop: AbortSignal | undefined;
  readonly #own: OwnApp | undefined;
  readonly #opened = new Map<Role, Promise<Staging>>();

  /** @param stop ends the runs that are under way. */
  constructor(cloud: Cloud, { stop, own }: { stop?: AbortSignal; own?: OwnApp | undefined } = {}) {
    this.#cloud = cloud;
    this.#stop = stop;
    this.#own = own;
  }

  get(role: Role): Promise<Staging> {
    const known = this.#opened.get(role);
    if (known !== undefined) return known;
    const opening = this.#open(role);
    this.#opened.set(role, opening);
    return opening;
  }

  async #open(role: Role): Promise<Staging> {
    const stop = this.#stop;
    const { repository, hosts } = await this.#prepare(role);
    return Staging.open(this.#cloud, repository, { hosts, ...(stop && { stop }) });
  }

  async #prepare(role: Role): Promise<{ repository: CallerRepository; hosts: number }> {
    if (role !== 'own') {
      const { from, named, hosts = 1, promotes }: Part = parts[role];
      const source = join(repositoryFolder, from);
      const repository = await CallerRepository.copyOf(source, role, this.#cloud, named);
      if (promotes) await addProduction(repository, this.#cloud);
      return { repository, hosts };
    }
    if (this.#own === undefined) throw new Error('no app was given by --app');
    const { folder, config } = this.#own;
    return { repository: await CallerRepository.copyOf(folder, config.app, this.#cloud), hosts: 1 };
  }
}
