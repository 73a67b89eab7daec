import type { Bucket } from '../aws/bucket.ts';
import { readLedger, type Told } from '../ledger/read.ts';
import { findReceipt, type Subject } from '../receipt/receipt.ts';

/** These bring a release, or another one, to where it is live. */
const bringing = ['promote', 'deploy', 'rollback'];

/**
 * Whether a release that is live was seen well through its time of watching since it came there: a receipt of an earlier time,
 * before somebody went back from it, proves nothing of now.
 */
export async function wasPromoted(bucket: Pick<Bucket, 'list' | 'read'>, subject: Subject): Promise<boolean> {
  if (!(await findReceipt(bucket, subject))) return false;
  const newest = (await readLedger(bucket, subject.app, subject.environment)).find(brought);
  return newest?.action === 'promote' && newest.result === 'done' && newest.release === subject.release;
}

/** What failed or was refused left what was live before. */
const brought = ({ action, result }: Told): boolean =>
  bringing.includes(action) && (result === 'done' || result === 'unknown');
