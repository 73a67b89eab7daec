import { OperationError } from '../action/errors.ts';
import { say } from '../action/log.ts';
import { explain } from '../action/reasons.ts';
import type { HostState } from '../command/result-line.ts';
import type { LiveCommit } from './descent.ts';

/** What is live where, by the word of the hosts; refuses when one of them cannot take an operation. */
export function readLive(
  instances: readonly string[],
  states: ReadonlyMap<string, HostState>,
  app: string,
): LiveCommit[] {
  return instances.flatMap((instance) => {
    const state = states.get(instance);
    if (!state) throw silent(instance, app);
    if (state.result === 'refused') throw refused(instance, state, app);
    say(`${instance}  live: ${state.live || 'nothing'}${state.healthy ? ', healthy' : ''}`);
    return state.live ? [{ instance, commit: state.commit ?? '' }] : [];
  });
}

function silent(instance: string, app: string): OperationError {
  return new OperationError({
    reason: 'never-ran',
    happened: 'It did not tell its state.',
    instance,
    stateNow: 'Nothing was changed.',
    todo: `Send ${app}-probe to it by hand, and read what it says.`,
  });
}

function refused(instance: string, { reason, sentence }: HostState, app: string): OperationError {
  const known = explain(reason, app);
  return new OperationError({
    reason,
    happened: sentence || known.sentence,
    instance,
    stateNow: 'Nothing was changed.',
    todo: known.todo,
  });
}
