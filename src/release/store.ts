import * as z from 'zod/mini';
import { OperationError, sentenceOf } from '../action/errors.ts';
import { type Bucket, toJson } from '../aws/bucket.ts';

/** A release as the build job hands it on. */
export interface BuiltRelease {
  /** SHA-256 of the archive, 64 hexadecimal digits. */
  readonly id: string;
  /** 40 hexadecimal digits. */
  readonly commit: string;
  /** The archive, and how many bytes it has. */
  readonly path: string;
  readonly size: number;
}

/** Which release of a commit is to be deployed. */
export interface StoredRelease {
  readonly id: string;
  /** `first`: ours is the first build of its commit. `again`: it was stored before. `earlier`: an earlier build wins. */
  readonly build: 'first' | 'again' | 'earlier';
}

const pointer = z.object({ schema: z.literal(1), release: z.string().check(z.regex(/^[0-9a-f]{64}$/)) });

export function archiveKey(app: string, environment: string, id: string): string {
  return `releases/${app}/${environment}/${id}.tar.gz`;
}

export function commitKey(app: string, commit: string): string {
  return `commits/${app}/${commit}.json`;
}

/**
 * Stores a release. Builds of one commit differ in their bytes, so the first one that was stored is the commit's
 * release for ever, and a re-run deploys that one. Nothing is ever overwritten.
 */
export async function storeRelease(
  bucket: Bucket,
  app: string,
  environment: string,
  built: BuiltRelease,
  /** Tells the first build of its commit as far as is known: what is written meanwhile is met all the same. */
  findFirst = () => firstBuildOf(bucket, app, built.commit),
): Promise<StoredRelease> {
  try {
    return await storeFirst(bucket, { app, environment, first: await findFirst() }, built);
  } catch (error) {
    if (error instanceof OperationError) throw error;
    const why = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    const happened = sentenceOf(`The bucket ${bucket.name} did not take the release: ${why}`);
    throw storeFailed(happened, runAgain, error);
  }
}

async function storeFirst(
  bucket: Bucket,
  { app, environment, first }: { app: string; environment: string; first: string | undefined },
  built: BuiltRelease,
): Promise<StoredRelease> {
  if (first && first !== built.id) {
    await requireArchive(bucket, app, environment, first, built.commit);
    return { id: first, build: 'earlier' };
  }
  // Where nobody knows the commit yet, its archive is there only if an attempt was cut off: what is there is not overwritten.
  if (!first || !(await isStored(bucket, archiveKey(app, environment, built.id), built.id)))
    await putArchive(bucket, app, environment, built);
  if (first) return { id: built.id, build: 'again' };
  const written = toJson({ schema: 1, release: built.id });
  if (await bucket.create(commitKey(app, built.commit), written)) return { id: built.id, build: 'first' };
  // Taken meanwhile: by another build, or by ourselves with the answer lost. What it says decides.
  const winner = await firstBuildOf(bucket, app, built.commit);
  if (winner === built.id) return { id: built.id, build: 'first' };
  return { id: await requireArchive(bucket, app, environment, winner ?? '', built.commit), build: 'earlier' };
}

/** The release of a commit, which its first build is for ever; undefined where none was stored. */
export async function firstBuildOf(
  bucket: Pick<Bucket, 'read'>,
  app: string,
  commit: string,
): Promise<string | undefined> {
  const key = commitKey(app, commit);
  const stored = await bucket.read(key);
  if (!stored) return undefined;
  try {
    return pointer.parse(JSON.parse(stored.bytes.toString('utf8'))).release;
  } catch (cause) {
    throw storeFailed(`The object ${key} is not one that this version reads.`, pushAnother, cause);
  }
}

async function requireArchive(
  bucket: Bucket,
  app: string,
  environment: string,
  id: string,
  commit: string,
): Promise<string> {
  if (await bucket.describe(archiveKey(app, environment, id))) return id;
  throw storeFailed(
    `The first build of commit ${commit.slice(0, 12)} was release ${id.slice(0, 12)}, which is not in ${environment} any more.`,
    pushAnother,
  );
}

async function putArchive(
  bucket: Bucket,
  app: string,
  environment: string,
  { id, path, size }: BuiltRelease,
): Promise<void> {
  const key = archiveKey(app, environment, id);
  if (await bucket.create(key, { path, size, sha256: id })) return;
  if (!(await isStored(bucket, key, id)))
    throw storeFailed(`The object ${key} was there, and is not.`, runAgain);
}

/** S3 keeps the digest of what was put with one; an object without it is checked by the host, as each is. */
async function isStored(bucket: Bucket, key: string, id: string): Promise<boolean> {
  const there = await bucket.describe(key);
  if (there?.sha256 !== undefined && there.sha256 !== id) {
    throw storeFailed(`The object ${key} holds other bytes than its name promises.`, pushAnother);
  }
  return there !== undefined;
}

const runAgain = 'Look at the bucket, and at what the role may do in it; then run this job again.';
/** Nothing is overwritten, so a re-run meets the same. */
const pushAnother =
  'Running this job again cannot mend it: push a new commit, and find out who changed the bucket.';

function storeFailed(happened: string, todo: string, cause?: unknown): OperationError {
  return new OperationError({
    reason: 'store-failed',
    happened,
    stateNow:
      'No host was asked for anything; the archive may be in the bucket already, which makes nothing live.',
    todo,
    cause,
  });
}
