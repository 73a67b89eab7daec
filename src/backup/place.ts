import type { Bucket, ListedObject } from '../aws/bucket.ts';

/** The lifecycle rules of the bucket go by them. */
const tiers = ['daily', 'weekly', 'monthly'] as const;

/** How a manifest's key is made: `backups/<app>/<environment>/<tier>/<time>-<operation>/manifest.json`. */
const shape =
  /^(?<prefix>backups\/(?<app>[^/]+)\/(?<environment>[^/]+)\/(?<tier>daily|weekly|monthly)\/\d{8}T\d{6}Z-(?<operation>[^/]+)\/)manifest\.json$/;

export interface Place {
  /** Where its objects are, up to the last slash. */
  readonly prefix: string;
  readonly app: string;
  readonly environment: string;
  readonly tier: string;
  readonly operation: string;
}

/** Where the backup of a manifest's key is; undefined when it is no such key. */
export function placeOf(key: string): Place | undefined {
  const {
    prefix = '',
    app = '',
    environment = '',
    tier = '',
    operation = '',
  } = shape.exec(key)?.groups ?? {};
  return prefix === '' ? undefined : { prefix, app, environment, tier, operation };
}

/** Where an object of a backup is, up to the last slash of its key: beside it are the others. */
export const prefixOf = (key: string): string => key.slice(0, key.lastIndexOf('/') + 1);

/** When a host says that it began the backup of a manifest's key, in ms since the epoch; undefined when it is no such key. */
export function timeOf(key: string): number | undefined {
  const [, stamp = ''] = /\/(\d{8}T\d{6})Z-[^/]+\/manifest\.json$/.exec(key) ?? [];
  const time = Date.parse(stamp.replace(/^(....)(..)(..)T(..)(..)(..)$/, '$1-$2-$3T$4:$5:$6Z'));
  return Number.isNaN(time) ? undefined : time;
}

/** A backup as the bucket lists it, its manifest unread. */
export interface ListedBackup extends Place {
  /** The manifest's key. */
  readonly key: string;
  /** When S3 took the manifest, by its own clock: the newest is the one that was committed last (attack 18). */
  readonly committed: number;
  /** All its objects together, in bytes. */
  readonly size: number;
}

/** Every committed backup of an environment, the newest first. What has no manifest is none. */
export async function listBackups(
  bucket: Pick<Bucket, 'list'>,
  app: string,
  environment: string,
): Promise<ListedBackup[]> {
  const pages = await Promise.all(tiers.map((tier) => bucket.list(`backups/${app}/${environment}/${tier}/`)));
  const sizes = new Map<string, number>();
  for (const { key, size } of pages.flat()) {
    const prefix = prefixOf(key);
    sizes.set(prefix, (sizes.get(prefix) ?? 0) + size);
  }
  return pages
    .flat()
    .flatMap((object) => toListed(object, sizes))
    .sort((a, b) => b.committed - a.committed);
}

function toListed({ key, lastModified }: ListedObject, sizes: ReadonlyMap<string, number>): ListedBackup[] {
  const place = placeOf(key);
  return place ? [{ ...place, key, committed: lastModified, size: sizes.get(place.prefix) ?? 0 }] : [];
}

/**
 * The key of the newest manifest that a drill proved, of those that were made before a time in ms; undefined when there is
 * none. Newest is what a host began last: a drill may prove an older one later. Its clock was right, or it were not proven.
 */
export async function findProven(
  bucket: Pick<Bucket, 'list'>,
  app: string,
  environment: string,
  before = Number.POSITIVE_INFINITY,
): Promise<string | undefined> {
  const proven = await bucket.list(`proven/${app}/${environment}/`);
  const made = proven
    .map(({ key }) => ({ key, time: timeOf(key) ?? before }))
    .filter(({ time }) => time < before);
  return made.sort((a, b) => b.time - a.time)[0]?.key;
}
