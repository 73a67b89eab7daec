import { messageOf } from '../action/errors.ts';
import { warn } from '../action/log.ts';
import { resultOf, succeeded } from '../action/result.ts';
import { detailsKey, readDetails } from '../command/details.ts';
import { findProblem } from '../health/verdict.ts';
import type { Operation, Services } from './operation.ts';
import type { InstanceOutcome } from './outcome.ts';
import type { Told } from './summary.ts';

/** Of instances that are well, this many are shown with all they tell; of the others, each. */
const shownWell = 3;

/** Reads what the hosts wrote beside their result lines. A summary without it is better than none. */
export async function readTold(
  { bucket }: Services,
  { app, environment, id }: Operation,
  outcomes: readonly InstanceOutcome[],
): Promise<Told[]> {
  const shown = new Set([
    ...outcomes.filter(succeeded).slice(0, shownWell),
    ...outcomes.filter((one) => !succeeded(one)),
  ]);
  return Promise.all(
    outcomes.map(async (outcome) => {
      if (!shown.has(outcome)) return { ...outcome, more: undefined };
      const key = detailsKey(app, environment, id, outcome.instance);
      return { ...outcome, more: await readDetails(bucket, key, outcome.details).catch(unreadable) };
    }),
  );
}

function unreadable(error: unknown): undefined {
  warn(`What a host told beside its result cannot be read: ${messageOf(error)}`);
}

/** A host's "well" is believed only when its answers on the public port bear it out. */
export function believe(told: Told, promised: readonly { readonly path: string }[], app: string): Told {
  const problem = succeeded(told) && told.more ? findProblem(promised, told.more.checks) : undefined;
  if (!problem) return told;
  const sentence = `The host says ${told.result}, but its answers do not: ${problem}`;
  const { result, reason, todo } = resultOf({ outcome: 'unknown', reason: 'no-result', app });
  return { ...told, result, reason, sentence, todo };
}
