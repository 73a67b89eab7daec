import { expect, test } from '@jest/globals';
import { toJson } from '../../../src/aws/bucket.ts';
import { appendEntry } from '../../../src/ledger/ledger.ts';
import { readUsual } from '../../../src/ledger/usual.ts';
import { MemoryBucket } from '../aws/memory-bucket.ts';

const where = { app: 'isso', environment: 'staging' };

async function ledgerOf(
  entries: readonly (readonly [string, string, number, Record<string, number>?])[],
): Promise<MemoryBucket> {
  const bucket = new MemoryBucket();
  for (const [action, result, seconds, steps] of entries) {
    await appendEntry(bucket, {
      ...{ ...where, action, result, seconds, ...(steps && { steps }) },
      ...{ operation: 'x', actor: 'ada', run: 'x', reason: 'x', sentence: 'x', instances: [] },
    });
    bucket.time += 1;
  }
  return bucket;
}

test('what an action usually takes is the median of the newest five that ended well', async () => {
  const bucket = await ledgerOf([
    ['deploy', 'done', 9000],
    ['deploy', 'done', 10],
    ['backup', 'done', 1],
    ['deploy', 'done', 12],
    ['deploy', 'reverted', 5000],
    ['deploy', 'done', 11],
    ['deploy', 'done', 400],
    ['deploy', 'done', 13],
  ]);
  const usual = await readUsual(bucket, 'isso', 'staging');
  expect([usual('deploy'), usual('backup'), usual('promote')]).toEqual([12, 1, undefined]);
  expect((await readUsual(bucket, 'isso', 'production'))('deploy')).toBeUndefined();
});

test('of a step, only those count that had it; what is no entry is passed over', async () => {
  const bucket = await ledgerOf([
    ['deploy', 'done', 20, { switch: 2 }],
    ['deploy', 'done', 30],
    ['deploy', 'done', 20, { switch: 4, check: 1 }],
  ]);
  bucket.objects.set('ledger/isso/staging/7ZZZ.json', toJson(['of another version']));
  const usual = await readUsual(bucket, 'isso', 'staging');
  expect([usual('deploy', 'switch'), usual('deploy', 'check'), usual('deploy', 'prepare')]).toEqual([
    4,
    1,
    undefined,
  ]);
});
