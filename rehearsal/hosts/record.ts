import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProcessIdentity } from '../ground/process.ts';

/** The states of an EC2 instance. */
export type HostState = 'pending' | 'running' | 'stopping' | 'stopped' | 'shutting-down' | 'terminated';

/** What must be known of a host after a crash; written before it is acted upon. */
export interface HostRecord {
  readonly id: string;
  /** The host's number in its cloud, never given twice: its address, namespaces and cgroup follow from it. */
  readonly index: number;
  /** The image that it was launched from; null is the base. */
  readonly image: string | null;
  /** The layers under its disk, nearest first. */
  readonly layers: readonly string[];
  readonly rootGiB: number;
  /** Whether its disk is there, named and all. */
  made: boolean;
  /** Whether the disk really ends at rootGiB. */
  rootHonoured: boolean;
  state: HostState;
  cut: boolean;
  supervisor?: ProcessIdentity;
}

/** An image: the layers that a host launched from it gets. */
export interface ImageRecord {
  readonly id: string;
  readonly layers: readonly string[];
}

/** A folder of JSON records, each written whole or not at all. */
export class Records<T extends { readonly id: string }> {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  readAll(): T[] {
    const names = readdirSync(this.#folder).filter((name) => name.endsWith('.json'));
    return names.map((name) => JSON.parse(readFileSync(join(this.#folder, name), 'utf8')) as T);
  }

  write(record: T): void {
    const file = join(this.#folder, `${record.id}.json`);
    writeFileSync(`${file}.part`, JSON.stringify(record, null, 2));
    renameSync(`${file}.part`, file);
  }

  remove(id: string): void {
    rmSync(join(this.#folder, `${id}.json`), { force: true });
  }
}
