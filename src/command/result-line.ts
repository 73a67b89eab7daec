import * as z from 'zod/mini';
import { isOutcome, type Outcome } from '../action/outcomes.ts';
import { isReason, type Reason } from '../action/reasons.ts';

/** What begins the line of the result, the first on stdout. */
const mark = 'UNDERSTUDY_RESULT ';

const short = z.string().check(z.maxLength(2500));

const line = z.object({
  schema: z.literal(1),
  action: short,
  operation: short,
  result: short.check(z.refine(isOutcome)),
  reason: short.check(z.refine(isReason)),
  /** Missing where the host has no settings that would tell it. */
  instance: z.optional(short),
  release: z.optional(short),
  previous: z.optional(short),
  met: z.optional(z.boolean()),
  healthy: z.optional(z.boolean()),
  wait_ms: z.optional(z.number()),
  down_ms: z.optional(z.number()),
  sentence: z.optional(short),
  details: z.optional(z.string().check(z.regex(/^([0-9a-f]{64})?$/))),
  /** Of a backup: the key of its manifest, and the bucket. */
  manifest: z.optional(short),
  bucket: z.optional(short),
});

const hexDigest = z.string().check(z.regex(/^[0-9a-f]{64}$/));

/** For how long a release was healthy there, without a gap, a restart or a failed check: its latest span. */
const soak = z.object({
  release: hexDigest,
  /** Seconds since the epoch, by the host's clock; both 0 where it was never seen. */
  from: z.number(),
  until: z.number(),
  seconds: z.number(),
  minutes: z.number(),
  /** By what the span ended; `live`: it goes on. */
  ended: z.enum(['live', 'replaced', 'gap', 'restart', 'check', 'none']),
});

/** A release on the host that was live there before. */
const kept = z.object({
  release: hexDigest,
  commit: short,
  /** When it was deployed last, in ms since the epoch. */
  deployed: z.number(),
  /** Whether the live data has the schema that it ran on last. */
  fits: z.boolean(),
});

const state = z.object({
  live: z.optional(z.string()),
  commit: z.optional(z.string()),
  /** The whole id of the live release. */
  digest: z.optional(z.string().check(z.regex(/^([0-9a-f]{64})?$/))),
  healthy: z.optional(z.boolean()),
  running: z.optional(z.string()),
  soak: z.optional(soak),
  /** The host's clock when it told of the soak, in seconds since the epoch. */
  now: z.optional(z.number()),
  /** The newest four, newest first. */
  kept: z.optional(z.array(kept)),
  /** Of all tables of the live databases; null where they could not be read. */
  rows: z.optional(z.nullable(z.number())),
  about: z.optional(
    z.nullable(
      z.object({
        operation: z.optional(z.string()),
        state: z.optional(z.enum(['running', 'ended', 'interrupted', 'unknown'])),
        step: z.optional(z.string()),
        result: z.optional(z.unknown()),
      }),
    ),
  ),
});

/** What a host's script says of its run. */
export type HostResult = Omit<z.infer<typeof line>, 'result' | 'reason'> & {
  readonly result: Outcome;
  readonly reason: Reason;
};

/** What `probe` says of a host, beside whether it could say so. */
export type HostState = HostResult & z.infer<typeof state>;

/**
 * The result that a host printed, or undefined when it printed none, or one that was cut (ListCommandInvocations
 * gives 2,500 characters) or garbled: then nothing may be concluded.
 */
export function readResultLine(output: string): HostResult | undefined {
  return toHostResult(findObject(output));
}

/** A value as a host's result, if it is one. */
export function toHostResult(value: unknown): HostResult | undefined {
  const parsed = line.safeParse(value);
  return parsed.success ? (parsed.data as HostResult) : undefined;
}

/** The state in the result line of a probe. */
export function readState(output: string): HostState | undefined {
  const parsed = z.extend(line, state.shape).safeParse(findObject(output));
  return parsed.success ? (parsed.data as HostState) : undefined;
}

function findObject(output: string): unknown {
  const found = output.split('\n').find((text) => text.startsWith(mark));
  if (found === undefined) return undefined;
  try {
    return JSON.parse(found.slice(mark.length));
  } catch {
    return undefined;
  }
}
