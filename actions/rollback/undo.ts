import { OperationError, sentenceOf } from '../../src/action/errors.ts';
import { phase } from '../../src/action/log.ts';
import { resultOf } from '../../src/action/result.ts';
import type { Held } from '../../src/operation/hold.ts';
import type { Review } from '../../src/operation/leftover.ts';
import type { Operation } from '../../src/operation/operation.ts';
import { instanceOutcome } from '../../src/operation/outcome.ts';
import { type Move, type PutBack, putBack, readMove, saveMove } from '../../src/rollback/put-back.ts';
import type { Stage } from './steps.ts';

/** GitHub gives a cancelled job five minutes, and post has waited for a host before. */
const postLimitMs = 90_000;
const removeLimitMs = 15 * 60_000;

/** Whatever fails before the address is moved, users have the old instance again. */
export async function undoing<Value>(
  stage: Stage,
  held: Held,
  move: () => Move,
  work: () => Promise<Value>,
): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    // After a cancel, for which GitHub gives seconds, post does it.
    if (held.signal.aborted) throw error;
    const { services, plan } = stage;
    const back = await phase('Put back', () => putBack(services, plan.operation, move(), removeLimitMs));
    saveMove(undefined);
    held.settled();
    throw notMoved(error, move(), back);
  }
}

function notMoved(error: unknown, { was }: Move, { whole, moved, sentence }: PutBack): OperationError {
  const known = error instanceof OperationError ? error : undefined;
  const back = was === 'untouched' ? 'failed' : 'reverted';
  return new OperationError({
    reason: 'not-moved',
    outcome: moved ? 'unknown' : whole ? back : 'failed',
    happened: known ? known.happened : sentenceOf(error),
    ...(known?.instance && { instance: known.instance }),
    stateNow: sentence,
    todo: known?.todo ?? 'Mend what the sentence names; then run this job again.',
    cause: error,
  });
}

/** In post, once no host is at work any more: puts back what main left half-way. */
export const reviewMove: Review = async (services, operation: Operation, told) => {
  const move = readMove();
  if (!move) return told;
  const { whole, moved, sentence } = await phase('Put back', () =>
    putBack(services, operation, move, postLimitMs),
  );
  const outcome = whole && !moved ? 'reverted' : 'unknown';
  const all = moved ? `${sentence} Run this job again: it finishes what is left.` : sentence;
  const result = resultOf({
    outcome,
    reason: 'not-moved',
    sentence: `It was cancelled. ${all}`,
    app: operation.app,
  });
  return [{ ...instanceOutcome(move.instance || move.stack, result, false), more: undefined }];
};
