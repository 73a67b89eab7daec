import { describe, expect, test } from '@jest/globals';
import { toJson } from '../../../src/aws/bucket.ts';
import { type LeaseOptions, leaseKey, releaseLeaseOf, takeLease } from '../../../src/lease/lease.ts';
import { MemoryBucket } from '../aws/memory-bucket.ts';

const key = leaseKey('isso', 'staging');
const minute = 60_000;

/** Waits that end only when the test says so, or the signal does. */
class Waits {
  readonly asked: number[] = [];
  #wake: (() => void) | undefined;

  readonly sleep = (ms: number, signal?: AbortSignal): Promise<void> => {
    if (!signal) return Promise.resolve();
    this.asked.push(ms);
    return new Promise((resolve, reject) => {
      this.#wake = resolve;
      signal.addEventListener('abort', () => reject(new Error('ended')));
    });
  };

  /** Lets the wait end, and what follows it happen. */
  async end(): Promise<void> {
    this.#wake?.();
    await new Promise(setImmediate);
  }
}

function options(bucket: MemoryBucket, more: Partial<LeaseOptions> = {}): LeaseOptions & { waits: Waits } {
  const waits = new Waits();
  return {
    bucket,
    app: 'isso',
    environment: 'staging',
    holder: { repository: 'acme/isso', run: '100', attempt: 1, operation: '42-100-1-deploy-staging' },
    sleep: waits.sleep,
    mayTakeOver: async () => 'That attempt is still running.',
    waits,
    ...more,
  };
}

describe('taking the lease', () => {
  test('is written for 15 minutes of S3 time, with fencing number 1', async () => {
    const bucket = new MemoryBucket();
    const lease = await takeLease(options(bucket));
    expect(lease.fence).toBe(1);
    expect(bucket.json(key)).toMatchObject({
      state: 'held',
      fence: 1,
      expires: '2026-11-23T00:15:00.000Z',
      run: '100',
      attempt: 1,
      operation: '42-100-1-deploy-staging',
    });
    await lease.release();
  });

  test('makes the fencing number grow with every holder', async () => {
    const bucket = new MemoryBucket();
    for (const fence of [1, 2, 3]) {
      const lease = await takeLease(options(bucket));
      expect(lease.fence).toBe(fence);
      await lease.release();
      expect(bucket.json(key)).toMatchObject({ state: 'released', fence });
    }
  });

  test('is refused while another holds it, naming who', async () => {
    const bucket = new MemoryBucket();
    const first = await takeLease(options(bucket));
    await expect(takeLease(options(bucket))).rejects.toMatchObject({
      reason: 'lease-held',
      outcome: 'refused',
      happened: expect.stringMatching(
        /attempt 1 of run 100 of acme\/isso .+ That attempt is still running\./,
      ),
    });
    await first.release();
  });

  test('is refused after its time too, unless the holder is gone', async () => {
    const bucket = new MemoryBucket();
    await (await takeLease(options(bucket))).leave();
    bucket.time += 60 * minute;
    await expect(takeLease(options(bucket))).rejects.toMatchObject({ reason: 'lease-held' });
    const next = await takeLease(options(bucket, { mayTakeOver: async ({ run }) => run === '100' || 'no' }));
    expect(next.fence).toBe(2);
    await next.release();
  });

  test('sees its own write behind a 412, when an answer was lost', async () => {
    const bucket = new MemoryBucket();
    bucket.answersToLose = 1;
    const lease = await takeLease(options(bucket));
    expect(lease.fence).toBe(1);
    await expect(lease.release()).resolves.toBe('released');
  });

  test('yields to whoever was quicker', async () => {
    const bucket = new MemoryBucket();
    const other = options(bucket);
    bucket.intruder = () => {
      bucket.objects.set(key, toJson({ ...held, run: '99' }));
    };
    await expect(takeLease(other)).rejects.toMatchObject({ happened: expect.stringContaining('run 99') });
    expect(bucket.json(key)).toMatchObject({ run: '99' });
  });

  test.each(['', '{}', '{"schema":2}'])('does not overwrite what it cannot read: %j', async (text) => {
    const bucket = new MemoryBucket();
    bucket.objects.set(key, Buffer.from(text));
    await expect(takeLease(options(bucket))).rejects.toMatchObject({ reason: 'lease-held' });
    expect(bucket.objects.get(key)?.toString()).toBe(text);
  });
});

