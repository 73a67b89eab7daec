import { describe, expect, test } from '@jest/globals';
import { sha256 } from '../../../src/aws/bucket.ts';
import { detailsKey, parseDetails, readDetails } from '../../../src/command/details.ts';
import { MemoryBucket } from '../aws/memory-bucket.ts';

const key = detailsKey('isso', 'staging', '42-100-1-deploy-staging', 'i-1');
const told = {
  steps: [{ name: 'lock', started: 1, ended: null, ok: false, note: '' }],
  checks: [],
  log: ['a'],
  parameters: { TOKEN: 2 },
};
const bytes = Buffer.from(JSON.stringify({ schema: 1, result: 'failed', ...told }));

function stored(content = bytes): MemoryBucket {
  const bucket = new MemoryBucket();
  bucket.objects.set(key, content);
  return bucket;
}

describe('what a host wrote beside its result line', () => {
  test('is read when the line vouches for it', async () => {
    expect(key).toBe('results/isso/staging/42-100-1-deploy-staging/i-1.json');
    await expect(readDetails(stored(), key, sha256(bytes))).resolves.toEqual(told);
  });

  test('is not believed when it is another object', async () => {
    const forged = Buffer.from(JSON.stringify({ ...told, log: ['forged'] }));
    await expect(readDetails(stored(forged), key, sha256(bytes))).resolves.toBeUndefined();
  });

  test('is nothing when it is not there, or the host could write none', async () => {
    await expect(readDetails(new MemoryBucket(), key, sha256(bytes))).resolves.toBeUndefined();
    await expect(readDetails(stored(), key, '')).resolves.toBeUndefined();
  });

  test.each(['', '[]', '{"steps":[{}]}', '{"checks":7}'])('is nothing when it is %j', (text) => {
    expect(parseDetails(text)).toBeUndefined();
  });
});
