import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { RunInstancesCommand } from '@aws-sdk/client-ec2';
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { startChecksum } from '../../rehearsal/gateway/s3/checksums.ts';
import { nameS3Action } from '../../rehearsal/gateway/s3/operations.ts';
import { openBucket } from '../../src/aws/bucket.ts';
import { baseImage, Ground, region } from './gateway/ground.ts';

jest.setTimeout(60_000);

const Bucket = 'isso-understudy';
let ground: Ground;

beforeAll(async () => {
  ground = await Ground.open();
  await ground.s3.send(new CreateBucketCommand({ Bucket }));
});

afterAll(async () => {
  const { emulatorErrors } = await ground.calls();
  await ground.close();
  expect(emulatorErrors).toBe(0);
});

async function read(Key: string): Promise<string | undefined> {
  const { Body } = await ground.s3.send(new GetObjectCommand({ Bucket, Key }));
  return await Body?.transformToString();
}

const base64 = (algorithm: string, text: string) => createHash(algorithm).update(text).digest('base64');

describe('the bytes of an upload are judged, which moto does not do', () => {
  const authorization =
    'AWS4-HMAC-SHA256 Credential=operator/20261123/us-east-2/s3/aws4_request, SignedHeaders=host, Signature=0';

  async function put(key: string, body: string, headers: Record<string, string>) {
    const url = `${ground.url}/${Bucket}/${key}`;
    const answer = await fetch(url, { method: 'PUT', headers: { authorization, ...headers }, body });
    return { status: answer.status, code: /<Code>([^<]+)/.exec(await answer.text())?.[1] };
  }

  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32('other'));

  test.each<[string, Record<string, string>, string]>([
    ['x-amz-checksum-sha256', { 'x-amz-checksum-sha256': base64('sha256', 'other') }, 'BadDigest'],
    ['x-amz-checksum-sha1', { 'x-amz-checksum-sha1': base64('sha1', 'other') }, 'BadDigest'],
    ['x-amz-checksum-crc32', { 'x-amz-checksum-crc32': crc.toString('base64') }, 'BadDigest'],
    ['content-md5', { 'content-md5': base64('md5', 'other') }, 'BadDigest'],
    [
      'x-amz-content-sha256',
      { 'x-amz-content-sha256': createHash('sha256').update('other').digest('hex') },
      'XAmzContentSHA256Mismatch',
    ],
  ])('a wrong %s is refused, and nothing is kept', async (_, headers, code) => {
    expect(await put('wrong', 'bytes', headers)).toEqual({ status: 400, code });
    await expect(read('wrong')).rejects.toMatchObject({ name: 'NoSuchKey' });
  });

  test('a checksum after an aws-chunked body is judged too', async () => {
    const chunked = (sum: string) => `5\r\nbytes\r\n0\r\nx-amz-checksum-sha256:${sum}\r\n\r\n`;
    const headers = {
      'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      'content-encoding': 'aws-chunked',
      'x-amz-decoded-content-length': '5',
      'x-amz-trailer': 'x-amz-checksum-sha256',
    };
    expect(await put('trailed', chunked(base64('sha256', 'other')), headers)).toMatchObject({
      code: 'BadDigest',
    });
    expect(await put('trailed', chunked(base64('sha256', 'bytes')), headers)).toMatchObject({ status: 200 });
    expect(await read('trailed')).toBe('bytes');
  });

  test('right ones of the SDK and of the CLI pass', async () => {
    const ChecksumSHA256 = base64('sha256', 'good');
    await ground.s3.send(new PutObjectCommand({ Bucket, Key: 'good', Body: 'good', ChecksumSHA256 }));
    expect(await read('good')).toBe('good');
    const put = ['--bucket', Bucket, '--key', 'by-cli', '--body', import.meta.filename];
    await ground.aws('s3api', 'put-object', ...put);
    for (const algorithm of ['CRC32', 'SHA1', 'SHA256']) {
      await ground.aws('s3api', 'put-object', ...put, '--checksum-algorithm', algorithm);
    }
    expect(await read('by-cli')).toContain('right ones of the SDK and of the CLI pass');
  });

  test('a large body passes whole, and in parts', async () => {
    const Body = Buffer.alloc(6 * 1024 * 1024, 'release ');
    await ground.s3.send(new PutObjectCommand({ Bucket, Key: 'large', Body }));
    const { UploadId } = await ground.s3.send(new CreateMultipartUploadCommand({ Bucket, Key: 'parts' }));
    const part = { Bucket, Key: 'parts', UploadId, PartNumber: 1, Body };
    const { ETag } = await ground.s3.send(new UploadPartCommand(part));
    const MultipartUpload = { Parts: [{ ETag, PartNumber: 1 }] };
    await ground.s3.send(
      new CompleteMultipartUploadCommand({ Bucket, Key: 'parts', UploadId, MultipartUpload }),
    );
    for (const Key of ['large', 'parts']) {
      const { ContentLength } = await ground.s3.send(new HeadObjectCommand({ Bucket, Key }));
      expect(ContentLength).toBe(Body.length);
    }
  });
});

