import type { Bucket } from '../aws/bucket.ts';
import { readLedger, type Told } from './read.ts';

/** What an action, or one step of it, usually takes here, in seconds; undefined where the ledger does not know. */
export type Usual = (action: string, step?: string) => number | undefined;

/** So many of an action count: what it took lately. */
const counted = 5;

/** Reads the ledger of an environment once, whatever is asked afterwards. */
export async function readUsual(
  bucket: Pick<Bucket, 'list' | 'read'>,
  app: string,
  environment: string,
): Promise<Usual> {
  return usualIn(await readLedger(bucket, app, environment));
}

/** The median of the newest that ended well. */
export function usualIn(entries: readonly Told[]): Usual {
  return (action, step) => {
    const well = entries.filter((entry) => entry.action === action && entry.result === 'done');
    const took = well.flatMap(({ seconds, steps }) => (step === undefined ? seconds : (steps[step] ?? [])));
    return median(took.slice(0, counted));
  };
}

function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
