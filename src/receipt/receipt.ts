import { type Bucket, toJson } from '../aws/bucket.ts';
import { compactTime } from '../aws/time.ts';

/** A proof that a release was healthy in an environment at a time. */
export interface Receipt {
  readonly app: string;
  readonly environment: string;
  readonly commit: string;
  readonly release: string;
  readonly operation: string;
  readonly instances: readonly string[];
  /** Which version of each parameter it ran with, by instance and name. */
  readonly parameters: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** ms since the epoch, by S3's clock: from when, and until when, it was seen healthy. */
  readonly from: number;
  readonly until: number;
}

/** Writes a receipt that nothing overwrites. Gives its key. */
export async function writeReceipt(bucket: Bucket, receipt: Receipt): Promise<string> {
  const { app, environment, commit, release, from, until } = receipt;
  const key = `receipts/${app}/${environment}/${commit}/${release}/${compactTime(until)}.json`;
  const [healthyFrom, healthyUntil] = [new Date(from).toISOString(), new Date(until).toISOString()];
  await bucket.create(key, toJson({ schema: 1, ...receipt, from: healthyFrom, until: healthyUntil }));
  return key;
}
