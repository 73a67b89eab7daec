import { phase, say } from '../action/log.ts';
import type { Check } from '../config/config.ts';
import { findTargets } from '../instance/find.ts';
import { probe } from '../operation/command.ts';
import { refuseOldCode } from '../operation/descent.ts';
import { type Fleet, readFleet } from '../operation/fleet.ts';
import { type LiveRelease, readBefore, readLive } from '../operation/live.ts';
import { fetchArchive } from '../release/copy.ts';
import { openRelease } from '../release/open.ts';
import { archiveKey, type BuiltRelease, firstBuildOf } from '../release/store.ts';
import { type Ground, type Passed, shut } from './gate.ts';
import { requireProof } from './proof.ts';
import { findProvers, findRelease, requireReceipt, requireSoak } from './soak.ts';
import { findCommit, requireProtection, requireUnmoved } from './tag.ts';

/** A release that may come to the goal, and what is live there. */
export interface Candidate {
  readonly release: BuiltRelease;
  /** What it promises to answer, by its own understudy.yml. */
  readonly checks: readonly Check[];
  /** Whether its commit is known at the goal already, by an earlier attempt or promotion. */
  readonly known: boolean;
  readonly state: GoalState;
}

/** A gate that was passed: its name, and what was seen. */
export type Evidence = readonly [gate: string, evidence: string];

/**
 * Passes the gates one after the other, each telling what it saw; nothing but the commit of a tag is written.
 *
 * @throws OperationError at the first that does not open
 */
export async function passGates(ground: Ground, onPassed: (passed: Evidence) => void): Promise<Candidate> {
  const gate = async <Value>(name: string, ask: () => Promise<Passed<Value>>): Promise<Value> => {
    const { value, evidence } = await phase(`Gate: ${name}`, ask);
    say(`  ${name}: ${evidence}`);
    onPassed([name, evidence]);
    return value;
  };
  const commit = await gate('the tag is on the default branch', () => findCommit(ground));
  await gate('the tag was never moved', () => requireUnmoved(ground, commit));
  await gate('the tag is protected', () => requireProtection(ground));
  const id = await gate('the commit has a release', () => findRelease(ground, commit));
  const proven = await gate('its instances are there', () => findProvers(ground, commit, id));
  await gate('it has a receipt', () => requireReceipt(ground, proven));
  await gate('it has soaked', () => requireSoak(ground, proven));
  const { release, checks, known } = await gate('its bytes are those', () =>
    fetchRelease(ground, commit, id),
  );
  const state = await gate('it descends from what is live', () => lookAtGoal(ground, commit));
  await gate('a backup is proven to restore', () => requireProof(ground, state.live));
  return { release, checks, known, state };
}

/** The very bytes that were proven, which also say themselves of which commit they are. */
async function fetchRelease(
  { origin, goal, archive }: Ground,
  commit: string,
  id: string,
): Promise<Passed<Pick<Candidate, 'release' | 'checks' | 'known'>>> {
  const { app, environment } = origin.operation;
  const { bucket } = origin.services;
  const key = archiveKey(app, environment, id);
  const { path, size } = await fetchArchive(bucket, key, id, archive);
  const { description, config } = await openRelease(path, id);
  const there = await firstBuildOf(goal.services.bucket, app, commit);
  const foreign =
    description.commit !== commit || description.app !== app
      ? `Release ${id.slice(0, 12)} says that it is of ${description.app}, commit ${description.commit.slice(0, 12)}, not of ${app}, commit ${commit.slice(0, 12)}.`
      : there !== undefined && there !== id
        ? `Commit ${commit.slice(0, 12)} is release ${id.slice(0, 12)} in ${environment}, and release ${there.slice(0, 12)} in ${goal.operation.environment}.`
        : undefined;
  if (!foreign) {
    const known = there !== undefined;
    const value = { release: { id, commit, path, size }, checks: config.checks, known };
    return { value, evidence: `${size} bytes, SHA-256 ${id}` };
  }
  throw shut({
    reason: 'bad-digest',
    happened: foreign,
    todo: `Find out who changed the buckets; then promote another commit.`,
  });
}

/** The fleet of the goal, and what is live on it. */
export interface GoalState extends Fleet {
  readonly live: readonly LiveRelease[];
  readonly instances: readonly string[];
  /** What is amiss from before. */
  readonly before: readonly string[];
}

/** Asks the hosts of the goal what is live there: the commit must descend from it. Asked again under the lease. */
export async function lookAtGoal(
  { goal, github, signal }: Pick<Ground, 'goal' | 'github' | 'signal'>,
  commit: string,
): Promise<Passed<GoalState>> {
  const { services, operation } = goal;
  const { app, environment, rollout } = operation;
  const targets = await findTargets(services.clients, app, environment, rollout.errors);
  const online = targets.flatMap(({ id, agent }) => (agent.online ? [id] : []));
  const states = await probe(services, operation, online, {}, signal);
  const fleet = readFleet(targets, states, app, rollout.errors);
  const live = readLive(states, app);
  await refuseOldCode(github, live, commit);
  const told = live.map((one) => `${one.release.slice(0, 12)} (${one.commit.slice(0, 12)})`);
  const value = {
    ...fleet,
    live,
    instances: targets.map(({ id }) => id),
    before: readBefore(states),
  };
  return { value, evidence: `live there: ${[...new Set(told)].join(', ') || 'nothing'}` };
}
