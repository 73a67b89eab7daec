import { beforeEach, describe, expect, test } from '@jest/globals';
import { toJson } from '../../../src/aws/bucket.ts';
import { findReceipt, receiptProblem, writeReceipt } from '../../../src/receipt/receipt.ts';
import { MemoryBucket } from '../aws/memory-bucket.ts';

const subject = { app: 'isso', environment: 'staging', commit: 'c'.repeat(40), release: 'a'.repeat(64) };
const instances = ['i-1', 'i-2'];
let bucket: MemoryBucket;
let key: string;

beforeEach(async () => {
  bucket = new MemoryBucket();
  const at = bucket.now();
  key = await writeReceipt(bucket, {
    ...{ ...subject, operation: 'o', instances, parameters: {}, from: at, until: at },
  });
});

async function problem(of = instances): Promise<string | undefined> {
  const found = await findReceipt(bucket, subject);
  return found && receiptProblem(found, subject, of);
}

function change(fields: object, at = key): void {
  const written = JSON.parse(String(bucket.objects.get(key)));
  bucket.objects.set(at, toJson({ ...written, ...fields }));
}

describe('a receipt', () => {
  test('proves what it says, of the instances that are there', async () => {
    await expect(problem()).resolves.toBeUndefined();
    await expect(problem(['i-2'])).resolves.toBeUndefined();
  });

  test('that is not there is none', async () => {
    bucket.objects.clear();
    await expect(findReceipt(bucket, subject)).resolves.toBeUndefined();
  });

  test.each([
    ['of another environment', { environment: 'production' }, /says environment production, not staging/],
    ['of another commit', { commit: 'd'.repeat(40) }, /says commit dddd/],
    ['of another release', { release: 'b'.repeat(64) }, /says release bbbb/],
    ['of another time than its key', { until: '2026-11-22T00:00:00.000Z' }, /not the time of its key/],
    ['of another schema', { schema: 2 }, /is no receipt of this version/],
    ['of fewer instances', { instances: ['i-1'] }, /does not tell of i-2/],
  ])('%s proves nothing', async (_, fields, says) => {
    change(fields);
    await expect(problem()).resolves.toMatch(says);
  });

  test('that was written later than it says proves nothing', async () => {
    bucket.time += 3_600_000;
    bucket.objects.delete(key);
    await bucket.create(
      key,
      toJson({
        schema: 1,
        ...subject,
        operation: 'o',
        instances,
        from: '',
        until: '2026-11-23T00:00:00.000Z',
      }),
    );
    await expect(problem()).resolves.toMatch(/and S3 took it at 2026-11-23T01/);
  });
});
