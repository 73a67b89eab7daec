import { randomUUID } from 'node:crypto';
import * as z from 'zod/mini';
import { messageOf, OperationError } from '../action/errors.ts';
import { type Bucket, type StoredObject, toJson } from '../aws/bucket.ts';
import { callTimeoutMs } from '../aws/clients.ts';
import { jitter, type Sleep } from '../aws/time.ts';

/** Who asks for the lease. */
export interface Holder {
  /** `owner/name`. */
  readonly repository: string;
  readonly run: string;
  readonly attempt: number;
  readonly operation: string;
}

const written = z.object({
  schema: z.literal(1),
  state: z.enum(['held', 'released']),
  /** Grows by one with every new holder; hosts refuse a smaller one than they have seen. */
  fence: z.int().check(z.minimum(1)),
  /** ISO time by S3's clock. */
  expires: z.string(),
  repository: z.string(),
  run: z.string(),
  attempt: z.int(),
  operation: z.string(),
  /** Tells our own write from anybody else's when an answer was lost. */
  nonce: z.string(),
});

export type Written = z.infer<typeof written>;

export interface Lease {
  readonly fence: number;
  /** Fires when the lease is lost, or too little of it is left for one more call: stop changing things. */
  readonly lost: AbortSignal;
  /** Asked right before something is changed. @throws OperationError when less is left than a call may take */
  requireTime(): void;
  /** Reads it again, right before what cannot be taken back. @throws OperationError when it is not ours any more */
  confirm(): Promise<void>;
  /** Gives it back; says so when it was not ours any more. Safe to repeat. */
  release(): Promise<'released' | 'not ours'>;
  /** Stops renewing and leaves it held: a host is still at work, and the post step looks after it. */
  leave(): Promise<void>;
}

export interface LeaseOptions {
  readonly bucket: Bucket;
  readonly app: string;
  readonly environment: string;
  readonly holder: Holder;
  readonly sleep: Sleep;
  /**
   * Whether the holder in the way is gone for good: its attempt has ended (asked of GitHub) *and* no target runs an
   * operation (asked by probe). A sentence says why it may not be taken over.
   */
  readonly mayTakeOver: (other: Written) => Promise<true | string>;
}

/** A lease lasts this long, and is renewed at a third of it. */
const lastsMs = 15 * 60_000;
const renewMs = lastsMs / 3;
/** After a renewal that failed. */
const retryMs = 20_000;
/** With less left than another renewal may take, in three tries of the SDK, nothing may be changed any more. */
const leastLeftMs = retryMs + 3 * callTimeoutMs;

export function leaseKey(app: string, environment: string): string {
  return `leases/${app}/${environment}.json`;
}

/** Takes the lease of an environment, or refuses, naming who holds it. It is renewed until it is given back. */
export async function takeLease(options: LeaseOptions): Promise<Lease> {
  const { bucket, app, environment } = options;
  const key = leaseKey(app, environment);
  for (let attempt = 1; attempt <= 5; attempt += 1) {
    const before = await bucket.read(key);
    const other = before && readWritten(before.bytes, key);
    if (other?.state === 'held') await refuseUnlessGone(other, options);
    const mine = claim(options, (other?.fence ?? 0) + 1);
    const etag = await compareAndSwap(bucket, key, mine, before);
    if (etag) return keepLease(options, key, mine, etag);
    // Somebody was quicker: look who.
    await options.sleep(jitter(attempt * 200));
  }
  throw leaseHeld('Others keep taking it at the same moment.', options);
}

function claim({ bucket, holder }: LeaseOptions, fence: number): Written {
  return { schema: 1, state: 'held', fence, expires: expiry(bucket), ...holder, nonce: randomUUID() };
}

function expiry(bucket: Bucket): string {
  return new Date(bucket.now() + lastsMs).toISOString();
}

async function refuseUnlessGone(other: Written, options: LeaseOptions): Promise<void> {
  const verdict = await options.mayTakeOver(other);
  if (verdict !== true) throw leaseHeld(verdict, options, other);
}

function leaseHeld(why: string, { app, environment }: LeaseOptions, other?: Written): OperationError {
  const who = other
    ? ` by attempt ${other.attempt} of run ${other.run} of ${other.repository} (${other.operation})`
    : '';
  return new OperationError({
    reason: 'lease-held',
    happened: `The lease of ${environment} is held${who}. ${why}`,
    stateNow: 'Nothing was changed.',
    todo: `Wait until that run has ended; then run this job again. Where GitHub knows it no more, an operator sees that no host is at work, and deletes ${leaseKey(app, environment)}.`,
  });
}

