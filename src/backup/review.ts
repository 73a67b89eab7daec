import { messageOf, sentenceOf } from '../action/errors.ts';
import { warn } from '../action/log.ts';
import { resultOf, succeeded } from '../action/result.ts';
import { type Bucket, openBucket } from '../aws/bucket.ts';
import type { Operation, Services } from '../operation/operation.ts';
import type { Told } from '../operation/summary.ts';
import { confirmBackup, type Owner } from './confirm.ts';
import { parseManifest } from './manifest.ts';
import { findProven, type ListedBackup, listBackups } from './place.ts';
import { describeBackup, type Earlier } from './summary.ts';

/**
 * What is true of each host's word about a backup, by what is in the bucket: neither Systems Manager's Success nor the
 * host's own "done" shows that anything was stored, and a host that died may have committed its backup just before.
 */
export async function reviewBackups(
  { clients }: Pick<Services, 'clients'>,
  operation: Operation,
  told: readonly Told[],
  /** Whether what is told of a backup compares it with others. */
  beside: 'others' | 'alone' = 'others',
): Promise<readonly Told[]> {
  const bucket = openBucket(clients, operation.backups ?? '');
  try {
    return await reviewIn(bucket, operation, told, beside);
  } catch (error) {
    const sentence = `Whether the backup is stored could not be seen in ${bucket.name}: ${sentenceOf(error)}`;
    return told.map((one) => (succeeded(one) ? judgedAnew(one, 'unknown', sentence, operation) : one));
  }
}

/** @throws Error when the bucket cannot be asked */
export async function reviewIn(
  bucket: Bucket,
  operation: Operation,
  told: readonly Told[],
  beside: 'others' | 'alone' = 'others',
): Promise<readonly Told[]> {
  if (beside === 'alone' && told.every(succeeded))
    return Promise.all(told.map((one) => bearOut({ bucket, operation }, one)));
  const listed = await listBackups(bucket, operation.app, operation.environment);
  const earlier = await findEarlier(bucket, operation, listed);
  return Promise.all(told.map((one) => reviewOne({ bucket, operation, listed, earlier }, one)));
}

interface Place {
  readonly bucket: Bucket;
  readonly operation: Operation;
}

interface Known extends Place {
  readonly listed: readonly ListedBackup[];
  readonly earlier: Earlier | undefined;
}

async function reviewOne(known: Known, told: Told): Promise<Told> {
  // A host that may still be at work may still commit; one that refused has not begun.
  if (told.open || told.result === 'refused') return told;
  return succeeded(told) ? bearOut(known, told) : findCommitted(known, told);
}

/** A host's "done" stands only with what the bucket holds. */
async function bearOut(place: Place | Known, told: Told): Promise<Told> {
  const { bucket, operation } = place;
  if (told.manifest === undefined) return unconfirmed(told, 'It does not say where it put it.', operation);
  if (told.bucket !== bucket.name) {
    const problem = `It stores backups in ${told.bucket ?? 'an unnamed bucket'}, where understudy.yml names ${bucket.name}: an operator sends ${operation.app}-prepare-host.`;
    return unconfirmed(told, problem, operation);
  }
  const found = await confirmBackup(bucket, told.manifest, ownerOf(operation, told));
  if (!found.confirmed) return unconfirmed(told, found.problem, operation);
  return 'listed' in place ? { ...told, account: describeBackup(found, place) } : told;
}

/** Of a host that did not get to its end, or whose word was lost: the manifest commits the backup, whoever says otherwise. */
async function findCommitted({ bucket, operation, listed, earlier }: Known, told: Told): Promise<Told> {
  const own = listed.filter((backup) => backup.operation === operation.id);
  for (const { key } of own) {
    const found = await confirmBackup(bucket, key, ownerOf(operation, told));
    if (!found.confirmed) continue;
    const sentence = `The host says ${told.result} (${told.reason}): ${told.sentence} Its manifest commits the backup all the same, and every object is there as it says.`;
    const { result, reason, todo } = resultOf({ outcome: 'done', reason: 'backed-up', app: operation.app });
    const where = { manifest: key, bucket: bucket.name };
    const account = describeBackup(found, { listed, earlier });
    return { ...told, result, reason, todo, sentence, ...where, account };
  }
  return told;
}

function ownerOf({ app, environment, id }: Operation, { instance }: Told): Owner {
  return { app, environment, operation: id, instance };
}

function unconfirmed(told: Told, problem: string, { app }: Operation): Told {
  const sentence = `The host says that the backup is stored, and the bucket does not bear it out: ${problem}`;
  return judgedAnew(told, 'failed', sentence, { app });
}

function judgedAnew(
  told: Told,
  outcome: 'failed' | 'unknown',
  sentence: string,
  { app }: Pick<Operation, 'app'>,
): Told {
  const { result, reason, todo } = resultOf({ outcome, reason: 'unconfirmed', sentence, app });
  return { ...told, result, reason, todo, sentence };
}

/** What the new backup is compared with: the newest that a drill has proven, else the newest before it. */
async function findEarlier(
  bucket: Bucket,
  { app, environment, id }: Operation,
  listed: readonly ListedBackup[],
): Promise<Earlier | undefined> {
  const proven = await findProven(bucket, app, environment);
  const key = proven ?? listed.find(({ operation }) => operation !== id)?.key;
  if (key === undefined) return undefined;
  try {
    const stored = await bucket.read(key);
    if (!stored) return undefined;
    return { key, verified: proven !== undefined, manifest: parseManifest(stored.bytes.toString('utf8')) };
  } catch (error) {
    warn(`The backup to compare with cannot be read (${key}): ${messageOf(error)}`);
    return undefined;
  }
}
