import type { Bucket } from '../aws/bucket.ts';
import { findObjectProblem } from '../backup/confirm.ts';
import { type Manifest, promisedBy } from '../backup/manifest.ts';
import { placeOf } from '../backup/place.ts';

/**
 * Copies a backup that a drill has restored to where no lifecycle ends it and no host comes, the manifest last; nothing
 * is done where it is there already. Gives the key of the manifest there.
 *
 * @throws Error when a copy is not what the manifest promises
 */
export async function keepProven(
  bucket: Pick<Bucket, 'copy' | 'describe'>,
  key: string,
  manifest: Manifest,
): Promise<string> {
  const from = placeOf(key)?.prefix ?? '';
  const name = from.split('/').at(-2) ?? '';
  const to = `proven/${manifest.app}/${manifest.environment}/${name}/`;
  if (await bucket.describe(`${to}manifest.json`)) return `${to}manifest.json`;
  for (const { object } of promisedBy(manifest)) await bucket.copy(from + object, to + object);
  const problem = await findObjectProblem(bucket, to, promisedBy(manifest));
  if (problem) throw new Error(problem);
  await bucket.copy(key, `${to}manifest.json`);
  return `${to}manifest.json`;
}