describe('parts of a large object', () => {
  const Key = 'ranges';
  const large = (seed: number) =>
    Buffer.from(Uint32Array.from({ length: 5_000_000 }, (_, at) => at * seed).buffer);

  async function part(Range: string) {
    const answer = await ground.s3.send(new GetObjectCommand({ Bucket, Key, Range }));
    return {
      told: answer.ContentRange,
      bytes: Buffer.from((await answer.Body?.transformToByteArray()) ?? []),
    };
  }

  test('are those of its newest version', async () => {
    for (const Body of [large(3), large(5)]) {
      await ground.s3.send(new PutObjectCommand({ Bucket, Key, Body }));
      expect(await part('bytes=7-10')).toEqual({
        told: `bytes 7-10/${Body.length}`,
        bytes: Body.subarray(7, 11),
      });
      const parts = await Promise.all(
        ['bytes=0-7999999', 'bytes=8000000-15999999', 'bytes=16000000-'].map(part),
      );
      expect(Buffer.concat(parts.map(({ bytes }) => bytes)).equals(Body)).toBe(true);
    }
  });

  test('beyond its end are refused', async () => {
    await expect(part('bytes=20000000-')).rejects.toMatchObject({ name: 'InvalidRange' });
  });
});

describe('conditional writes pass through', () => {
  test('If-None-Match: the second create-only write is PreconditionFailed', async () => {
    const put = new PutObjectCommand({ Bucket, Key: 'once', Body: 'first', IfNoneMatch: '*' });
    await ground.s3.send(put);
    await expect(ground.s3.send(put)).rejects.toMatchObject({ name: 'PreconditionFailed' });
    const { calls } = await ground.calls();
    expect(calls.at(-1)).toMatchObject({
      service: 's3',
      action: 'PutObject',
      resource: `arn:aws:s3:::${Bucket}/once`,
      status: 412,
      error: 'PreconditionFailed',
    });
  });

  test('If-Match: only the holder of the newest version writes', async () => {
    const { ETag } = await ground.s3.send(new PutObjectCommand({ Bucket, Key: 'lease', Body: 'one' }));
    await ground.s3.send(new PutObjectCommand({ Bucket, Key: 'lease', Body: 'two', IfMatch: ETag }));
    const stale = new PutObjectCommand({ Bucket, Key: 'lease', Body: 'three', IfMatch: ETag });
    await expect(ground.s3.send(stale)).rejects.toMatchObject({ name: 'PreconditionFailed' });
    expect(await read('lease')).toBe('two');
  });

  test('the Date that a lease is judged by is in the answer', async () => {
    const answer = await fetch(`${ground.url}/${Bucket}/lease`, { method: 'HEAD' });
    expect(Number.isNaN(Date.parse(answer.headers.get('date') ?? ''))).toBe(false);
  });
});

