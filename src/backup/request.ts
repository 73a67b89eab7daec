import { toJson } from '../aws/bucket.ts';
import { presignRead } from '../aws/presign.ts';
import type { Config } from '../config/config.ts';
import { connect, type Operation, type Services } from '../operation/operation.ts';
import { type Manifest, promisedBy, totalsOf } from './manifest.ts';
import { prefixOf } from './place.ts';

/** A part of a backup that a host can be asked to restore. */
export type Part = 'databases' | 'files' | 'code';

/** How long the addresses are good: as long as a restore may take, and no session of ours lasts longer. */
const requestSeconds = 3600;

/**
 * How many seconds a host may take to restore a backup: one that falls silent is not waited for as long as one that is at
 * work. 4 MB of data a second are slow.
 * @param limitMs what `rollout.timeout` says instead
 */
export function restoreSeconds(
  manifest: Manifest,
  { startTimeoutMs }: Pick<Config['service'], 'startTimeoutMs'>,
  limitMs?: number,
): number {
  if (limitMs !== undefined) return Math.min(requestSeconds, Math.ceil(limitMs / 1000));
  const data = totalsOf(manifest).raw / 4_000_000;
  return Math.min(requestSeconds, Math.ceil(600 + data + (2 * startTimeoutMs) / 1000));
}

interface Wanted {
  /** The backup bucket. */
  readonly bucket: string;
  /** The key of the manifest. */
  readonly key: string;
  readonly manifest: Manifest;
  /** The manifest as it is stored: the host reads more of it than we do. */
  readonly stored: unknown;
  /** What of it; what it does not hold is left out. */
  readonly parts: readonly Part[];
}

/**
 * Puts the request that the restore document of an operation reads: the manifest, and addresses of what it promises, for the
 * host may read no backup. Signed by a session of its own: no address outlives the session, and that of the job may be nearly over.
 */
export async function putRequest(
  { bucket }: Pick<Services, 'bucket'>,
  operation: Operation,
  { bucket: backups, key, manifest, stored, parts }: Wanted,
): Promise<void> {
  const { s3 } = connect(operation).clients;
  const wanted = parts.filter((part) => holds(manifest, part));
  const urls = await Promise.all(
    promisedBy(only(manifest, wanted)).map(async ({ object }): Promise<[string, string]> => {
      const place = { bucket: backups, key: prefixOf(key) + object, seconds: requestSeconds };
      return [object, await presignRead(s3, place)];
    }),
  );
  const request = {
    ...{ schema: 1, manifest: stored, manifest_key: key, urls: Object.fromEntries(urls) },
    with: wanted,
  };
  const { app, environment, id } = operation;
  await bucket.create(`requests/${app}/${environment}/${id}.json`, toJson(request));
}

function holds(manifest: Manifest, part: Part): boolean {
  return part === 'databases' ? manifest.databases.length > 0 : manifest[part] !== null;
}

/** A manifest of nothing but some parts: no host gets an address of what it is not asked to restore. */
function only(manifest: Manifest, parts: readonly Part[]): Manifest {
  const { databases, files, code } = manifest;
  return {
    ...{ ...manifest, databases: parts.includes('databases') ? databases : [] },
    ...{ files: parts.includes('files') ? files : null, code: parts.includes('code') ? code : null },
  };
}
