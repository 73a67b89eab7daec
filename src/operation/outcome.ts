import { sentenceOf } from '../action/errors.ts';
import type { Outcome } from '../action/outcomes.ts';
import { explain, type Reason } from '../action/reasons.ts';
import { type Result, resultOf, succeeded } from '../action/result.ts';
import type { Invocation } from '../command/follow.ts';
import { type HostResult, readResultLine } from '../command/result-line.ts';
import { hasEnded } from '../command/status.ts';

/** What became of one instance. */
export interface InstanceOutcome {
  readonly instance: string;
  readonly result: Outcome;
  readonly reason: Reason;
  readonly sentence: string;
  readonly todo: string;
  /** Whether any user request may have reached the new release. */
  readonly met: boolean;
  /** The first 12 digits, as the host tells them; empty when it did not. */
  readonly release: string;
  readonly previous: string;
  /** How long requests waited at most, and how long none was taken; ms. */
  readonly wait_ms?: number;
  readonly down_ms?: number;
  /** Where the host says that it put a backup: the key of its manifest, and the bucket. */
  readonly manifest?: string;
  readonly bucket?: string;
  /** SHA-256 (hex) of the details that the host wrote; empty when there are none. */
  readonly details: string;
  /** Whether the host may still be at work. */
  readonly open: boolean;
  /** Whether SSM may still hand it the command: that it has not begun proves nothing yet. */
  readonly mayBegin?: boolean;
}

interface About {
  readonly app: string;
  readonly operation: string;
}

/** What became of an instance, by what SSM and its own result line say. Without a line nothing is concluded. */
export function outcomeOf(invocation: Invocation, about: About): InstanceOutcome {
  const { instance, standing, statusDetails, output } = invocation;
  const line = readResultLine(output);
  if (line) return fromLine(line, instance, about);
  const plain = (outcome: Outcome, reason: Reason, open: boolean, sentence?: string): InstanceOutcome =>
    instanceOutcome(
      instance,
      resultOf({ outcome, reason, app: about.app, ...(sentence && { sentence }) }),
      open,
    );
  if (standing === 'never-ran') {
    const reason = reasonOfNeverRan(statusDetails);
    return plain(reason === 'delivery-timed-out' ? 'failed' : 'refused', reason, false);
  }
  if (!hasEnded(standing)) {
    const sentence = `SSM still says ${statusDetails}.`;
    return { ...plain('unknown', 'unaccounted', true, sentence), mayBegin: true };
  }
  return plain('unknown', 'no-result', true, `SSM says ${statusDetails}, and the host gave no result.`);
}

/** An instance that has the command, or may have it, and could not be followed. */
export function unheard(instance: string, app: string, error: unknown): InstanceOutcome {
  const sentence = `The command was sent, and could not be followed: ${sentenceOf(error)}`;
  const result = resultOf({ outcome: 'unknown', reason: 'no-result', sentence, app });
  return { ...instanceOutcome(instance, result, true), mayBegin: true };
}

function reasonOfNeverRan(statusDetails: string): Reason {
  const details = statusDetails.replaceAll(' ', '');
  if (details === 'DeliveryTimedOut' || details === 'Undeliverable') return 'delivery-timed-out';
  return details === 'AccessDenied' ? 'access-denied' : 'never-ran';
}

function fromLine(line: HostResult, instance: string, { app, operation }: About): InstanceOutcome {
  const stranger =
    line.operation !== operation
      ? `The host printed the result of another operation (${line.operation}).`
      : line.instance && line.instance !== instance
        ? `The host printed the result of another instance (${line.instance}).`
        : line.result === 'done' && line.healthy === false
          ? 'The host said "done" of a release that it does not call healthy.'
          : undefined;
  if (stranger) {
    const unknown = resultOf({ outcome: 'unknown', reason: 'no-result', sentence: stranger, app });
    return instanceOutcome(instance, unknown, true);
  }
  return fromHost(line, instance, app);
}

/** The outcome that a host's own result stands for. */
export function fromHost(line: HostResult, instance: string, app: string): InstanceOutcome {
  const { result, reason, met = false, release = '', previous = '', details = '', manifest, bucket } = line;
  const sentence = line.sentence || explain(reason, app).sentence;
  return {
    ...instanceOutcome(instance, resultOf({ outcome: result, reason, sentence, met, app }), false),
    ...{ met, release, previous, details },
    ...(manifest !== undefined && { manifest }),
    ...(bucket !== undefined && { bucket }),
    ...(line.wait_ms !== undefined && { wait_ms: line.wait_ms }),
    ...(line.down_ms !== undefined && { down_ms: line.down_ms }),
  };
}

export function instanceOutcome(instance: string, told: Result, open: boolean): InstanceOutcome {
  const { result, reason, sentence, todo } = told;
  return {
    instance,
    result,
    reason,
    sentence,
    todo,
    met: false,
    release: '',
    previous: '',
    details: '',
    open,
  };
}

/** The worst first: the first one that any instance has decides. */
const gravity: readonly Outcome[] = ['unknown', 'failed', 'reverted', 'refused', 'done', 'unchanged'];

/** What became of an instance because of another one: the other tells the cause. */
const consequences: readonly Reason[] = ['never-ran', 'fleet-refused'];

/**
 * What it comes to for the environment. `reverted` and `refused` promise that all is as it was: when it was done on another
 * instance, neither is true of the whole, and it has failed.
 */
export function overall(outcomes: readonly InstanceOutcome[], app: string): Result {
  const ranked = outcomes.toSorted((a, b) => gravity.indexOf(a.result) - gravity.indexOf(b.result));
  const worst = ranked[0]?.result ?? 'unknown';
  const first = ranked.find((one) => !consequences.includes(one.reason) && !succeeded(one)) ?? ranked[0];
  if (!first) return resultOf({ outcome: 'unknown', reason: 'unaccounted', app });
  const moved = outcomes.filter(({ result }) => result === 'done').length;
  const met = outcomes.some((one) => one.met);
  const mixed = moved > 0 && (worst === 'reverted' || worst === 'refused');
  const { reason, todo } = first;
  const place = succeeded(first) ? '' : `${first.instance}: `;
  const twoReleases = mixed && outcomes.some((one) => one.result === 'done' && one.release !== '');
  const sentence = `${place}${first.sentence}${count(outcomes, twoReleases)}`;
  return mixed
    ? ({ result: 'failed', reason, sentence, todo, met: true } as Result)
    : ({ result: worst, reason, sentence, todo, met } as Result);
}

function count(outcomes: readonly InstanceOutcome[], twoReleases: boolean): string {
  if (outcomes.length === 1) return '';
  const counted = gravity.flatMap((outcome) => {
    const number = outcomes.filter(({ result }) => result === outcome).length;
    return number > 0 ? [`${number} ${outcome}`] : [];
  });
  const warning = twoReleases ? '; the environment now runs two releases' : '';
  return ` Of ${outcomes.length} instances: ${counted.join(', ')}${warning}.`;
}
