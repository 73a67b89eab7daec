import { GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { type Cloud, operatorClient } from '../../rehearsal/cloud/cloud.ts';
import type { Step } from '../../rehearsal/runner/step.ts';

interface Place {
  readonly bucket: string;
  readonly app: string;
  readonly environment: string;
}

/** What the ledger of an environment holds of the operation of a step. */
export async function ledgerOf(cloud: Cloud, place: Place, { outputs }: Step): Promise<unknown[]> {
  const { bucket: Bucket, app, environment } = place;
  const s3 = new S3Client({ ...operatorClient(cloud), forcePathStyle: true });
  const Prefix = `ledger/${app}/${environment}/`;
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket, Prefix }));
  const entries = await Promise.all(
    Contents.map(async ({ Key }) => {
      const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
      return JSON.parse((await Body?.transformToString()) ?? '');
    }),
  );
  return entries.filter(({ operation }) => operation === outputs['operation']);
}
