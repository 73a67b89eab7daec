import { GetPublicAccessBlockCommand, HeadBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { mockClient } from 'aws-sdk-client-mock';
import { requireBucket } from '../../../src/aws/require-bucket.ts';

const s3 = mockClient(S3Client);
beforeEach(() => {
  s3.reset();
  s3.rejects(new Error('a call that nobody expected'));
});

const closed = {
  ...{ BlockPublicAcls: true, IgnorePublicAcls: true, BlockPublicPolicy: true, RestrictPublicBuckets: true },
};
const look = () =>
  requireBucket(new S3Client({ region: 'us-east-2' }), { bucket: 'isso-state', region: 'us-east-2' });
const answer = (httpStatusCode: number, name: string, headers = {}): Error =>
  Object.assign(new Error(name), { name, $metadata: { httpStatusCode }, $response: { headers } });

function has(BucketRegion: string, block: object | Error = closed): void {
  s3.on(HeadBucketCommand).resolves({ BucketRegion });
  const asked = s3.on(GetPublicAccessBlockCommand);
  if (block instanceof Error) asked.rejects(block);
  else asked.resolves({ PublicAccessBlockConfiguration: block });
}

describe('the state bucket', () => {
  test('is taken in its region, closed to the public', async () => {
    has('us-east-2');
    await expect(look()).resolves.toBeUndefined();
  });

  test.each([
    ['is missing', answer(404, 'NotFound'), 'There is no bucket isso-state.'],
    [
      'is elsewhere, as S3 answers it',
      answer(301, 'Unknown', { 'x-amz-bucket-region': 'eu-west-1' }),
      'is in eu-west-1, not in us-east-2',
    ],
  ])('is refused where it %s', async (_, error, happened) => {
    s3.on(HeadBucketCommand).rejects(error);
    await expect(look()).rejects.toMatchObject({
      ...{ reason: 'bad-bucket', outcome: 'refused', stateNow: 'Nothing was changed.' },
      happened: expect.stringContaining(happened),
    });
  });

  test('is refused in another region', async () => {
    has('eu-west-1');
    await expect(look()).rejects.toMatchObject({
      ...{ reason: 'bad-bucket', happened: 'The bucket isso-state is in eu-west-1, not in us-east-2.' },
      todo: expect.stringContaining('`region`'),
    });
  });

  test.each([
    ['with no block at all', answer(404, 'NoSuchPublicAccessBlockConfiguration')],
    ['with a block that has a hole', { ...closed, BlockPublicPolicy: false }],
    ['with an empty block', {}],
  ])('is refused where it may be opened to the public: %s', async (_, block) => {
    has('us-east-2', block);
    await expect(look()).rejects.toMatchObject({
      ...{ reason: 'bad-bucket', happened: expect.stringContaining('may be opened to the public') },
      todo: expect.stringContaining('put-public-access-block --bucket isso-state'),
    });
  });

  test('is not called missing by another error', async () => {
    s3.on(HeadBucketCommand).rejects(answer(503, 'SlowDown'));
    await expect(look()).rejects.toThrow('SlowDown');
  });
});
