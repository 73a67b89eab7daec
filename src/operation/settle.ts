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
}

/** Asks the hosts that gave no result what became of the operation, until each knows, or the time is over. */
export async function settle(
  outcomes: readonly InstanceOutcome[],
  settling: Settling,
): Promise<readonly InstanceOutcome[]> {
  const { services, operation, limitMs } = settling;
  const started = services.now();
  let current = outcomes;
  for (;;) {
    const open = current.filter((one) => one.open).map(({ instance }) => instance);
    if (open.length === 0) return current;
    say(`asking ${open.join(', ')} what became of ${operation.id}`);
    const states = await probe(services, operation, open, operation.id);
    current = current.map((one) => (one.open ? settleOne(one, states.get(one.instance), settling) : one));
    if (services.now() - started > limitMs) return current;
    if (current.some((one) => one.open)) await services.sleep(askAgainMs);
  }
}

/** What an instance's own word makes of an outcome that was open. */
export function settleOne(
  outcome: InstanceOutcome,
  state: HostState | undefined,
  { operation, neverStarted }: Pick<Settling, 'operation' | 'neverStarted'>,
): InstanceOutcome {
  const { instance } = outcome;
  const { app } = operation;
  const about = state?.about;
  if (!state || !about) return outcome;
  if (about.state === 'ended') {
    const line = toHostResult(about.result);
    if (line) return fromHost(line, instance, app);
  }
  if (about.state === 'unknown') {
    const never = neverStarted === 'cancelled' ? 'refused' : 'failed';
    const sentence =
      neverStarted === 'cancelled'
        ? 'The operation was cancelled before it began on the host: nothing was changed.'
        : `${outcome.sentence} The host has never begun the operation: nothing was changed.`;
    return instanceOutcome(
      instance,
      resultOf({ outcome: never, reason: neverStarted, sentence, app }),
      false,
    );
  }
  const where = about.step ? ` in step ${about.step}` : '';
  const live = state.live
    ? ` Live is ${state.live}${state.healthy ? ', and healthy' : ', not seen healthy'}.`
    : '';
  return { ...outcome, sentence: `The operation is ${about.state ?? 'unknown'}${where} on the host.${live}` };
}
