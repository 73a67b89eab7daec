import { expect, test } from '@jest/globals';
import { writeReceipt } from '../../../src/receipt/receipt.ts';
import { MemoryBucket } from '../aws/memory-bucket.ts';

test('a receipt says which release was healthy where, from when until when', async () => {
  const bucket = new MemoryBucket();
  const [commit, release] = ['c'.repeat(40), 'a'.repeat(64)];
  const until = bucket.time + 61_500;
  const parameters = { 'i-1': { TOKEN: 2 } };
  const place = { app: 'isso', environment: 'staging', commit, release, operation: 'o' };
  const what = { ...place, instances: ['i-1'], parameters };
  const key = await writeReceipt(bucket, { ...what, from: bucket.time, until });
  expect(key).toBe(`receipts/isso/staging/${commit}/${release}/20261123T000101Z.json`);
  expect(bucket.json(key)).toEqual({
    ...{ schema: 1, ...what },
    ...{ from: '2026-11-23T00:00:00.000Z', until: '2026-11-23T00:01:01.500Z' },
  });
});
