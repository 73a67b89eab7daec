import { GetPublicAccessBlockCommand, HeadBucketCommand, type S3Client } from '@aws-sdk/client-s3';
import { OperationError } from '../action/errors.ts';
import { isNamed } from './errors.ts';

interface Wanted {
  readonly bucket: string;
  readonly region: string;
}

/**
 * Refuses a bucket that is missing, in another region, or not closed to the public: before anything is written to it.
 *
 * @throws OperationError bad-bucket
 */
export async function requireBucket(s3: S3Client, { bucket, region }: Wanted): Promise<void> {
  const found = await regionOf(s3, bucket);
  if (found === undefined) {
    throw badBucket(
      `There is no bucket ${bucket}.`,
      'Create the stack of infra/foundation.yaml, or correct its name in understudy.yml.',
    );
  }
  if (found !== '' && found !== region) {
    throw badBucket(
      `The bucket ${bucket} is in ${found}, not in ${region}.`,
      `Correct \`region\` or the bucket in understudy.yml: both are to be in ${region}.`,
    );
  }
  if (!(await isClosed(s3, bucket))) {
    throw badBucket(
      `The bucket ${bucket} may be opened to the public: its public access block is not on, or not on in full. What lies in it is for nobody else.`,
      `aws s3api put-public-access-block --bucket ${bucket} --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true`,
    );
  }
}

/** Undefined when there is no such bucket. In another region S3 answers 301, and says where it is. */
async function regionOf(s3: S3Client, bucket: string): Promise<string | undefined> {
  try {
    const { BucketRegion } = await s3.send(new HeadBucketCommand({ Bucket: bucket }));
    return BucketRegion ?? '';
  } catch (error) {
    const { $response: response, $metadata: about } = error as {
      $response?: { headers?: Record<string, string> };
      $metadata?: { httpStatusCode?: number };
    };
    const elsewhere = response?.headers?.['x-amz-bucket-region'];
    if (about?.httpStatusCode === 301 && elsewhere) return elsewhere;
    if (isNamed(error, 'NotFound', 'NoSuchBucket')) return undefined;
    throw error;
  }
}

async function isClosed(s3: S3Client, bucket: string): Promise<boolean> {
  try {
    const { PublicAccessBlockConfiguration: block = {} } = await s3.send(
      new GetPublicAccessBlockCommand({ Bucket: bucket }),
    );
    const { BlockPublicAcls, IgnorePublicAcls, BlockPublicPolicy, RestrictPublicBuckets } = block;
    return [BlockPublicAcls, IgnorePublicAcls, BlockPublicPolicy, RestrictPublicBuckets].every(Boolean);
  } catch (error) {
    if (isNamed(error, 'NoSuchPublicAccessBlockConfiguration')) return false;
    throw error;
  }
}

function badBucket(happened: string, todo: string): OperationError {
  return new OperationError({ reason: 'bad-bucket', happened, stateNow: 'Nothing was changed.', todo });
}
