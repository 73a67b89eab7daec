import { messageOf } from '../action/errors.ts';
import type { Bucket } from '../aws/bucket.ts';
import { type Manifest, type Promised, parseManifest, promisedBy } from './manifest.ts';
import { placeOf } from './place.ts';

/** Whose backup it must be. */
export interface Owner {
  readonly app: string;
  readonly environment: string;
  readonly operation: string;
  readonly instance: string;
}

/** A backup that is in the bucket as its manifest says, or what is wrong with it, in a sentence. */
export type Confirmation =
  | {
      readonly confirmed: true;
      readonly key: string;
      readonly manifest: Manifest;
      readonly committed: number;
    }
  | { readonly confirmed: false; readonly problem: string };

/** S3's clock and the host's may differ by so much; a backup that is dated wrongly would be taken for another's age. */
const skewMs = 15 * 60_000;

/**
 * Sees for itself that a backup is stored: its manifest is read from the bucket, and every object that it promises is there
 * with that size and SHA-256, as S3 keeps them. What a host says of it counts for nothing here.
 */
export async function confirmBackup(
  bucket: Pick<Bucket, 'name' | 'read' | 'describe'>,
  key: string,
  owner: Owner,
): Promise<Confirmation> {
  const found = await readCommitted(bucket, key, owner);
  if (!found.confirmed) return found;
  const problem = await findObjectProblem(bucket, placeOf(key)?.prefix ?? '', promisedBy(found.manifest));
  return problem ? bad(problem) : found;
}

/** Reads the manifest of a backup, and sees that it is what it should be where it lies; its objects are not looked at. */
export async function readCommitted(
  bucket: Pick<Bucket, 'name' | 'read'>,
  key: string,
  owner: Omit<Owner, 'instance'> & Partial<Owner>,
): Promise<Confirmation> {
  const place = placeOf(key);
  const foreign = place ? ownerProblem(key, place, owner) : `${key} is no place for a manifest.`;
  if (!place || foreign) return bad(foreign ?? '');
  const stored = await bucket.read(key);
  if (!stored) return bad(`There is no ${key} in ${bucket.name}.`);
  let manifest: Manifest;
  try {
    manifest = parseManifest(stored.bytes.toString('utf8'));
  } catch (error) {
    return bad(`${key} is no manifest of this version: ${messageOf(error)}.`);
  }
  const problem =
    ownerProblem('The manifest', manifest, owner) ??
    (manifest.instance === (owner.instance ?? manifest.instance)
      ? undefined
      : `The manifest is of ${manifest.instance}.`) ??
    (manifest.tier === place.tier
      ? undefined
      : `The manifest of tier ${manifest.tier} lies in ${place.tier}.`) ??
    clockProblem(manifest, stored.lastModified);
  return problem ? bad(problem) : { confirmed: true, key, manifest, committed: stored.lastModified };
}

const bad = (problem: string): Confirmation => ({ confirmed: false, problem });

function ownerProblem(
  what: string,
  said: Pick<Owner, 'app' | 'environment' | 'operation'>,
  { app, environment, operation }: Omit<Owner, 'instance'>,
): string | undefined {
  if (said.app === app && said.environment === environment && said.operation === operation) return undefined;
  return `${what} is of ${said.operation} for ${said.app} in ${said.environment}, not of ${operation} for ${app} in ${environment}.`;
}

function clockProblem({ ended }: Manifest, committed: number): string | undefined {
  const apart = Math.round(Math.abs(committed - ended) / 60_000);
  if (Math.abs(committed - ended) <= skewMs) return undefined;
  const when = new Date(ended).toISOString();
  return `The host says that it ended at ${when}, ${apart} minutes ${ended > committed ? 'after' : 'before'} S3 took the manifest: its clock is wrong.`;
}

/** What is wrong with the objects below a prefix, as S3 keeps them; undefined when they are all as promised. */
export async function findObjectProblem(
  bucket: Pick<Bucket, 'describe'>,
  prefix: string,
  promised: readonly Promised[],
): Promise<string | undefined> {
  const problems = await Promise.all(
    promised.map(async ({ object, size, sha256 }) => {
      const found = await bucket.describe(prefix + object);
      if (!found) return `The manifest promises ${object}, and there is no ${prefix}${object}.`;
      if (found.size !== size)
        return `${prefix}${object} has ${found.size} bytes; its manifest promises ${size}.`;
      if (found.sha256 === undefined)
        return `S3 keeps no SHA-256 of ${prefix}${object}, so nothing shows that it is what was sent.`;
      if (found.sha256 !== sha256)
        return `${prefix}${object} has the SHA-256 ${found.sha256}; its manifest promises ${sha256}.`;
      return undefined;
    }),
  );
  return problems.find((problem) => problem !== undefined);
}
