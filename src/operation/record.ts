import { messageOf } from '../action/errors.ts';
import type { Job } from '../action/job.ts';
import { warn } from '../action/log.ts';
import { type Result, succeeded } from '../action/result.ts';
import { resultOfError } from '../action/run.ts';
import { code, link } from '../action/summary.ts';
import { tellFailedCall } from '../aws/errors.ts';
import { appendEntry } from '../ledger/ledger.ts';
import { readBefore } from '../ledger/read.ts';
import { writeReceipt } from '../receipt/receipt.ts';
import type { Judged } from './judge.ts';
import type { Work } from './operation.ts';
import type { Report } from './report.ts';
import type { Told } from './summary.ts';

/**
 * Writes the ledger, and a receipt of a healthy release. The truth is on the host: without them it is only unproven.
 * What is not over yet is for post to record: the ledger has one entry an operation.
 */
export async function record(
  work: Work,
  judged: Judged,
  { actor, runUrl }: Pick<Job, 'actor' | 'runUrl'>,
  /** Without facts it is a part of another operation, whose own summary links to what was before. */
  { started, facts }: Pick<Report, 'started'> & Partial<Pick<Report, 'facts'>>,
  /** Seconds of parts that are no host's steps. */
  parts: Readonly<Record<string, number>> = {},
): Promise<void> {
  const { services, operation, release } = work;
  const { bucket } = services;
  const { app, environment, id, action } = operation;
  const { result, reason, sentence } = judged.result;
  const until = bucket.now();
  if (judged.open && !judged.tookBack) return;
  try {
    if (facts) await linkBefore(work, runUrl, facts);
    await appendEntry(bucket, {
      ...{ operation: id, action, app, environment, actor, run: runUrl },
      ...{ result, reason, sentence, ...(release && { release: release.id, commit: release.commit }) },
      seconds: Math.round((services.now() - started) / 1000),
      steps: { ...slowestOf(judged.instances), ...parts },
      instances: judged.instances.map(({ instance, result, reason, more, manifest, previous }) => ({
        ...{ instance, result, reason },
        ...(more && { parameters: more.parameters }),
        ...(manifest !== undefined && { manifest }),
        ...(previous !== '' && { previous }),
      })),
    });
    if (!release?.commit || !succeeded(judged.result)) return;
    await writeReceipt(bucket, {
      ...{ app, environment, commit: release.commit, release: release.id, operation: id },
      ...{ instances: judged.instances.map(({ instance }) => instance), from: until, until },
      parameters: Object.fromEntries(
        judged.instances.flatMap(({ instance, more }) => (more ? [[instance, more.parameters]] : [])),
      ),
    });
  } catch (error) {
    const missing = release
      ? 'The ledger or the receipt could not be written, so a promotion will lack its proof'
      : 'The ledger could not be written';
    warn(`${missing}: ${messageOf(error)}`);
  }
}

/** So that who reads a summary can go on to what was done before it. */
async function linkBefore(
  { services, operation }: Work,
  runUrl: string,
  facts: Report['facts'],
): Promise<void> {
  const { app, environment } = operation;
  // A summary without it is better than none.
  const before = await readBefore(services.bucket, app, environment, runUrl).catch(() => undefined);
  if (!before) return;
  const when = `${before.time.slice(0, 19)}Z`;
  facts.push(['Operation before', `${link(before.run, code(before.action))}, ${before.result}, ${when}`]);
}

interface Ended extends Pick<Work, 'services' | 'operation' | 'release'> {
  readonly job: Pick<Job, 'actor' | 'runUrl'>;
  /** By the steady clock, ms. */
  readonly started: number;
}

/** Writes the ledger of an operation that an error ended before any host was at work: what was refused belongs there too. */
export function recordError(ended: Ended, error: unknown): Promise<void> {
  return recordEnd(ended, resultOfError(tellFailedCall(error)));
}

/** Writes the ledger of an operation that asked no host to change anything. */
export async function recordEnd(
  { services, operation, release, job, started }: Ended,
  { result, reason, sentence }: Pick<Result, 'result' | 'reason' | 'sentence'>,
): Promise<void> {
  const { app, environment, id, action } = operation;
  try {
    await appendEntry(services.bucket, {
      ...{ operation: id, action, app, environment, actor: job.actor, run: job.runUrl },
      ...{ result, reason, sentence, ...(release && { release: release.id, commit: release.commit }) },
      ...{ seconds: Math.round((services.now() - started) / 1000), instances: [] },
    });
  } catch (unwritten) {
    warn(`The ledger could not be written: ${messageOf(unwritten)}`);
  }
}

interface Looking extends Ended {
  /** Whether nothing at all may be written: a plan. */
  readonly planned: boolean;
  /** Fires when the job is cancelled. */
  readonly signal: AbortSignal;
}

/** Does what comes before any lease, and writes into the ledger what it refused; of a plan nothing is written. */
export async function recordingRefusals<Value>(looking: Looking, look: () => Promise<Value>): Promise<Value> {
  try {
    return await look();
  } catch (error) {
    if (!looking.planned && !looking.signal.aborted) await recordError(looking, error);
    throw error;
  }
}

/** What each step took, in seconds, on the host that took longest for it. */
function slowestOf(instances: readonly Told[]): Record<string, number> {
  const slowest: Record<string, number> = {};
  for (const { name, started, ended } of instances.flatMap(({ more }) => more?.steps ?? [])) {
    const took = Math.max(0, (ended ?? started) - started) / 1000;
    slowest[name] = Math.max(slowest[name] ?? 0, Math.round(took * 10) / 10);
  }
  return slowest;
}