const held = {
  ...{
    schema: 1,
    state: 'held',
    fence: 7,
    expires: '2026-11-23T00:15:00.000Z',
    repository: 'acme/isso',
    run: '100',
  },
  ...{ attempt: 1, operation: '42-100-1-deploy-staging', nonce: 'n' },
};

describe('keeping the lease', () => {
  test('renews it at a third of its time', async () => {
    const bucket = new MemoryBucket();
    const wanted = options(bucket);
    const lease = await takeLease(wanted);
    expect(wanted.waits.asked).toEqual([5 * minute]);
    bucket.time += 5 * minute;
    await wanted.waits.end();
    expect(bucket.json(key)).toMatchObject({ fence: 1, expires: '2026-11-23T00:20:00.000Z' });
    expect(wanted.waits.asked).toEqual([5 * minute, 5 * minute]);
    expect(lease.lost.aborted).toBe(false);
    await expect(lease.release()).resolves.toBe('released');
  });

  test('goes on when the answer to a renewal was lost', async () => {
    const bucket = new MemoryBucket();
    const wanted = options(bucket);
    const lease = await takeLease(wanted);
    bucket.answersToLose = 1;
    await wanted.waits.end();
    expect(lease.lost.aborted).toBe(false);
    await expect(lease.release()).resolves.toBe('released');
  });

  test('says that it is lost when somebody else took it, and leaves it to them', async () => {
    const bucket = new MemoryBucket();
    const wanted = options(bucket);
    const lease = await takeLease(wanted);
    bucket.objects.set(key, toJson(held));
    await wanted.waits.end();
    expect(lease.lost.reason).toMatchObject({ reason: 'lease-lost', outcome: 'unknown' });
    await expect(lease.release()).resolves.toBe('not ours');
    expect(bucket.json(key)).toEqual(held);
  });

  test('tries a failed renewal again soon, and is lost when too little time is left for another', async () => {
    const bucket = new MemoryBucket();
    const wanted = options(bucket);
    const lease = await takeLease(wanted);
    bucket.replace = () => Promise.reject(new Error('S3 does not answer'));
    bucket.time += 6 * minute;
    await wanted.waits.end();
    expect(lease.lost.aborted).toBe(false);
    expect(wanted.waits.asked).toEqual([5 * minute, 20_000]);
    bucket.time += 8 * minute;
    await wanted.waits.end();
    expect(lease.lost.reason).toMatchObject({ happened: expect.stringContaining('S3 does not answer') });
    await lease.leave();
  });

  test('allows a change only while a call has time for it, by the time of S3', async () => {
    const bucket = new MemoryBucket();
    const lease = await takeLease(options(bucket));
    bucket.time += 14 * minute;
    expect(() => lease.requireTime()).not.toThrow();
    bucket.time += minute / 2 + 1;
    expect(() => lease.requireTime()).toThrow('it could not be renewed in time');
    expect(lease.lost.reason).toMatchObject({ reason: 'lease-lost', outcome: 'unknown' });
    await lease.leave();
  });

  test('stops renewing when it is left', async () => {
    const bucket = new MemoryBucket();
    const wanted = options(bucket);
    await (await takeLease(wanted)).leave();
    bucket.time += 5 * minute;
    await wanted.waits.end();
    expect(bucket.json(key)).toMatchObject({ state: 'held', expires: '2026-11-23T00:15:00.000Z' });
  });
});

describe('giving back what main left', () => {
  test('releases the lease of that operation', async () => {
    const bucket = new MemoryBucket();
    await (await takeLease(options(bucket))).leave();
    await expect(releaseLeaseOf(bucket, 'isso', 'staging', held.operation)).resolves.toBe('released');
    expect(bucket.json(key)).toMatchObject({ state: 'released', fence: 1 });
    await expect(releaseLeaseOf(bucket, 'isso', 'staging', held.operation)).resolves.toBe('absent');
  });

  test('never releases the lease of another operation', async () => {
    const bucket = new MemoryBucket();
    bucket.objects.set(key, toJson(held));
    await expect(releaseLeaseOf(bucket, 'isso', 'staging', '42-101-1-deploy-staging')).resolves.toBe(
      'absent',
    );
    expect(bucket.json(key)).toEqual(held);
  });

  test('does nothing where there is no lease', async () => {
    await expect(releaseLeaseOf(new MemoryBucket(), 'isso', 'staging', held.operation)).resolves.toBe(
      'absent',
    );
  });
});
