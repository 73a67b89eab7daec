import { OperationError } from '../action/errors.ts';
import { say } from '../action/log.ts';
import { explain } from '../action/reasons.ts';
import { succeeded } from '../action/result.ts';
import { type HostState, toHostResult } from '../command/result-line.ts';
import type { LiveCommit } from './descent.ts';

/** A release that is live on an instance. */
export interface LiveRelease extends LiveCommit {
  /** Its whole id; empty when the host does not tell it. */
  readonly release: string;
}

/** What is live where, by the word of the hosts; refuses when one of them cannot take an operation. */
export function readLive(states: ReadonlyMap<string, HostState>, app: string): LiveRelease[] {
  return [...states].flatMap(([instance, state]) => {
    if (state.result === 'refused') throw refused(instance, state, app);
    say(`${instance}  live: ${state.live || 'nothing'}${state.healthy ? ', healthy' : ''}`);
    return state.live ? [{ instance, commit: state.commit ?? '', release: state.digest ?? '' }] : [];
  });
}

/**
 * How the last operation ended on each host, where it did not end well: its own run may have been cut off from the
 * host, and never have heard.
 */
export function readBefore(states: ReadonlyMap<string, HostState>): string[] {
  return [...states].flatMap(([instance, { about }]) => {
    const last = about?.state === 'ended' ? toHostResult(about.result) : undefined;
    if (last === undefined || succeeded(last)) return [];
    return [
      `${instance}: ${last.operation} ended as ${last.result} (${last.reason}). ${last.sentence ?? ''}`.trim(),
    ];
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
