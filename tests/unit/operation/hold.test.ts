import {
  DescribeDocumentCommand,
  ListCommandInvocationsCommand,
  SendCommandCommand,
  SSMClient,
} from '@aws-sdk/client-ssm';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { mockClient } from 'aws-sdk-client-mock';
import { OperationError } from '../../../src/action/errors.ts';
import { toJson } from '../../../src/aws/bucket.ts';
import { leaseKey } from '../../../src/lease/lease.ts';
import { holdingLease } from '../../../src/operation/hold.ts';
import type { Operation, Services } from '../../../src/operation/operation.ts';
import { MemoryBucket } from '../aws/memory-bucket.ts';
import { job, release } from './fleet.ts';

const ssm = mockClient(SSMClient);
let bucket: MemoryBucket;
let printed = '';

beforeEach(() => {
  bucket = new MemoryBucket();
  ssm.reset();
  ssm.rejects(new Error('a call that nobody expected'));
  printed = '';
  delete process.env['GITHUB_STATE'];
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
});
afterEach(() => {
  jest.restoreAllMocks();
});

const operation: Operation = {
  ...{
    id: '42-100-1-deploy-staging',
    action: 'deploy',
    document: 'deploy',
    app: 'isso',
    region: 'us-east-2',
    environment: 'staging',
  },
  ...{ bucket: 'b', rollout: { concurrency: 1, errors: 0 }, repository: 'acme/isso', run: '100', attempt: 1 },
};
const refusal = { reason: 'access-denied', stateNow: 'This call changed nothing.', todo: 'Look.' } as const;
const key = leaseKey('isso', 'staging');
const held = {
  ...{
    schema: 1,
    state: 'held',
    fence: 7,
    expires: '2026-11-22T00:00:00.000Z',
    repository: 'acme/isso',
    run: '99',
  },
  ...{ attempt: 3, operation: '42-99-3-deploy-staging', nonce: 'n' },
};

interface More {
  readonly ended?: boolean | undefined;
  readonly signal?: AbortSignal;
}

function hold({ ended, signal = new AbortController().signal }: More = {}) {
  const client = new SSMClient({ region: 'us-east-2' });
  // Only the lease is kept with a signal: it waits until it is given back.
  const sleep: Services['sleep'] = async (_ms, until) => {
    if (until) await new Promise((end) => until.addEventListener('abort', end));
  };
  const services = {
    clients: { ssm: client, ssmOnce: client },
    bucket,
    sleep,
    now: () => 0,
  } as unknown as Services;
  const asked: unknown[] = [];
  const github = {
    attemptHasEnded: async (...question: unknown[]) => {
      asked.push(question);
      return ended;
    },
  };
  return { services, operation, release, job, github, instances: ['i-1', 'i-2'], signal, asked };
}

/** Every host answers the probe so. */
function hostsSay(running: Record<string, string>): void {
  ssm
    .on(DescribeDocumentCommand)
    .resolves({ Document: { DefaultVersion: '1', Hash: 'h', Status: 'Active' } });
  ssm.on(SendCommandCommand).resolves({ Command: { CommandId: 'c-1' } });
  ssm.on(ListCommandInvocationsCommand).resolves({
    CommandInvocations: ['i-1', 'i-2'].map((InstanceId) => {
      const line = {
        schema: 1,
        action: 'probe',
        operation: 'p',
        result: 'done',
        reason: 'probed',
        instance: InstanceId,
      };
      const told = running[InstanceId];
      const Output =
        told === undefined ? '' : `UNDERSTUDY_RESULT ${JSON.stringify({ ...line, running: told })}`;
      return { InstanceId, Status: 'Success', StatusDetails: 'Success', CommandPlugins: [{ Output }] };
    }),
  });
}

const savedEnded = (): boolean => printed.includes('name=ended::all');

/** What the ledger tells of the operations of `staging`, the first one first. */
const ledger = (): unknown[] =>
  [...bucket.objects.keys()]
    .filter((name) => name.startsWith('ledger/isso/staging/'))
    .map((name) => bucket.json(name));

