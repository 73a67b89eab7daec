import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import {
  CopyObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type PutObjectCommandInput,
  type S3Client,
} from '@aws-sdk/client-s3';
import { callTimeoutMs } from './clients.ts';
import { isConflict, isNamed, isNotFound, isPreconditionFailed, isThrottled, isUnclear } from './errors.ts';
import { type Clock, sleep as realSleep, type Sleep } from './time.ts';

export interface StoredObject {
  readonly bytes: Buffer;
  readonly etag: string;
  /** ms since the epoch, by S3's clock. */
  readonly lastModified: number;
}

/** A file to be stored as it is; S3 refuses it when its bytes are not those of the digest. */
export interface FileBody {
  readonly path: string;
  readonly size: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

/** What S3 knows of an object without its bytes. */
export interface ObjectDescription {
  readonly size: number;
  /** Hexadecimal; undefined when it was put without one. */
  readonly sha256: string | undefined;
  /** ms since the epoch, by S3's clock. */
  readonly lastModified: number;
}

export interface ListedObject extends Pick<ObjectDescription, 'size' | 'lastModified'> {
  readonly key: string;
}

/** The little that we ask of S3. Writes are conditional, all of them. */
export interface Bucket {
  readonly name: string;
  /** S3's time in ms since the epoch, from its last `Date`; all leases are measured by it. */
  now(): number;
  /** The object, or undefined when there is none. */
  read(key: string): Promise<StoredObject | undefined>;
  /** The bytes of an object as they come, or undefined when there is none. */
  open(key: string): Promise<Readable | undefined>;
  /** What S3 keeps of an object beside its bytes, or undefined when there is none. */
  describe(key: string): Promise<ObjectDescription | undefined>;
  /** Every object whose key begins so, in the order of their keys. */
  list(prefix: string): Promise<ListedObject[]>;
  /** Writes a new object; gives its ETag, or undefined when the key was taken: perhaps by us, an answer lost. */
  create(key: string, body: Buffer | FileBody): Promise<string | undefined>;
  /** Copies an object of up to 5 GB within the bucket, with its SHA-256, to a key that is not taken; else nothing is done. */
  copy(from: string, to: string): Promise<void>;
  /** Overwrites the object that has this ETag; gives the new ETag, or undefined when it has another by now. */
  replace(key: string, bytes: Buffer, etag: string): Promise<string | undefined>;
}

/** An object of JSON as it is stored: readable by people too. */
export function toJson(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Big objects need longer than a call's usual time: count on 1 MB a second. */
function timeoutFor(bytes: number): number {
  return callTimeoutMs + Math.ceil(bytes / 1000);
}

/** The client of a bucket and S3's clock: see `createClients`. */
export interface BucketAccess {
  readonly s3: S3Client;
  readonly s3Now: Clock;
}

export function openBucket({ s3, s3Now }: BucketAccess, name: string, sleep: Sleep = realSleep): Bucket {
  const put = (key: string, body: Buffer | FileBody, condition: Condition): Promise<string | undefined> =>
    putOnCondition({ s3, input: { Bucket: name, Key: key, ...condition }, body, sleep });
  return {
    name,
    now: s3Now,
    async read(key) {
      try {
        const object = await s3.send(new GetObjectCommand({ Bucket: name, Key: key }));
        const { Body, ETag, LastModified } = object;
        if (!Body || !ETag) throw new Error(`S3 gave no body of ${key}.`);
        const bytes = Buffer.from(await Body.transformToByteArray());
        return { bytes, etag: ETag, lastModified: LastModified?.getTime() ?? 0 };
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },
    async open(key) {
      try {
        return Readable.from(await readParts({ s3, bucket: name, key }), {
          ...{ objectMode: false, highWaterMark: partBytes },
        });
      } catch (error) {
        if (isNotFound(error)) return undefined;
        // An empty object has no first byte.
        if (isNamed(error, 'InvalidRange')) return Readable.from([]);
        throw error;
      }
    },
    async describe(key) {
      try {
        const head = await s3.send(
          new HeadObjectCommand({ Bucket: name, Key: key, ChecksumMode: 'ENABLED' }),
        );
        const digest = head.ChecksumSHA256;
        return {
          size: head.ContentLength ?? 0,
          sha256: digest ? Buffer.from(digest, 'base64').toString('hex') : undefined,
          lastModified: head.LastModified?.getTime() ?? 0,
        };
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },
    async list(prefix) {
      const listed: ListedObject[] = [];
      let token: string | undefined;
      do {
        const page = await s3.send(
          new ListObjectsV2Command({
            Bucket: name,
            Prefix: prefix,
            ...(token && { ContinuationToken: token }),
          }),
        );
        for (const { Key = '', Size = 0, LastModified } of page.Contents ?? [])
          listed.push({ key: Key, size: Size, lastModified: LastModified?.getTime() ?? 0 });
        token = page.NextContinuationToken;
      } while (token);
      return listed;
    },
    create: (key, body) => put(key, body, { IfNoneMatch: '*' }),
    async copy(from, to) {
      const CopySource = `${name}/${from.split('/').map(encodeURIComponent).join('/')}`;
      const where = { Bucket: name, Key: to, IfNoneMatch: '*' };
      // The copying is done by S3, which answers at its end: count on 10 MB a second, of up to 5 GB.
      const requestTimeout = callTimeoutMs + 500_000;
      try {
        const command = new CopyObjectCommand({ ...where, CopySource, ChecksumAlgorithm: 'SHA256' });
        await s3.send(command, { requestTimeout });
      } catch (error) {
        if (!isPreconditionFailed(error)) throw error;
      }
    },
    replace: (key, bytes, etag) => put(key, bytes, { IfMatch: etag }),
  };
}

type Condition = Pick<PutObjectCommandInput, 'IfMatch' | 'IfNoneMatch'>;

interface Put {
  readonly s3: S3Client;
  readonly input: PutObjectCommandInput;
  readonly body: Buffer | FileBody;
  readonly sleep: Sleep;
}

/**
 * Writes on a condition; undefined when it does not hold. A conflict of two at once is tried again, and so is a
 * file, which the SDK does not read a second time by itself.
 */
async function putOnCondition({ s3, input, body, sleep }: Put): Promise<string | undefined> {
  const requestTimeout = timeoutFor(Buffer.isBuffer(body) ? body.length : body.size);
  for (let attempt = 1; ; attempt += 1) {
    try {
      const { ETag } = await s3.send(new PutObjectCommand({ ...input, ...contentOf(body) }), {
        requestTimeout,
      });
      return ETag;
    } catch (error) {
      // 404 to If-Match: the object is gone, so it is not the one that we read.
      if (isPreconditionFailed(error) || (input.IfMatch && isNotFound(error))) return undefined;
      if (attempt === 5 || !mayRepeat(error, body)) throw error;
      await sleep(attempt * 200);
    }
  }
}

function mayRepeat(error: unknown, body: Buffer | FileBody): boolean {
  return isConflict(error) || (!Buffer.isBuffer(body) && (isUnclear(error) || isThrottled(error)));
}

function contentOf(body: Buffer | FileBody): Partial<PutObjectCommandInput> {
  const [Body, digest] = Buffer.isBuffer(body)
    ? [body, sha256(body)]
    : [createReadStream(body.path), body.sha256];
  const ContentLength = Buffer.isBuffer(body) ? body.length : body.size;
  return { Body, ContentLength, ChecksumSHA256: Buffer.from(digest, 'hex').toString('base64') };
}

/** What the AWS CLI fetches at once. */
const partBytes = 8 * 1024 * 1024;
/** As many lie in memory at most. */
const partsAhead = 3;

interface Place {
  readonly s3: S3Client;
  readonly bucket: string;
  readonly key: string;
}

/**
 * An object in its parts, of which some are fetched ahead: S3 gives several connections more than one. The first part tells
 * how large the whole is; the others are of the same object as it, or fail.
 */
async function readParts(place: Place): Promise<AsyncGenerator<Uint8Array>> {
  const first = await readPart(place, 0);
  return followParts(first.bytes, first.whole, (start) => readPart(place, start, first.etag));
}

async function readPart(
  { s3, bucket: Bucket, key: Key }: Place,
  start: number,
  IfMatch?: string,
): Promise<{ bytes: Uint8Array; whole: number; etag: string | undefined }> {
  const Range = `bytes=${start}-${start + partBytes - 1}`;
  const part = await s3.send(new GetObjectCommand({ Bucket, Key, Range, ...(IfMatch && { IfMatch }) }));
  if (!part.Body) throw new Error(`S3 gave no body of ${Key}.`);
  const bytes = await part.Body.transformToByteArray();
  // Told of a part, such as "bytes 0-8388607/9000000".
  const whole = Number(part.ContentRange?.split('/').at(-1) ?? bytes.length);
  return { bytes, whole, etag: part.ETag };
}

async function* followParts(
  first: Uint8Array,
  whole: number,
  read: (start: number) => Promise<{ bytes: Uint8Array }>,
): AsyncGenerator<Uint8Array> {
  const ahead: Promise<{ bytes: Uint8Array }>[] = [];
  let start = first.length;
  const fetchAhead = (): void => {
    for (; start < whole && ahead.length < partsAhead; start += partBytes) {
      const part = read(start);
      // Met where it is read; nobody reads it after the failure of one before it.
      part.catch(() => undefined);
      ahead.push(part);
    }
  };
  fetchAhead();
  yield first;
  for (let part = ahead.shift(); part; part = ahead.shift()) {
    fetchAhead();
    yield (await part).bytes;
  }
}
