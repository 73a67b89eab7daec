import * as z from 'zod/mini';
import type { Bucket } from '../aws/bucket.ts';

const told = z.object({
  action: z.string(),
  result: z.string(),
  seconds: z.number(),
  steps: z.prefault(z.record(z.string(), z.number()), {}),
});

type Told = z.infer<typeof told>;

/** What an action, or one step of it, usually takes here, in seconds; undefined where the ledger does not know. */
export type Usual = (action: string, step?: string) => number | undefined;

/** So many entries are read, and of an action so many count: what it took lately. */
const most = { entries: 40, counted: 5 } as const;

/** Reads the newest entries of an environment once, whatever is asked of them afterwards: a median of those that ended well. */
export async function readUsual(
  bucket: Pick<Bucket, 'list' | 'read'>,
  app: string,
  environment: string,
): Promise<Usual> {
  const listed = await bucket.list(`ledger/${app}/${environment}/`);
  const newest = listed.slice(-most.entries).toReversed();
  const stored = await Promise.all(newest.map(({ key }) => bucket.read(key)));
  const entries = stored.flatMap((one) => parse(one?.bytes.toString('utf8') ?? ''));
  return (action, step) => {
    const well = entries.filter((entry) => entry.action === action && entry.result === 'done');
    const took = well.flatMap(({ seconds, steps }) => (step === undefined ? seconds : (steps[step] ?? [])));
    return median(took.slice(0, most.counted));
  };
}

/** What an action usually takes here, for one who asks of one alone: see `readUsual`. */
export async function usualSeconds(
  bucket: Pick<Bucket, 'list' | 'read'>,
  app: string,
  environment: string,
  action: string,
): Promise<number | undefined> {
  return (await readUsual(bucket, app, environment))(action);
}

function parse(text: string): Told[] {
  try {
    return [told.parse(JSON.parse(text))];
  } catch {
    return []; // of another version, or not ours: a plan does without it
  }
}

function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