describe('work under the lease', () => {
  test('has its fencing number, and gives the lease back when all hosts have ended', async () => {
    const value = await holdingLease(hold(), async ({ fence }) => {
      expect(bucket.json(key)).toMatchObject({ state: 'held', operation: operation.id });
      return { open: false, fence };
    });
    expect(value.fence).toBe(1);
    expect(bucket.json(key)).toMatchObject({ state: 'released' });
    expect(savedEnded()).toBe(true);
  });

  test('leaves the lease to post when a host may still be at work', async () => {
    await holdingLease(hold(), async () => ({ open: true }));
    expect(bucket.json(key)).toMatchObject({ state: 'held' });
    expect(savedEnded()).toBe(false);
    expect(printed).toContain('name=operation::{"operation":{"id":"42-100-1-deploy-staging"');
  });

  test('that is refused gives the lease back, and stands in the ledger', async () => {
    const work = () => Promise.reject(new OperationError({ ...refusal, happened: 'AWS refused the call.' }));
    await expect(holdingLease(hold(), work)).rejects.toThrow('AWS refused the call.');
    expect(bucket.json(key)).toMatchObject({ state: 'released' });
    expect(savedEnded()).toBe(true);
    expect(ledger()).toMatchObject([
      {
        operation: operation.id,
        result: 'refused',
        reason: 'access-denied',
        release: release.id,
        instances: [],
      },
    ]);
  });

  test('that fails once its command was sent is unknown, keeps the cause, and leaves the lease to post', async () => {
    const work = holdingLease(hold(), ({ onSent }) => {
      onSent('c-1');
      return Promise.reject(new OperationError({ ...refusal, happened: 'AWS refused the call.' }));
    });
    await expect(work).rejects.toMatchObject({
      ...{
        outcome: 'unknown',
        reason: 'no-result',
        happened: expect.stringContaining('AWS refused the call.'),
      },
      todo: expect.stringContaining('`isso-probe` about this operation'),
    });
    expect(bucket.json(key)).toMatchObject({ state: 'held' });
    expect(savedEnded()).toBe(false);
    expect(ledger()).toEqual([]);
    expect(printed).toContain('name=command::c-1');
  });

  test('that fails after all it sent has ended is what the failure says, and gives the lease back', async () => {
    const work = holdingLease(hold(), ({ onSent, settled }) => {
      onSent('c-1');
      settled();
      return Promise.reject(new Error('no such image'));
    });
    await expect(work).rejects.toThrow(/^no such image$/);
    expect(bucket.json(key)).toMatchObject({ state: 'released' });
    expect(savedEnded()).toBe(true);
  });

  test('stays what it is when the lease cannot be given back: post tries again', async () => {
    await expect(
      holdingLease(hold(), async () => {
        bucket.replace = () => Promise.reject(new Error('no network'));
        return { open: false };
      }),
    ).resolves.toEqual({ open: false });
    expect(printed).toContain('::warning::The lease could not be given back; the post step tries again');
    expect(printed).toContain('name=ended::work');
    expect(savedEnded()).toBe(false);
  });

  test('never begins when the lease cannot be written; post gives it back, for it may be ours all the same', async () => {
    bucket.create = () => Promise.reject(new Error('no network'));
    const work = jest.fn<() => Promise<{ open: boolean }>>();
    await expect(holdingLease(hold(), work)).rejects.toThrow('no network');
    expect(work).not.toHaveBeenCalled();
    expect(printed).toContain('name=ended::work');
    expect(savedEnded()).toBe(false);
  });

  test('that is cancelled leaves the lease to post', async () => {
    const job = new AbortController();
    const work = holdingLease(hold({ signal: job.signal }), async ({ signal }) => {
      job.abort(new Error('cancelled'));
      signal.throwIfAborted();
      return { open: false };
    });
    await expect(work).rejects.toThrow('cancelled');
    expect(bucket.json(key)).toMatchObject({ state: 'held' });
    expect(savedEnded()).toBe(false);
    expect(ledger()).toEqual([]);
  });
});

describe('a lease that another attempt holds', () => {
  beforeEach(() => {
    bucket.objects.set(key, toJson(held));
  });

  const take = (more: More) => holdingLease(hold(more), async ({ fence }) => ({ open: false, fence }));

  test('is taken over when that attempt has ended and no host runs an operation', async () => {
    hostsSay({ 'i-1': '', 'i-2': '' });
    await expect(take({ ended: true })).resolves.toMatchObject({ fence: 8 });
  });

  test.each<[string, boolean | undefined, Record<string, string>, string]>([
    ['the attempt still runs, though the time is over', false, {}, 'That attempt is still running.'],
    ['GitHub does not tell', undefined, {}, 'needs actions: read'],
    ['a host still runs it', true, { 'i-1': '', 'i-2': held.operation }, `i-2 still runs ${held.operation}`],
    ['a host does not answer', true, { 'i-1': '' }, 'i-2 does not tell'],
  ])('stays theirs when %s', async (_, ended, running, why) => {
    hostsSay(running);
    await expect(take({ ended })).rejects.toMatchObject({
      reason: 'lease-held',
      happened: expect.stringContaining(why),
    });
    expect(bucket.json(key)).toEqual(held);
    expect(savedEnded()).toBe(true);
    expect(ledger()).toMatchObject([{ operation: operation.id, result: 'refused', reason: 'lease-held' }]);
  });

  test('is asked of GitHub by run and attempt', async () => {
    const asking = hold({ ended: false });
    await expect(holdingLease(asking, async () => ({ open: false }))).rejects.toThrow('is held');
    expect(asking.asked).toEqual([['acme/isso', '99', 3]]);
  });
});
