import { expect, test } from '@jest/globals';
import { appendEntry } from '../../../src/ledger/ledger.ts';
import { wasPromoted } from '../../../src/promotion/promoted.ts';
import { writeReceipt } from '../../../src/receipt/receipt.ts';
import { MemoryBucket } from '../aws/memory-bucket.ts';

const [app, environment, commit] = ['isso', 'production', 'c'.repeat(40)];
const [ours, other] = ['a'.repeat(64), 'b'.repeat(64)];

type Past = readonly [action: string, result: string, release: string];
const promoted: Past = ['promote', 'done', ours];

test.each<[string, boolean, readonly Past[]]>([
  ['its promotion is the newest', true, [promoted]],
  ['it was found promoted since', true, [promoted, ['promote', 'unchanged', ours]]],
  ['another was refused, or taken back by itself', true, [promoted, ['promote', 'reverted', other]]],
  ['a backup was taken since', true, [promoted, ['backup', 'done', '']]],
  ['somebody went back from it', false, [promoted, ['rollback', 'done', other]]],
  ['nobody knows what became of going back', false, [promoted, ['rollback', 'unknown', other]]],
  ['another was promoted since', false, [promoted, ['promote', 'done', other]]],
  ['nobody knows how it ended', false, [['promote', 'unknown', ours]]],
])('a release with a receipt: %s', async (_, wanted, past) => {
  const bucket = new MemoryBucket();
  await writeReceipt(bucket, {
    ...{ app, environment, commit, release: ours, operation: '1-promote-production', instances: ['i-1'] },
    ...{ parameters: {}, from: bucket.now(), until: bucket.now() },
  });
  for (const [action, result, release] of past) {
    bucket.time += 1000;
    await appendEntry(bucket, {
      ...{ operation: '1-1', action, app, environment, actor: 'ada', run: 'https://github.com/x', result },
      ...{ reason: 'told', sentence: 'It was so.', seconds: 1, instances: [], ...(release && { release }) },
    });
  }
  expect(await wasPromoted(bucket, { app, environment, commit, release: ours })).toBe(wanted);
});

test('a release without a receipt was not seen well', async () => {
  const subject = { app, environment, commit, release: ours };
  expect(await wasPromoted(new MemoryBucket(), subject)).toBe(false);
});