/** S3, with the credentials of an instance that has the role. */
async function hostOf(role: string): Promise<S3Client> {
  const { Instances = [] } = await ground.ec2.send(
    new RunInstancesCommand({
      ImageId: baseImage,
      MinCount: 1,
      MaxCount: 1,
      IamInstanceProfile: { Name: role },
    }),
  );
  const { body } = await ground.admin<{ AccessKeyId: string }>(
    `/_cloud/credentials/${Instances[0]?.InstanceId}`,
  );
  return new S3Client({
    ...{ endpoint: ground.url, region, forcePathStyle: true, maxAttempts: 1 },
    credentials: { accessKeyId: body.AccessKeyId, secretAccessKey: 'of the instance' },
  });
}

describe('a host may add backups, and do nothing else to them', () => {
  let host: S3Client;
  const key = 'backups/isso/staging/daily/1/manifest.json';

  beforeAll(async () => {
    await ground.makeRole('host');
    host = await hostOf('host');
  });

  test('once: the second of a key is refused by its condition', async () => {
    const put = new PutObjectCommand({ Bucket, Key: key, Body: '{}', IfNoneMatch: '*' });
    await host.send(put);
    await expect(host.send(put)).rejects.toMatchObject({ name: 'PreconditionFailed' });
  });

  test.each<[string, () => Promise<unknown>]>([
    ['overwrite', () => host.send(new PutObjectCommand({ Bucket, Key: key, Body: 'other' }))],
    ['read', () => host.send(new GetObjectCommand({ Bucket, Key: key }))],
    ['look at', () => host.send(new HeadObjectCommand({ Bucket, Key: key }))],
    ['delete', () => host.send(new DeleteObjectCommand({ Bucket, Key: key }))],
    ['list', () => host.send(new ListObjectsV2Command({ Bucket, Prefix: 'backups/' }))],
    [
      'prove',
      () => host.send(new PutObjectCommand({ Bucket, Key: 'proven/1', Body: '{}', IfNoneMatch: '*' })),
    ],
  ])('it cannot %s', async (_, attempt) => {
    await expect(attempt()).rejects.toMatchObject({ $metadata: { httpStatusCode: 403 } });
    expect(await read(key)).toBe('{}');
  });
});

test("what the host's CLI stores with a checksum is known by its SHA-256 and its size", async () => {
  const body = import.meta.filename;
  const put = ['--bucket', Bucket, '--key', 'backups/with-checksum', '--body', body, '--if-none-match', '*'];
  await ground.aws('s3api', 'put-object', ...put, '--checksum-algorithm', 'SHA256');
  const bucket = openBucket({ s3: ground.s3, s3Now: Date.now }, Bucket);
  const bytes = readFileSync(body);
  expect(await bucket.describe('backups/with-checksum')).toEqual({
    size: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    lastModified: expect.any(Number),
  });
});

test.each([
  ['crc32', 'y/Q5Jg=='],
  ['crc32c', '4waSgw=='],
  ['crc64nvme', 'rosUhgp5mIg='],
])('%s of its published check value', (algorithm, expected) => {
  const checksum = startChecksum(algorithm);
  checksum?.update(Buffer.from('12345'));
  checksum?.update(Buffer.from('6789'));
  expect(checksum?.digest()).toBe(expected);
});

test.each([
  ['GET', '/', '', 'ListBuckets'],
  ['PUT', '/b', '', 'CreateBucket'],
  ['PUT', '/b', 'lifecycle', 'PutBucketLifecycleConfiguration'],
  ['GET', '/b', 'list-type=2&prefix=a', 'ListObjectsV2'],
  ['POST', '/b', 'delete', 'DeleteObjects'],
  ['PUT', '/b/k', 'partNumber=1&uploadId=2', 'UploadPart'],
  ['POST', '/b/k', 'uploads', 'CreateMultipartUpload'],
  ['HEAD', '/b/a/b', '', 'HeadObject'],
  ['GET', '/b/k', 'versionId=3', 'GetObject'],
  ['DELETE', '/b/k', '', 'DeleteObject'],
])('%s %s?%s is recorded as %s', (method, path, query, action) => {
  expect(nameS3Action(method, path, new URLSearchParams(query), {})).toBe(action);
});
