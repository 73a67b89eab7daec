import { OperationError, sentenceOf } from '../action/errors.ts';
import { say } from '../action/log.ts';
import { resultOf } from '../action/result.ts';
import { type HostState, toHostResult } from '../command/result-line.ts';
import { probe } from './command.ts';
import type { Operation, Services } from './operation.ts';
import { fromHost, type InstanceOutcome, instanceOutcome } from './outcome.ts';

/** Between two questions whether a host has ended. */
const askAgainMs = 3000;

interface Settling {
  readonly services: Services;
  readonly operation: Operation;
  /** How long to go on asking, in ms. */
  readonly limitMs: number;
  /** What an operation is that the host has never heard of: its command failed before it, or was cancelled. */
  readonly neverStarted: 'command-failed' | 'cancelled';
  readonly signal?: AbortSignal;
}

/**
 * Asks the hosts that gave no result what became of the operation, until each knows, or the time is over. A host that
 * cannot be asked stays open, and its sentence says why.
 */
export async function settle(
  outcomes: readonly InstanceOutcome[],
  settling: Settling,
): Promise<readonly InstanceOutcome[]> {
  const { services, operation, limitMs, signal } = settling;
  const started = services.now();
  let current = outcomes;
  for (;;) {
    const open = current.filter((one) => one.open).map(({ instance }) => instance);
    if (open.length === 0) return current;
    say(`asking ${open.join(', ')} what became of ${operation.id}`);
    try {
      const states = await probe(services, operation, open, { about: operation.id }, signal);
      current = current.map((one) => (one.open ? settleOne(one, states.get(one.instance), settling) : one));
      if (services.now() - started > limitMs) return current;
    } catch (error) {
      signal?.throwIfAborted();
      // A refusal is final; the network may be back in a moment.
      const over = error instanceof OperationError || services.now() - started > limitMs;
      if (over) return current.map((one) => (one.open ? notAsked(one, error) : one));
    }
    if (current.some((one) => one.open)) await services.sleep(askAgainMs, signal);
  }
}

function notAsked(outcome: InstanceOutcome, error: unknown): InstanceOutcome {
  return { ...outcome, sentence: `${outcome.sentence} The host could not be asked: ${sentenceOf(error)}` };
}

/** What an instance's own word makes of an outcome that was open. */
export function settleOne(
  outcome: InstanceOutcome,
  state: HostState | undefined,
  settling: Pick<Settling, 'operation' | 'neverStarted'>,
): InstanceOutcome {
  const about = state?.about;
  if (!state || !about) return outcome;
  if (about.state === 'ended') {
    const line = toHostResult(about.result);
    if (line) return fromHost(line, outcome.instance, settling.operation.app);
  }
  if (about.state === 'unknown') return neverBegun(outcome, settling);
  const where = about.step ? ` in step ${about.step}` : '';
  const health = state.healthy ? ', and healthy' : ', not seen healthy';
  const live = state.live ? ` Live is ${state.live}${health}.` : '';
  return { ...outcome, sentence: `The operation is ${about.state ?? 'unknown'}${where} on the host.${live}` };
}

/** The host has never heard of the operation. */
function neverBegun(
  outcome: InstanceOutcome,
  { operation, neverStarted }: Pick<Settling, 'operation' | 'neverStarted'>,
): InstanceOutcome {
  if (outcome.mayBegin) {
    return { ...outcome, sentence: 'The host has not begun the operation, and may still be handed it.' };
  }
  const cancelled = neverStarted === 'cancelled';
  const sentence = cancelled
    ? 'The operation was cancelled before it began on the host: nothing was changed.'
    : `${outcome.sentence} The host has never begun the operation: nothing was changed.`;
  const result = resultOf({
    outcome: cancelled ? 'refused' : 'failed',
    reason: neverStarted,
    sentence,
    app: operation.app,
  });
  return instanceOutcome(outcome.instance, result, false);
}
