// What the tests of backups share: a backup bucket, the app's description on the host, and what is stored, unpacked.
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { type Cloud, operatorClient } from '../../rehearsal/cloud/cloud.ts';
import { layClock, liftClock, setClock } from './clock.ts';
import type { Host, Result } from './ground.ts';

export const state = '/var/lib/understudy/shop';
export const shared = '/srv/shop/shared';

interface Packed {
  readonly object: string;
  readonly raw: { readonly size: number; readonly sha256: string };
  readonly packed: { readonly size: number; readonly sha256: string };
}

export interface Database extends Packed {
  readonly name: string;
  readonly journal_mode: string;
  readonly page_size: number;
  readonly pages: number;
  readonly user_version: number;
  readonly schema: string;
  readonly tables: Readonly<Record<string, number>>;
  readonly newest: Readonly<Record<string, string | null>>;
  readonly foreign_key_violations: number | null;
}

type Archive = Packed & { readonly count: number };

export interface Manifest {
  readonly tier: string;
  readonly operation: string;
  readonly started: number;
  readonly copied: number;
  readonly ended: number;
  readonly databases: readonly Database[];
  readonly files: Archive | null;
  readonly code: Archive;
  readonly hold_ms: number;
  readonly phases: readonly { readonly name: string; readonly ms: number }[];
  readonly [key: string]: unknown;
}

export type Parameters = Readonly<Record<string, string>>;

/** The backups of the host's app. */
export class Backups {
  readonly bucket = 'shop-backups';
  readonly #host: Host;
  readonly #s3: S3Client;

  private constructor(host: Host, cloud: Cloud) {
    this.#host = host;
    this.#s3 = new S3Client({ ...operatorClient(cloud), forcePathStyle: true });
  }

  /** Makes the bucket, and prepares the host for it. */
  static async raise({ host, cloud }: { host: Host; cloud: Cloud }): Promise<Backups> {
    const backups = new Backups(host, cloud);
    const where = { LocationConstraint: cloud.region };
    const made = backups.#s3.send(
      new CreateBucketCommand({ Bucket: backups.bucket, CreateBucketConfiguration: where }),
    );
    // Hosts of one cloud share it.
    await made.catch((error: Error) => {
      if (error.name !== 'BucketAlreadyOwnedByYou') throw error;
    });
    await host.prepare({ backups: backups.bucket });
    return backups;
  }

  /** One backup, as its document makes it. */
  make(parameters: Parameters = {}, variables: readonly string[] = []): Promise<Result> {
    const defaults = { fence: 'none', tier: 'auto', excerpts: 'on' };
    return this.#host.run('backup', { ...defaults, ...parameters }, variables);
  }

  /** One backup while the host's clock is off, as in `+1h`: for the scripts and the tools that they ask for the time. */
  async makeAt(off: string, parameters: Parameters = {}): Promise<Result> {
    const variables = await layClock(this.#host);
    await setClock(this.#host, off);
    const result = await this.make(parameters, variables);
    await liftClock(this.#host);
    return result;
  }

  /** Changes what the live release says of its data: a jq filter on its description. */
  async describe(filter: string): Promise<void> {
    const file = `${state}/releases/$(basename "$(readlink /srv/shop/current)").description.json`;
    await this.#host.shell(`jq -c '${filter}' ${file} >/root/description && cat /root/description >${file}`);
  }

  async manifest(result: Result): Promise<Manifest> {
    return JSON.parse((await this.get(String(result['manifest']))).toString()) as Manifest;
  }

  async get(Key: string): Promise<Buffer> {
    const { Body } = await this.#s3.send(new GetObjectCommand({ Bucket: this.bucket, Key }));
    return Buffer.from((await Body?.transformToByteArray()) ?? []);
  }

  async put(Key: string, Body: string): Promise<void> {
    await this.#s3.send(new PutObjectCommand({ Bucket: this.bucket, Key, Body }));
  }

  async keys(): Promise<string[]> {
    const { Contents = [] } = await this.#s3.send(new ListObjectsV2Command({ Bucket: this.bucket }));
    return Contents.map(({ Key = '' }) => Key);
  }

  /** An object of a backup, unpacked; what the manifest says of it has been compared. */
  async unpacked(result: Result, { object, raw, packed }: Packed): Promise<Buffer> {
    const stored = await this.get(String(result['manifest']).replace('manifest.json', object));
    const bytes = object.endsWith('.zst') ? zstdDecompressSync(stored) : gunzipSync(stored);
    for (const [found, said] of [
      [stored, packed],
      [bytes, raw],
    ] as const) {
      const digest = createHash('sha256').update(found).digest('hex');
      if (found.length !== said.size || digest !== said.sha256)
        throw new Error(`${object} is not as described`);
    }
    return bytes;
  }

  /** Asks the copy of a database. */
  async ask(
    result: Result,
    database: Database,
    question: string,
  ): Promise<readonly Record<string, unknown>[]> {
    const folder = mkdtempSync(join(tmpdir(), 'understudy-copy-'));
    try {
      writeFileSync(join(folder, 'copy.db'), await this.unpacked(result, database));
      const copy = new DatabaseSync(join(folder, 'copy.db'));
      const rows = copy.prepare(question).all();
      copy.close();
      return rows;
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  /** What a backup that did not succeed may not leave on the host. */
  leftBehind(): Promise<string> {
    return this.#host.shell(
      `cd ${state}; ls -d copies/*.half copying/* 2>/dev/null; ls -A copying 2>/dev/null; find operations -name ballast; true`,
    );
  }

  /** The names of the copies that the host keeps. */
  async kept(): Promise<string[]> {
    const names = await this.#host.shell(`ls ${state}/copies`);
    return names.split('\n').filter((name) => name !== '');
  }
}
