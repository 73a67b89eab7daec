import * as z from 'zod/mini';
import type { Bucket } from '../aws/bucket.ts';

const told = z.object({
  action: z.string(),
  /** The address of its run on GitHub. */
  run: z.string(),
  time: z.string(),
  result: z.string(),
  seconds: z.number(),
  release: z.optional(z.string()),
  commit: z.optional(z.string()),
  steps: z.prefault(z.record(z.string(), z.number()), {}),
  instances: z.prefault(z.array(z.object({ previous: z.optional(z.string()) })), []),
});

/** What others want to know of an entry. */
export type Told = z.infer<typeof told>;

/** So many entries are read: one call each. */
const most = 40;
/** A run has seldom more than one of them, and never many. */
const fewest = 5;

/** The newest entries of an environment, the newest first; what is no entry of this version is passed over. */
export async function readLedger(
  bucket: Pick<Bucket, 'list' | 'read'>,
  app: string,
  environment: string,
): Promise<Told[]> {
  const listed = await bucket.list(`ledger/${app}/${environment}/`);
  const newest = listed.slice(-most).toReversed();
  const stored = await Promise.all(newest.map(({ key }) => bucket.read(key)));
  return stored.flatMap((one) => parse(one?.bytes.toString('utf8') ?? ''));
}

/** The newest entry that is not of a run itself; undefined where there is none among the last few. */
export async function readBefore(
  bucket: Pick<Bucket, 'list' | 'read'>,
  app: string,
  environment: string,
  run: string,
): Promise<Told | undefined> {
  const listed = await bucket.list(`ledger/${app}/${environment}/`);
  for (const { key } of listed.slice(-fewest).toReversed()) {
    const [entry] = parse((await bucket.read(key))?.bytes.toString('utf8') ?? '');
    if (entry && entry.run !== run) return entry;
  }
  return undefined;
}

function parse(text: string): Told[] {
  try {
    return [told.parse(JSON.parse(text))];
  } catch {
    return [];
  }
}
