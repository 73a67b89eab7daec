import { expect, test } from '@jest/globals';
import { appendEntry } from '../../../src/ledger/ledger.ts';
import { MemoryBucket } from '../aws/memory-bucket.ts';

const entry = {
  ...{
    operation: '42-100-1-deploy-staging',
    action: 'deploy',
    app: 'isso',
    environment: 'staging',
    actor: 'ada',
  },
  ...{
    run: 'https://github.com/acme/isso/actions/runs/100',
    result: 'done',
    reason: 'deployed',
    sentence: 'Live.',
  },
  ...{ release: 'a'.repeat(64), commit: 'c'.repeat(40), seconds: 12, instances: [] },
};

test('entries sort by the time of S3, and are never overwritten', async () => {
  const bucket = new MemoryBucket();
  const keys: string[] = [];
  for (let at = 0; at < 20; at += 1) {
    keys.push(await appendEntry(bucket, entry));
    bucket.time += 1;
  }
  expect(new Set(keys).size).toBe(20);
  expect([...bucket.objects.keys()].sort()).toEqual(keys);
  expect(keys[0]).toMatch(/^ledger\/isso\/staging\/[0-9A-HJKMNP-TV-Z]{26}\.json$/);
  expect(bucket.json(keys[0] ?? '')).toEqual({ schema: 1, time: '2026-11-23T00:00:00.000Z', ...entry });
});
