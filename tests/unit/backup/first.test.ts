import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { backUpFirst } from '../../../src/backup/take.ts';
import type { Held } from '../../../src/operation/hold.ts';
import { operation as deploying, Fleet, instances, job } from '../operation/fleet.ts';

beforeEach(() => {
  delete process.env['GITHUB_STATE'];
  jest.spyOn(process.stdout, 'write').mockReturnValue(true);
});
afterEach(() => {
  jest.restoreAllMocks();
});

const operation = { ...deploying, id: '42-100-1-rollback-data-staging', action: 'rollback-data' };
const id = '42-100-1-backup-before-staging';

/** What a backup before came to, what post would have looked after, and the ledger. */
async function backUp(says: object | undefined) {
  const fleet = new Fleet();
  fleet.answers.set('backup', () => says && { operation: id, ...says });
  fleet.answers.set('probe', () => ({ result: 'done', reason: 'probed', about: { state: 'running' } }));
  const left: unknown[] = [];
  const { signal } = new AbortController();
  const held: Held = {
    ...{ fence: 7, signal, confirm: async () => {}, requireTime: () => {}, onSent: () => {} },
    settled: () => left.push('settled'),
    leave: ({ operation: of }) => left.push(of?.id),
  };
  const work = { services: fleet.services, operation, instances, checks: [] };
  const order = { excerpts: 'off', delivery: 60, timeout: 60 } as const;
  const judged = await backUpFirst(work, order, job, held);
  const ledger = [...fleet.bucket.objects.keys()].map((key) => fleet.bucket.json(key));
  return { judged, left, ledger };
}

test('a backup before an operation is a part of it, after which the operation itself goes on', async () => {
  const { judged, left, ledger } = await backUp({ result: 'refused', reason: 'too-long-a-hold' });
  expect(judged.result).toMatchObject({ result: 'refused', reason: 'too-long-a-hold' });
  expect(left).toEqual([id, 'settled', operation.id]);
  expect(ledger).toMatchObject([{ operation: id, action: 'backup', reason: 'too-long-a-hold' }]);
});

test('one that may still be at work is what post has to look after', async () => {
  const { judged, left, ledger } = await backUp(undefined);
  expect(judged).toMatchObject({ open: true, result: { result: 'unknown' } });
  expect(left).toEqual([id]);
  expect(ledger).toEqual([]);
});
