import type { Result } from '../../src/action/result.ts';
import { resultOf } from '../../src/action/result.ts';
import { code } from '../../src/action/summary.ts';
import { type HostState, toHostResult } from '../../src/command/result-line.ts';
import type { Target } from '../../src/instance/find.ts';
import { probe } from '../../src/operation/command.ts';
import { readFleet } from '../../src/operation/fleet.ts';
import type { Held } from '../../src/operation/hold.ts';
import type { Judged } from '../../src/operation/judge.ts';
import { readLive } from '../../src/operation/live.ts';
import type { InstanceOutcome } from '../../src/operation/outcome.ts';
import type { Stage } from './steps.ts';

/** A way back that is clear: whom it is for, and how to go it under the lease. */
export interface Way {
  readonly instances: readonly string[];
  /** The release that is to be live, and its commit; absent where none is to be. */
  readonly release?: { readonly id: string; readonly commit: string };
  readonly go: (held: Held) => Promise<Judged>;
}

/** There is no way to go: it was only a plan, or is done. */
export interface End {
  readonly ended: Result;
}

/** What hosts say of themselves. */
export interface Asked {
  /** Those that answered. */
  readonly states: ReadonlyMap<string, HostState>;
  /** Those that cannot be reached, no more than may fail. */
  readonly absent: readonly InstanceOutcome[];
}

/** Asks hosts what is live there, and what they keep. */
export async function askHosts(
  { services, plan, report }: Stage,
  targets: readonly Target[],
  signal: AbortSignal,
): Promise<Asked> {
  const { operation } = plan;
  const online = targets.flatMap(({ id, agent }) => (agent.online ? [id] : []));
  const states = await probe(services, operation, online, { ask: 'kept' }, signal);
  const { absent } = readFleet(targets, states, operation.app, operation.rollout.errors);
  readLive(states, operation.app);
  report.facts.push(['Instances', targets.map(({ id }) => code(id)).join(', ')]);
  return { states, absent };
}

/**
 * What an earlier attempt of this run came to, if every host says that it has done it: done again it would lose what was
 * written since, or go back one further.
 */
export async function endedEarlier(
  { services, plan }: Stage,
  instances: readonly string[],
  signal: AbortSignal,
): Promise<Result | undefined> {
  const { operation } = plan;
  for (let attempt = operation.attempt - 1; attempt > 0; attempt -= 1) {
    const about = operation.id.replace(/-\d+-(?=rollback-)/, `-${attempt}-`);
    const states = await probe(services, operation, instances, { about }, signal);
    const told = instances.map((instance) => toHostResult(states.get(instance)?.about?.result));
    if (!told.every((one) => one?.result === 'done')) continue;
    const sentence = `Attempt ${attempt} of this run has done it already. ${told[0]?.sentence ?? ''}`.trim();
    return resultOf({ outcome: 'unchanged', reason: 'already-ended', sentence });
  }
  return undefined;
}
