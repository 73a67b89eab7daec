import { ConfigurationError, messageOf, OperationError } from '../action/errors.ts';
import { inSpan } from '../action/log.ts';
import type { Bucket } from '../aws/bucket.ts';
import { findObjectProblem } from '../backup/confirm.ts';
import { type Manifest, parseManifest, promisedBy } from '../backup/manifest.ts';
import { listBackups, prefixOf, timeOf } from '../backup/place.ts';

/** A backup that one can go back to, its manifest unread. */
export interface Candidate {
  /** The key of its manifest: of a proven one that in `proven/`, which no lifecycle ends. */
  readonly key: string;
  /** When the bucket took it, or of one that is left in `proven/` alone when its host began it; ms since the epoch. */
  readonly time: number;
  readonly proven: boolean;
}

/** What was asked for: a manifest's key, `newest`, or how old it must be at least in ms; proven ones first, but of `newest`. */
export type Wish = { readonly key: string } | { readonly newest: true } | { readonly ageMs: number };

const units = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * What the input `to` means of backups.
 * @throws ConfigurationError
 */
export function readWish(to: string | undefined): Wish {
  if (to === undefined || to === 'newest-proven') return { ageMs: 0 };
  if (to === 'newest') return { newest: true };
  const [, count = '', unit = 'm'] = /^([1-9]\d{0,3})([mhd])-ago$/.exec(to) ?? [];
  if (count !== '') return { ageMs: Number(count) * units[unit as keyof typeof units] };
  const key = to.replace(/^s3:\/\/[^/]+\//, '');
  if (/^(backups|proven)\/[A-Za-z0-9/._-]+\/manifest\.json$/.test(key)) return { key };
  throw new ConfigurationError({
    where: 'input to',
    what: `It must be newest-proven, newest, an age such as 24h-ago, or the key of a manifest, not ${JSON.stringify(to)}.`,
    how: 'Example: to: 24h-ago',
  });
}

/** Every backup of an environment that one can go back to, the newest first. */
export async function listCandidates(
  bucket: Pick<Bucket, 'list'>,
  app: string,
  environment: string,
): Promise<Candidate[]> {
  const [listed, proven] = await Promise.all([
    listBackups(bucket, app, environment),
    bucket.list(`proven/${app}/${environment}/`),
  ]);
  const found = new Map<string, Candidate>();
  for (const { key } of proven) {
    const time = timeOf(key);
    if (time !== undefined) found.set(nameOf(key), { key, time, proven: true });
  }
  for (const { key, committed } of listed) {
    const copy = found.get(nameOf(key));
    found.set(nameOf(key), { key, proven: false, ...copy, time: committed });
  }
  return [...found.values()].sort((a, b) => b.time - a.time);
}

/** The folder of a backup, which names it also where it was copied to. */
const nameOf = (key: string): string => key.split('/').at(-2) ?? '';

/** The one that a wish means; undefined when there is none. */
export function choose(candidates: readonly Candidate[], wish: Wish, now: number): Candidate | undefined {
  if ('key' in wish) return candidates.find(({ key }) => nameOf(key) === nameOf(wish.key));
  if ('newest' in wish) return candidates[0];
  const old = candidates.filter(({ time }) => now - time >= wish.ageMs);
  return old.find(({ proven }) => proven) ?? old[0];
}

/** So many manifests are read for the backup of a release. */
const mostRead = 40;

/** The newest proven backup of a release with its code, else the newest. */
export async function findBackupOf(
  bucket: Pick<Bucket, 'read'>,
  candidates: readonly Candidate[],
  release: string,
): Promise<Candidate | undefined> {
  const read = await Promise.all(
    candidates.slice(0, mostRead).map(async (candidate) => {
      const text = (await bucket.read(candidate.key))?.bytes.toString('utf8') ?? '';
      return isOf(release, text) ? [candidate] : [];
    }),
  );
  const own = read.flat();
  return own.find(({ proven }) => proven) ?? own[0];
}

function isOf(release: string, text: string): boolean {
  try {
    const manifest = parseManifest(text);
    return manifest.release === release && manifest.code !== null;
  } catch {
    return false;
  }
}

/** What to know of the choice: that it is not proven, or that a newer one is there which is not. */
export function remarkOn(
  chosen: Candidate,
  candidates: readonly Candidate[],
  wish: Wish,
): string | undefined {
  if (!chosen.proven) return 'No drill has proven it.';
  const newer = candidates.find(({ time, proven }) => time > chosen.time && !proven);
  if (!newer || 'key' in wish || ('ageMs' in wish && wish.ageMs > 0)) return undefined;
  return `A newer one, which no drill has proven, would lose ${inSpan(newer.time - chosen.time)} less: ${newer.key}.`;
}

/** A backup that was chosen, read and found whole. */
export interface Backup extends Candidate {
  readonly manifest: Manifest;
  /** The manifest as it is stored. */
  readonly stored: unknown;
}

/**
 * Reads a backup's manifest, and sees that every object is there as it promises.
 * @throws OperationError when it is not whole, or another's
 */
export async function openBackup(
  bucket: Pick<Bucket, 'name' | 'read' | 'describe'>,
  candidate: Candidate,
  { app, environment }: { readonly app: string; readonly environment: string },
): Promise<Backup> {
  const { key } = candidate;
  const text = (await bucket.read(key))?.bytes.toString('utf8') ?? '';
  let manifest: Manifest;
  try {
    manifest = parseManifest(text);
  } catch (error) {
    throw unusable(`${key} is no manifest of this version: ${messageOf(error)}.`);
  }
  if (manifest.app !== app || manifest.environment !== environment)
    throw unusable(`${key} is of ${manifest.app} in ${manifest.environment}.`);
  const problem = await findObjectProblem(bucket, prefixOf(key), promisedBy(manifest));
  if (problem) throw unusable(problem);
  return { ...candidate, manifest, stored: JSON.parse(text) as unknown };
}

function unusable(happened: string): OperationError {
  return new OperationError({
    reason: 'no-backup',
    happened,
    stateNow: 'Nothing was changed.',
    todo: 'Choose another one: the plan (plan: true) lists them.',
  });
}

export function noSuchBackup(bucket: string, wish: Wish): OperationError {
  const old = 'ageMs' in wish && wish.ageMs > 0 ? ` that is ${inSpan(wish.ageMs)} old` : '';
  const which = 'key' in wish ? ` that is called ${wish.key}` : old;
  return new OperationError({
    reason: 'no-backup',
    happened: `There is no backup in ${bucket}${which}.`,
    stateNow: 'Nothing was changed.',
    todo: 'Choose another one: the plan (plan: true) lists them. See that `backups` in understudy.yml names the right bucket.',
  });
}
