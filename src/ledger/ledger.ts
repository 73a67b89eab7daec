import { ulid } from 'ulid';
import { type Bucket, toJson } from '../aws/bucket.ts';

/** One line of the history of an environment; never changed once written. */
export interface Entry {
  readonly schema: 1;
  readonly time: string;
  readonly operation: string;
  readonly action: string;
  readonly app: string;
  readonly environment: string;
  readonly actor: string;
  readonly run: string;
  readonly result: string;
  readonly reason: string;
  readonly sentence: string;
  /** The release that was to be live, and its commit; absent where none was to be. */
  readonly release?: string;
  readonly commit?: string;
  readonly seconds: number;
  /** What the steps on its hosts took, in seconds: of several hosts, the slowest. */
  readonly steps?: Readonly<Record<string, number>>;
  readonly instances: readonly {
    readonly instance: string;
    readonly result: string;
    readonly reason: string;
    /** Which version of each parameter the release ran with there, where its host told. */
    readonly parameters?: Readonly<Record<string, number>>;
    /** The key of the manifest of its backup, where it made one. */
    readonly manifest?: string;
    /** The first 12 digits of the release that was live there before, where another is since. */
    readonly previous?: string;
  }[];
}

/** Appends an entry. Its key sorts by S3's time. Gives the key. */
export async function appendEntry(bucket: Bucket, entry: Omit<Entry, 'schema' | 'time'>): Promise<string> {
  const time = bucket.now();
  const key = `ledger/${entry.app}/${entry.environment}/${ulid(time)}.json`;
  const written: Entry = { schema: 1, time: new Date(time).toISOString(), ...entry };
  // A key of 80 random bits that is taken was taken by us: the answer to a first try was lost.
  await bucket.create(key, toJson(written));
  return key;
}
