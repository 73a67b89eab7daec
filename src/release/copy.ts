import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { OperationError } from '../action/errors.ts';
import { explain } from '../action/reasons.ts';
import { tryThrice } from '../action/tries.ts';
import type { Bucket } from '../aws/bucket.ts';

/** An archive that was fetched, and is what its name promises. */
interface Fetched {
  readonly path: string;
  readonly size: number;
}

/**
 * Fetches the archive of a release into a file, and takes its digest on the way.
 *
 * @throws OperationError when it is not there, or its bytes are not those of its id
 */
export async function fetchArchive(
  bucket: Pick<Bucket, 'name' | 'open'>,
  key: string,
  id: string,
  path: string,
): Promise<Fetched> {
  // A body that breaks off is asked for anew: the SDK does not do that.
  const { digest, size } = await tryThrice(
    () => fetchOnce(bucket, key, path),
    (error) => error instanceof OperationError,
  );
  if (digest === id) return { path, size };
  throw new OperationError({
    reason: 'bad-digest',
    happened: `The object ${key} in ${bucket.name} has the SHA-256 ${digest}, not ${id}.`,
    stateNow: 'Nothing was changed.',
    todo: explain('bad-digest').todo,
  });
}

async function fetchOnce(
  bucket: Pick<Bucket, 'name' | 'open'>,
  key: string,
  path: string,
): Promise<{ digest: string; size: number }> {
  const body = await bucket.open(key);
  if (!body) throw missing(bucket, key);
  const hash = createHash('sha256');
  let size = 0;
  const taken = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      hash.update(chunk);
      size += chunk.length;
      yield chunk;
    }
  };
  await pipeline(body, taken, createWriteStream(path));
  return { digest: hash.digest('hex'), size };
}

function missing({ name }: Pick<Bucket, 'name'>, key: string): OperationError {
  return new OperationError({
    reason: 'never-on-staging',
    happened: `There is no ${key} in ${name}: the release is not there any more.`,
    stateNow: 'Nothing was changed.',
    todo: 'Deploy the commit to staging again; promote it when it has soaked.',
  });
}
