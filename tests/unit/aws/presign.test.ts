import { S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { presignRead } from '../../../src/aws/presign.ts';

const clientFor = (more: object = {}) =>
  new S3Client({
    region: 'us-east-1',
    credentials: {
      accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
      secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
      ...more,
    },
  });

beforeEach(() => {
  jest.useFakeTimers({ now: Date.UTC(2013, 4, 24) });
});

afterEach(() => {
  jest.useRealTimers();
});

test('a URL is for one object, for as long as was said, and signed by what it says', async () => {
  const url = new URL(
    await presignRead(clientFor(), { bucket: 'isso-backups', key: 'backups/isso/a b.zst', seconds: 3600 }),
  );
  expect(`${url.origin}${url.pathname}`).toBe(
    'https://isso-backups.s3.us-east-1.amazonaws.com/backups/isso/a%20b.zst',
  );
  expect(Object.fromEntries(url.searchParams)).toMatchObject({
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': 'AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request',
    'X-Amz-Date': '20130524T000000Z',
    'X-Amz-Expires': '3600',
    'X-Amz-SignedHeaders': 'host',
    'X-Amz-Signature': expect.stringMatching(/^[0-9a-f]{64}$/),
  });
});

test('a session goes with it, whatever letters its token has', async () => {
  const client = clientFor({ sessionToken: 'a+b/c==' });
  const url = new URL(await presignRead(client, { bucket: 'isso-backups', key: 'one', seconds: 60 }));
  expect(url.searchParams.get('X-Amz-Security-Token')).toBe('a+b/c==');
});
