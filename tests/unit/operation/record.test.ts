import { expect, test } from '@jest/globals';
import { resultOf } from '../../../src/action/result.ts';
import type { Judged } from '../../../src/operation/judge.ts';
import type { Work } from '../../../src/operation/operation.ts';
import { record } from '../../../src/operation/record.ts';
import type { Told } from '../../../src/operation/summary.ts';
import { Fleet, instances, job, operation, release } from './fleet.ts';

const result = resultOf({ outcome: 'done', reason: 'deployed' });

/** The keys that a record leaves, without what is unique in them. */
async function keysAfter(judged: Partial<Judged>): Promise<string[]> {
  const { services, bucket } = new Fleet();
  const work: Work = { services, operation, instances, release, checks: [] };
  await record(work, { result, instances: [], open: false, ...judged }, job, { started: 0, facts: [] });
  return [...bucket.objects.keys()].map((key) => key.split('/')[0] ?? '');
}

test('a deploy that ended well has one entry in the ledger, and a receipt', async () => {
  expect(await keysAfter({})).toEqual(['ledger', 'receipts']);
});

test('one that did not has no receipt', async () => {
  const failed = resultOf({ outcome: 'failed', reason: 'check-failed' });
  expect(await keysAfter({ result: failed })).toEqual(['ledger']);
});

test('one that is not over on every host is left for post to record', async () => {
  expect(await keysAfter({ open: true })).toEqual([]);
});

test('one whose taking back is not over is recorded: post tells of the taking back alone', async () => {
  const failed = resultOf({ outcome: 'failed', reason: 'check-failed' });
  expect(await keysAfter({ result: failed, open: true, tookBack: true })).toEqual(['ledger']);
});

test('the ledger tells what each step took, by the host that took longest for it', async () => {
  const { services, bucket } = new Fleet();
  const step = (name: string, seconds: number) => ({
    name,
    started: 5000,
    ended: 5000 + seconds * 1000,
    ok: true,
  });
  const told = (instance: string, steps: readonly object[]) =>
    ({ instance, result: 'done', reason: 'deployed', more: { steps, parameters: {} } }) as unknown as Told;
  const judged = {
    ...{ result, open: false },
    instances: [told('i-1', [step('switch', 1.25), step('check', 3)]), told('i-2', [step('switch', 2)])],
  };
  await record({ services, operation, instances, checks: [] }, judged, job, { started: 0, facts: [] });
  const [key = ''] = bucket.objects.keys();
  expect(bucket.json(key)['steps']).toEqual({ switch: 2, check: 3 });
});

test('the summary links the operation before, of another run', async () => {
  const { services, bucket } = new Fleet();
  const facts: [string, string][] = [];
  const work: Work = { services, operation, instances, release, checks: [] };
  const judged = { result, instances: [], open: false };
  const at = (run: string) => ({ ...job, runUrl: `https://github.com/acme/isso/actions/runs/${run}` });
  await record(work, judged, at('7'), { started: 0, facts });
  expect(facts).toEqual([]);
  for (const part of [1, 2]) {
    bucket.time += part;
    await record(work, judged, at('8'), { started: 0, facts });
  }
  const told =
    '<a href="https://github.com/acme/isso/actions/runs/7"><code>deploy</code></a>, done, 2026-11-23T00:00:00Z';
  expect(facts).toEqual([
    ['Operation before', told],
    ['Operation before', told],
  ]);
});
