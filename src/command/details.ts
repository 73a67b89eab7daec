import * as z from 'zod/mini';
import { type Bucket, sha256 } from '../aws/bucket.ts';
import { checkAnswer } from '../health/answer.ts';

const step = z.object({
  name: z.string(),
  started: z.number(),
  /** Null for a step that a dead operation was in. */
  ended: z.nullable(z.number()),
  ok: z.boolean(),
  note: z.optional(z.string()),
});

/** Of a restore: what was found on a level of the ladder of proof. */
export const level = z.object({
  level: z.int(),
  verdict: z.enum(['passed', 'failed', 'could-not-run']),
  ms: z.number(),
  evidence: z.string(),
});

const details = z.object({
  steps: z.prefault(z.array(step), []),
  checks: z.prefault(z.array(checkAnswer), []),
  log: z.prefault(z.array(z.string()), []),
  /** The versions of the parameters in Parameter Store, by name. */
  parameters: z.prefault(z.record(z.string(), z.number()), {}),
  levels: z.optional(z.array(level)),
  /** What became of a copy that a restore damaged on purpose; empty where it damaged none. */
  control: z.optional(z.string()),
});

export type Step = z.infer<typeof step>;
/** What a host tells beside its result line: the steps it took, the checks it asked, the release's last words. */
export type Details = z.infer<typeof details>;

/** Where a host writes its details. */
export function detailsKey(app: string, environment: string, operation: string, instance: string): string {
  return `results/${app}/${environment}/${operation}/${instance}.json`;
}

/**
 * Reads what a host wrote, if it is what its result line vouches for; undefined when there is nothing, or something
 * else: whoever can forge an object could not forge the line.
 * @param digest SHA-256 (hex) from the result line; empty when the host could write none
 */
export async function readDetails(bucket: Bucket, key: string, digest: string): Promise<Details | undefined> {
  if (digest === '') return undefined;
  const stored = await bucket.read(key);
  if (!stored || sha256(stored.bytes) !== digest) return undefined;
  return parseDetails(stored.bytes.toString('utf8'));
}

export function parseDetails(text: string): Details | undefined {
  try {
    return details.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
