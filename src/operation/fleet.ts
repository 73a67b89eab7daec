import { OperationError } from '../action/errors.ts';
import { say } from '../action/log.ts';
import { explain } from '../action/reasons.ts';
import { resultOf, succeeded } from '../action/result.ts';
import type { HostState } from '../command/result-line.ts';
import type { Target } from '../instance/find.ts';
import { type InstanceOutcome, instanceOutcome } from './outcome.ts';

/** A fleet before anything is sent to it: who takes part, and who cannot be reached. */
export interface Fleet {
  readonly present: readonly string[];
  /** No more than the rollout's `errors`; nothing is sent to them. */
  readonly absent: readonly InstanceOutcome[];
}

/**
 * Parts those who told their state from those who cannot be reached.
 * @throws OperationError when more than `mayFail` instances, or all of them, cannot be
 */
export function readFleet(
  targets: readonly Target[],
  states: ReadonlyMap<string, HostState>,
  app: string,
  mayFail: number,
): Fleet {
  const silent = targets.filter(({ id }) => !states.has(id));
  const [first] = silent;
  if (first && (silent.length > mayFail || silent.length === targets.length)) throw tooSilent(first, app);
  const absent = silent.map((target) => absentOf(target, app));
  for (const { instance, sentence } of absent) say(`${instance}  left out: ${sentence}`);
  return { present: targets.flatMap(({ id }) => (states.has(id) ? [id] : [])), absent };
}

/** Parts those whose agents are connected from the others, without asking any. */
export function partByAgents(targets: readonly Target[], app: string): Fleet {
  const absent = targets.filter(({ agent }) => !agent.online).map((target) => absentOf(target, app));
  return { present: targets.flatMap(({ id, agent }) => (agent.online ? [id] : [])), absent };
}

function tooSilent({ id }: Target, app: string): OperationError {
  return new OperationError({
    reason: 'never-ran',
    happened: 'It did not tell its state.',
    instance: id,
    stateNow: 'Nothing was changed.',
    todo: `Send ${app}-probe to it by hand, and read what it says.`,
  });
}

function absentOf({ id, agent }: Target, app: string): InstanceOutcome {
  const why = agent.online ? 'It did not tell its state' : `Its agent is not connected (${agent.status})`;
  const sentence = `${why}, so nothing was sent to it, and it is as it was.`;
  return instanceOutcome(id, resultOf({ outcome: 'refused', reason: 'offline', sentence, app }), false);
}

/** Whether more instances than may fail are known not to have taken a release. One that may be at work is not. */
export function isRefused(outcomes: readonly InstanceOutcome[], mayFail: number): boolean {
  return outcomes.filter(didNotTakeIt).length > mayFail;
}

function didNotTakeIt(outcome: InstanceOutcome): boolean {
  return !outcome.open && !succeeded(outcome);
}

/** Why a release that went live healthy is taken back. */
export interface Cause {
  readonly reason: 'fleet-refused' | 'degraded';
  /** What follows "because". */
  readonly why: string;
}

export const refusedByFleet: Cause = { reason: 'fleet-refused', why: 'others did not take it' };

/** What an instance comes to that took a release and was given back the one before: by what its host said of both. */
export function afterTakingBack<Outcome extends InstanceOutcome>(
  took: Outcome,
  back: InstanceOutcome,
  app: string,
  cause = refusedByFleet,
): Outcome {
  const { result, reason, sentence, todo, open } = back;
  if (succeeded(back)) {
    const told = `Release ${took.release} was healthy here, and was taken back because ${cause.why}. ${sentence}`;
    const known = explain(cause.reason, app);
    return {
      ...{
        ...took,
        result: 'reverted',
        reason: cause.reason,
        sentence: told,
        todo: known.todo,
        met: true,
      },
      ...{ release: back.release, previous: took.release },
    };
  }
  if (result === 'refused' || result === 'reverted') return staysOn(took, sentence, cause);
  return { ...took, result, reason, sentence: `It was to go back. ${sentence}`, todo, open, met: true };
}

/** An instance that keeps a release which was to be taken back, and why. One that is not well any more has failed. */
export function staysOn<Outcome extends InstanceOutcome>(
  took: Outcome,
  why: string,
  cause = refusedByFleet,
): Outcome {
  const sentence = `${took.sentence} It stays live here, although ${cause.why}: ${why}`;
  if (cause.reason !== 'degraded') return { ...took, sentence };
  const todo =
    'Go back by the workflow rollback, where `data: keep` or `data: restore` says what becomes of the data; or mend what it met.';
  return { ...took, result: 'failed', reason: cause.reason, sentence, todo, met: true };
}
