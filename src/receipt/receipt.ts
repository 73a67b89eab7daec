import * as z from 'zod/mini';
import { type Bucket, toJson } from '../aws/bucket.ts';
import { compactTime } from '../aws/time.ts';

/** A proof that a release was healthy in an environment at a time. */
export interface Receipt {
  readonly app: string;
  readonly environment: string;
  readonly commit: string;
  readonly release: string;
  readonly operation: string;
  readonly instances: readonly string[];
  /** Which version of each parameter it ran with, by instance and name. */
  readonly parameters: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** ms since the epoch, by S3's clock: from when, and until when, it was seen healthy. */
  readonly from: number;
  readonly until: number;
}

/** What a receipt is about, by its key. */
export type Subject = Pick<Receipt, 'app' | 'environment' | 'commit' | 'release'>;

const folderOf = ({ app, environment, commit, release }: Subject): string =>
  `receipts/${app}/${environment}/${commit}/${release}/`;

/** Writes a receipt that nothing overwrites. Gives its key. */
export async function writeReceipt(bucket: Bucket, receipt: Receipt): Promise<string> {
  const { from, until } = receipt;
  const key = `${folderOf(receipt)}${compactTime(until)}.json`;
  const [healthyFrom, healthyUntil] = [new Date(from).toISOString(), new Date(until).toISOString()];
  await bucket.create(key, toJson({ schema: 1, ...receipt, from: healthyFrom, until: healthyUntil }));
  return key;
}

const written = z.object({
  schema: z.literal(1),
  app: z.string(),
  environment: z.string(),
  commit: z.string(),
  release: z.string(),
  operation: z.string(),
  instances: z.array(z.string()),
  until: z.string(),
});

/** A receipt as it lies in its bucket. */
export interface FoundReceipt {
  readonly key: string;
  /** Undefined where it is not one that this version reads. */
  readonly receipt: z.infer<typeof written> | undefined;
  /** When S3 took it, by its own clock, in ms since the epoch. */
  readonly taken: number;
}

/** The newest receipt of a release, by S3's clock; undefined where there is none. */
export async function findReceipt(
  bucket: Pick<Bucket, 'list' | 'read'>,
  subject: Subject,
): Promise<FoundReceipt | undefined> {
  const listed = await bucket.list(folderOf(subject));
  const newest = listed.toSorted((a, b) => b.lastModified - a.lastModified)[0];
  if (!newest) return undefined;
  const stored = await bucket.read(newest.key);
  const parsed = z.safeParse(written, parseJson(stored?.bytes.toString('utf8') ?? ''));
  return {
    key: newest.key,
    receipt: parsed.success ? parsed.data : undefined,
    taken: newest.lastModified,
  };
}

/** The clocks of S3 as two answers tell it; a receipt names the moment before it is stored. */
const skewMs = 15 * 60_000;

/**
 * What is wrong with a receipt: with one that was copied from elsewhere, or written by hand. Undefined when nothing is.
 * @param instances those that must have seen it
 */
export function receiptProblem(
  { key, receipt, taken }: FoundReceipt,
  subject: Subject,
  instances: readonly string[],
): string | undefined {
  if (!receipt) return `${key} is no receipt of this version`;
  const names = ['app', 'environment', 'commit', 'release'] as const;
  const foreign = names.find((name) => receipt[name] !== subject[name]);
  if (foreign) return `${key} says ${foreign} ${receipt[foreign]}, not ${subject[foreign]}`;
  const until = Date.parse(receipt.until);
  if (Number.isNaN(until) || key !== `${folderOf(subject)}${compactTime(until)}.json`)
    return `${key} says that it is of ${receipt.until}, which is not the time of its key`;
  if (Math.abs(taken - until) > skewMs)
    return `${key} says that it is of ${receipt.until}, and S3 took it at ${new Date(taken).toISOString()}`;
  const unseen = instances.find((instance) => !receipt.instances.includes(instance));
  return unseen && `${key} does not tell of ${unseen}, which is there now`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