/** Swaps the object; gives its new ETag, or undefined when another was quicker. */
async function compareAndSwap(
  bucket: Bucket,
  key: string,
  mine: Written,
  before: Pick<StoredObject, 'etag'> | undefined,
): Promise<string | undefined> {
  const bytes = toJson(mine);
  const etag = before ? await bucket.replace(key, bytes, before.etag) : await bucket.create(key, bytes);
  if (etag) return etag;
  // A 412 is perhaps our own doing: the SDK tried again after an answer was lost. The nonce tells.
  const now = await bucket.read(key);
  const isOurs = now && readWritten(now.bytes, key).nonce === mine.nonce && now.bytes.equals(bytes);
  return isOurs ? now.etag : undefined;
}

function readWritten(bytes: Buffer, key: string): Written {
  try {
    return written.parse(JSON.parse(bytes.toString('utf8')));
  } catch (cause) {
    throw new OperationError({
      reason: 'lease-held',
      happened: `The object ${key} is not a lease that this version reads.`,
      stateNow: 'Nothing was changed.',
      todo: 'See who wrote it. If no operation runs, an operator deletes it.',
      cause,
    });
  }
}

function leaseLost({ app, environment }: LeaseOptions, why: string): OperationError {
  return new OperationError({
    reason: 'lease-lost',
    outcome: 'unknown',
    happened: `The lease of ${environment} is lost: ${why}`,
    stateNow: 'What the host does goes on by itself.',
    todo: `Send ${app}-probe: it tells which release is live, and whether an operation still runs.`,
  });
}

/** Renews in the background until the lease is given back or lost. */
function keepLease(options: LeaseOptions, key: string, first: Written, firstEtag: string): Lease {
  const { bucket, sleep } = options;
  const [over, lost] = [new AbortController(), new AbortController()];
  let mine = first;
  let etag = firstEtag;

  const lose = (why: string): void => lost.abort(leaseLost(options, why));
  const leftMs = (): number => Date.parse(mine.expires) - bucket.now();
  const swap = async (next: Written): Promise<boolean> => {
    const swapped = await compareAndSwap(bucket, key, next, { etag });
    if (swapped) [mine, etag] = [next, swapped];
    return swapped !== undefined;
  };
  const renew = async (): Promise<void> => {
    try {
      if (!(await swap({ ...mine, expires: expiry(bucket) }))) lose('somebody else took it.');
    } catch (error) {
      // Tried again soon, while there is time for it.
      if (leftMs() < leastLeftMs) lose(messageOf(error));
    }
  };
  const renewing = (async (): Promise<void> => {
    while (await pause()) await renew();
  })();
  /** Until it is time to renew; false when there is nothing to renew any more. */
  async function pause(): Promise<boolean> {
    await sleep(leftMs() > lastsMs - renewMs ? renewMs : retryMs, over.signal).catch(() => {});
    return !over.signal.aborted && !lost.signal.aborted;
  }

  return {
    fence: first.fence,
    lost: lost.signal,
    requireTime() {
      if (leftMs() < callTimeoutMs) lose('it could not be renewed in time.');
      lost.signal.throwIfAborted();
    },
    async confirm() {
      const now = await bucket.read(key);
      if (!now || readWritten(now.bytes, key).nonce !== mine.nonce) lose('somebody else took it.');
      lost.signal.throwIfAborted();
    },
    async leave() {
      over.abort();
      await renewing;
    },
    async release() {
      over.abort();
      await renewing;
      return (await swap({ ...mine, state: 'released' })) ? 'released' : 'not ours';
    },
  };
}

/**
 * Gives back the lease that an operation of ours left held: what the post step does after main died.
 * `absent` when it is not held by that operation.
 */
export async function releaseLeaseOf(
  bucket: Bucket,
  app: string,
  environment: string,
  operation: string,
): Promise<'released' | 'absent'> {
  const key = leaseKey(app, environment);
  const before = await bucket.read(key);
  if (!before) return 'absent';
  const other = readWritten(before.bytes, key);
  if (other.state !== 'held' || other.operation !== operation) return 'absent';
  return (await compareAndSwap(bucket, key, { ...other, state: 'released' }, before)) ? 'released' : 'absent';
}
