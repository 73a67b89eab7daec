import type { Bucket } from '../aws/bucket.ts';
import { findObjectProblem, readCommitted } from '../backup/confirm.ts';
import { promisedBy } from '../backup/manifest.ts';
import { listBackups } from '../backup/place.ts';
import type { Operation } from '../operation/operation.ts';

/**
 * The key of the manifest that an earlier attempt of this run committed, no longer ago than `freshMs`: another would be the
 * same once more. Undefined where there is none.
 */
export async function findOwnBackup(
  bucket: Pick<Bucket, 'name' | 'list' | 'read' | 'describe' | 'now'>,
  { app, environment, id, attempt, action }: Operation,
  freshMs: number,
): Promise<string | undefined> {
  const run = id.slice(0, -`-${attempt}-${action}-${environment}`.length);
  const own = new RegExp(`^${run}-\\d+-backup-before-${environment}$`);
  const listed = await listBackups(bucket, app, environment);
  const found = listed.find(
    ({ operation, committed }) => own.test(operation) && bucket.now() - committed <= freshMs,
  );
  if (!found) return undefined;
  const committed = await readCommitted(bucket, found.key, found);
  if (!committed.confirmed) return undefined;
  const problem = await findObjectProblem(bucket, found.prefix, promisedBy(committed.manifest));
  return problem ? undefined : found.key;
}
