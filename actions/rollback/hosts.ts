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
import { fromHost, type InstanceOutcome } from '../../src/operation/outcome.ts';
import { record } from '../../src/operation/record.ts';
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
 * What is left to do where every host says that an earlier attempt of this run has done it: to record it. Done again it would
 * lose what was written since, or go back one further.
 */
export async function afterEarlier(
  stage: Stage,
  states: Asked['states'],
  signal: AbortSignal,
): Promise<Way | undefined> {
  const { services, plan } = stage;
  const { operation } = plan;
  const instances = [...states.keys()];
  for (let attempt = operation.attempt - 1; attempt > 0; attempt -= 1) {
    const about = operation.id.replace(/-\d+-(?=rollback-)/, `-${attempt}-`);
    const now = await probe(services, operation, instances, { about }, signal);
    const ended = instances.flatMap((instance) => {
      const line = toHostResult(now.get(instance)?.about?.result);
      return line?.result === 'done' ? [fromHost(line, instance, operation.app)] : [];
    });
    if (ended.length < instances.length) continue;
    return { instances, go: () => recordEarlier(stage, attempt, ended, states) };
  }
  return undefined;
}

async function recordEarlier(
  { services, plan, job, report }: Stage,
  attempt: number,
  ended: readonly InstanceOutcome[],
  states: Asked['states'],
): Promise<Judged> {
  const { operation } = plan;
  const [first] = ended;
  const live = states.get(first?.instance ?? '');
  const release =
    live?.live === first?.release && live?.digest
      ? { id: live.digest, commit: live.commit ?? '' }
      : undefined;
  const sentence = `Attempt ${attempt} of this run has done it already. ${first?.sentence ?? ''}`.trim();
  const result = resultOf({ outcome: 'unchanged', reason: 'already-ended', sentence });
  const told = ended.map((one) => ({ ...one, ...result, more: undefined }));
  report.instances = told;
  const judged = { result, instances: told, open: false };
  const instances = ended.map(({ instance }) => instance);
  await record(
    { services, operation, instances, checks: [], ...(release && { release }) },
    judged,
    job,
    report,
  );
  return judged;
}
