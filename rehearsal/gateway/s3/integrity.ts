import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { ServiceError } from '../errors.ts';
import { type Checksum, startChecksum } from './checksums.ts';
import { ChunkedReader } from './chunked.ts';

const prefix = 'x-amz-checksum-';

/** Reads a request's body as it comes, and tells at the end whether it is what its sender promised. */
export class Integrity {
  readonly #headers: IncomingHttpHeaders;
  readonly #promises = new Map<string, string | undefined>();
  readonly #checksums = new Map<string, Checksum>();
  readonly #payload = createHash('sha256');
  readonly #chunked: ChunkedReader | undefined;

  /** @param wholeObject true when the checksum headers are an object's and not this body's. */
  constructor(headers: IncomingHttpHeaders, wholeObject: boolean) {
    this.#headers = headers;
    if (!wholeObject) this.#collectPromises();
    for (const algorithm of this.#promises.keys()) {
      const checksum = startChecksum(algorithm);
      if (checksum !== undefined) this.#checksums.set(algorithm, checksum);
    }
    const isChunked = String(headers['x-amz-content-sha256'] ?? '').startsWith('STREAMING-');
    if (isChunked) this.#chunked = new ChunkedReader((bytes) => this.#takeContent(bytes));
  }

  update(bytes: Buffer): void {
    if (this.#chunked !== undefined) {
      this.#chunked.push(bytes);
      return;
    }
    this.#payload.update(bytes);
    this.#takeContent(bytes);
  }

  /** @throws ServiceError XAmzContentSHA256Mismatch or BadDigest, as S3 answers them. */
  check(): void {
    const signed = String(this.#headers['x-amz-content-sha256'] ?? '');
    if (/^[0-9a-f]{64}$/.test(signed) && signed !== this.#payload.digest('hex')) {
      throw new ServiceError(
        'XAmzContentSHA256Mismatch',
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
      );
    }
    const trailers = this.#chunked?.trailers();
    for (const [algorithm, checksum] of this.#checksums) {
      const promised = this.#promises.get(algorithm) ?? trailers?.get(`${prefix}${algorithm}`);
      if (promised !== checksum.digest()) throw badDigest(algorithm);
    }
  }

  #collectPromises(): void {
    for (const [name, value] of Object.entries(this.#headers)) {
      if (name.startsWith(prefix) && name !== `${prefix}type` && name !== `${prefix}algorithm`) {
        this.#promises.set(name.slice(prefix.length), String(value));
      }
    }
    // A checksum that is sent after the body.
    const trailer = String(this.#headers['x-amz-trailer'] ?? '').toLowerCase();
    if (trailer.startsWith(prefix)) this.#promises.set(trailer.slice(prefix.length), undefined);
    const md5 = this.#headers['content-md5'];
    if (md5 !== undefined) this.#promises.set('md5', String(md5));
  }

  #takeContent(bytes: Buffer): void {
    for (const checksum of this.#checksums.values()) checksum.update(bytes);
  }
}

function badDigest(algorithm: string): ServiceError {
  const name = algorithm === 'md5' ? 'Content-MD5' : algorithm.toUpperCase();
  return new ServiceError('BadDigest', `The ${name} you specified did not match the calculated checksum.`);
}
