import { createWriteStream } from 'node:fs';
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Answer, Call } from '../call.ts';
import { forward } from '../forward.ts';

/** Of smaller objects moto may read the whole for each range. */
const largeBytes = 16 * 1024 * 1024;
/** What is asked for at once lies in memory; people fetch in parts of 8 MiB. */
const mostBytes = 64 * 1024 * 1024;
const mostCopies = 2;

/**
 * Ranges of large objects, from a copy of the whole. moto reads all of an object for each of them, so that who fetches
 * in parts, as the AWS CLI does, would be thirty times as slow as S3 makes anybody.
 */
export class Ranges {
  readonly #moto: URL;
  /** Of what, and as of when; the oldest first. */
  readonly #copies = new Map<string, Promise<FileHandle>>();

  constructor(moto: URL) {
    this.#moto = moto;
  }

  /** Answers a read of a part of a large object; undefined where moto is to answer. */
  async answer(call: Call): Promise<Answer | undefined> {
    const range = /^bytes=(\d+)-(\d*)$/.exec(call.headers.range ?? '');
    if (call.method !== 'GET' || range === null) return undefined;
    const { range: _, ...headers } = call.headers;
    const whole = { ...call, headers };
    const told = await forward(this.#moto, { ...whole, method: 'HEAD' }, Buffer.alloc(0));
    const size = Number(told.headers['content-length'] ?? 0);
    const start = Number(range[1]);
    if (told.status !== 200 || size < largeBytes || start >= size) return undefined;
    const end = Math.min(range[2] ? Number(range[2]) : size - 1, size - 1);
    if (end < start || end - start >= mostBytes) return undefined;
    const copy = await this.#copyOf(whole, told);
    const body = Buffer.alloc(end - start + 1);
    await copy.read(body, 0, body.length, start);
    return { status: 206, headers: { ...ofPart(told.headers), ...lengthOf(start, end, size) }, body };
  }

  #copyOf(call: Call, { headers }: Answer): Promise<FileHandle> {
    const name = [call.path, call.query.get('versionId'), headers['etag'], headers['last-modified']].join(
      '\n',
    );
    const known = this.#copies.get(name);
    if (known) return known;
    const copying = this.#copy(call);
    this.#copies.set(name, copying);
    copying.catch(() => this.#copies.delete(name));
    if (this.#copies.size > mostCopies) this.#dropOldest();
    return copying;
  }

  #dropOldest(): void {
    const [oldest] = this.#copies;
    if (oldest === undefined) return;
    const [name, copying] = oldest;
    this.#copies.delete(name);
    // Who reads it now reads on: a handle is closed after its last read.
    copying.then((copy) => copy.close()).catch(() => undefined);
  }

  /** Its file has no name any more: it goes with the last who reads it. */
  async #copy(call: Call): Promise<FileHandle> {
    const folder = await mkdtemp(join(tmpdir(), 'understudy-gateway-'));
    try {
      const file = join(folder, 'object');
      const { body } = await forward(this.#moto, call, Buffer.alloc(0));
      await pipeline(Buffer.isBuffer(body) ? [body] : body, createWriteStream(file));
      return await open(file);
    } finally {
      await rm(folder, { recursive: true });
    }
  }
}

/** The checksum of a whole is not that of a part. */
function ofPart(headers: Answer['headers']): Answer['headers'] {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('x-amz-checksum')));
}

function lengthOf(start: number, end: number, size: number): Answer['headers'] {
  return { 'content-range': `bytes ${start}-${end}/${size}`, 'content-length': String(end - start + 1) };
}
