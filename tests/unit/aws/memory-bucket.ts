import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { type Bucket, type FileBody, sha256 } from '../../../src/aws/bucket.ts';

/** A bucket in memory with S3's conditions; its answers can be lost after the write was done. */
export class MemoryBucket implements Bucket {
  readonly name = 'memory';
  readonly objects = new Map<string, Buffer>();
  /** ms since the epoch; only the test moves it. */
  time = Date.UTC(2026, 10, 23);
  /** How many writes from now on are done, and then said to have found the condition broken: a retry's 412. */
  answersToLose = 0;
  /** Runs once before the next write, as somebody else who is quicker. */
  intruder: (() => void) | undefined;

  now(): number {
    return this.time;
  }

  async read(key: string) {
    const bytes = this.objects.get(key);
    return bytes && { bytes, etag: etagOf(bytes), lastModified: this.#modified(key) };
  }

  async open(key: string) {
    const bytes = this.objects.get(key);
    return bytes && Readable.from([bytes]);
  }

  async copy(from: string, to: string): Promise<void> {
    const bytes = this.objects.get(from);
    if (!bytes) throw new Error(`There is no object ${from}.`);
    this.#write(to, bytes, () => !this.objects.has(to));
  }

  async describe(key: string) {
    const bytes = this.objects.get(key);
    return bytes && { sha256: sha256(bytes), size: bytes.length, lastModified: this.#modified(key) };
  }

  async list(prefix: string) {
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix)).sort();
    return keys.map((key) => ({
      ...{ key, size: this.objects.get(key)?.length ?? 0, lastModified: this.#modified(key) },
    }));
  }

  /** When it was put: now, unless the test said when. */
  readonly modified = new Map<string, number>();
  #modified(key: string): number {
    return this.modified.get(key) ?? this.time;
  }

  async create(key: string, body: Buffer | FileBody): Promise<string | undefined> {
    return this.#write(
      key,
      Buffer.isBuffer(body) ? body : readFileSync(body.path),
      () => !this.objects.has(key),
    );
  }

  async replace(key: string, bytes: Buffer, etag: string): Promise<string | undefined> {
    return this.#write(key, bytes, () => {
      const there = this.objects.get(key);
      return there !== undefined && etagOf(there) === etag;
    });
  }

  json(key: string): Record<string, unknown> {
    const bytes = this.objects.get(key);
    if (!bytes) throw new Error(`There is no object ${key}.`);
    return JSON.parse(bytes.toString('utf8')) as Record<string, unknown>;
  }

  #write(key: string, bytes: Buffer, holds: () => boolean): string | undefined {
    this.intruder?.();
    this.intruder = undefined;
    if (!holds()) return undefined;
    this.objects.set(key, bytes);
    if (this.answersToLose > 0) {
      this.answersToLose -= 1;
      return undefined;
    }
    return etagOf(bytes);
  }
}

function etagOf(bytes: Buffer): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`;
}
