import { inSpan } from '../action/log.ts';
import type { Reason } from '../action/reasons.ts';
import type { HostState } from '../command/result-line.ts';
import { findTargets } from '../instance/find.ts';
import { probe } from '../operation/command.ts';
import { findReceipt, receiptProblem, type Subject } from '../receipt/receipt.ts';
import { firstBuildOf } from '../release/store.ts';
import { type Ground, type Passed, shut } from './gate.ts';

/** The release that staging has for a commit. */
export async function findRelease({ origin }: Ground, commit: string): Promise<Passed<string>> {
  const { app, environment } = origin.operation;
  const release = await firstBuildOf(origin.services.bucket, app, commit);
  if (release !== undefined) return { value: release, evidence: `release ${short(release)}` };
  throw shut({
    reason: 'never-on-staging',
    happened: `Commit ${short(commit)} never ran in ${environment}: it has no release there.`,
    todo: `Deploy it to ${environment}, and promote it when it has soaked.`,
  });
}

/** What of a side must be seen by its proofs. */
export interface Proven {
  readonly subject: Subject;
  readonly instances: readonly string[];
}

/** The instances where it must have been healthy, all of them reachable. */
export async function findProvers(ground: Ground, commit: string, release: string): Promise<Passed<Proven>> {
  const { services, operation } = ground.origin;
  const { app, environment } = operation;
  const targets = await findTargets(services.clients, app, environment, 0);
  const instances = targets.map(({ id }) => id);
  const subject = { app, environment, commit, release };
  return { value: { subject, instances }, evidence: instances.join(', ') };
}

/** So long the log of checks is kept, by which a receipt can be borne out. */
const oldestReceiptMs = 31 * 86_400_000;

/** Sees that a receipt of this very release lies where it must, is of these instances, and young. */
export async function requireReceipt(
  { origin }: Ground,
  { subject, instances }: Proven,
): Promise<Passed<void>> {
  const { bucket } = origin.services;
  const { app, environment, release } = subject;
  const found = await findReceipt(bucket, subject);
  const again = `Deploy the commit to ${environment} again, and promote it when it has soaked.`;
  if (!found) {
    throw shut({
      reason: 'taken-back-on-staging',
      happened: `Release ${short(release)} came to ${environment}, and has no receipt: it was taken back there, or never seen healthy.`,
      todo: `See in the ledger (ledger/${app}/${environment}/) what became of it; mend it, and deploy the next commit.`,
    });
  }
  const problem = receiptProblem(found, subject, instances);
  if (problem) {
    throw shut({
      reason: 'bad-receipt',
      happened: `The receipt of ${short(release)} proves nothing: ${problem}.`,
      todo: `Find out who wrote it. ${again}`,
    });
  }
  const age = bucket.now() - found.taken;
  if (age > oldestReceiptMs) {
    throw shut({
      reason: 'bad-receipt',
      happened: `The receipt of ${short(release)} is ${inSpan(age)} old; it must be younger than ${inSpan(oldestReceiptMs)}.`,
      todo: again,
    });
  }
  return { value: undefined, evidence: `${inSpan(Math.max(0, age))} old (${found.key})` };
}

type Soak = NonNullable<HostState['soak']>;

/** Asks the instances themselves for how long the release was healthy there: attack 29. */
export async function requireSoak(ground: Ground, { subject, instances }: Proven): Promise<Passed<void>> {
  const { origin, soakMs, signal } = ground;
  const { release } = subject;
  const states = await probe(origin.services, origin.operation, instances, { ask: release }, signal);
  const spans: Soak[] = [];
  for (const instance of instances) {
    const state = states.get(instance);
    if (!state?.soak || state.now === undefined) {
      throw shut({
        reason: 'never-ran',
        happened: 'It does not tell how long the release was healthy there.',
        instance,
        todo: `Send ${subject.app}-probe to it by hand, and read what it says.`,
      });
    }
    const problem = soakProblem(state.soak, { release, soakMs, now: state.now });
    if (problem) throw shut({ ...problem, instance });
    if (state.soak.ended === 'replaced') await requireSuccessor(ground, subject, instance, state);
    spans.push(state.soak);
  }
  const shortest = Math.min(...spans.map(({ seconds }) => seconds));
  const how = spans.every(({ ended }) => ended === 'live') ? 'and is still' : 'until another followed';
  const evidence = `healthy for ${inSpan(shortest * 1000)} without a gap or a restart, ${how}`;
  return { value: undefined, evidence };
}

interface Wanted {
  readonly release: string;
  readonly soakMs: number;
  /** The host's clock, in seconds. */
  readonly now: number;
}

const day = 86_400_000;

/** What is wrong with the time that a release was healthy on an instance; undefined when nothing is. */
export function soakProblem(
  { release, seconds, until, ended }: Soak,
  wanted: Wanted,
): { reason: Reason; happened: string; todo: string } | undefined {
  const { soakMs, now } = wanted;
  const name = short(wanted.release);
  const refuse = (reason: Reason, happened: string, todo: string) => ({ reason, happened, todo });
  const wait = `Wait until it has been healthy for ${inSpan(soakMs)} in a row, then run this again.`;
  if (release !== wanted.release)
    return refuse('bad-receipt', `It tells of release ${short(release)}, not of ${name}.`, wait);
  if (ended === 'none')
    return refuse('never-on-staging', `Release ${name} was never seen healthy there.`, wait);
  const why = { gap: 'its log has a gap', restart: 'it was restarted', check: 'a check failed' };
  if (ended === 'gap' || ended === 'restart' || ended === 'check') {
    const happened = `Release ${name} is not well there now: after ${inSpan(seconds * 1000)} ${why[ended]}, and the soak begins anew.`;
    return refuse('not-soaked', happened, wait);
  }
  if (seconds * 1000 < soakMs) {
    const happened = `Release ${name} was healthy there for ${inSpan(seconds * 1000)} in a row, where understudy.yml wants ${inSpan(soakMs)} (soak).`;
    const todo = ended === 'live' ? wait : 'Promote the release that is live there, once it has soaked.';
    return refuse('not-soaked', happened, todo);
  }
  const since = (now - until) * 1000;
  const patience = Math.max(soakMs, day);
  if (ended === 'live' || since <= patience) return undefined;
  const happened = `Release ${name} was replaced there ${inSpan(since)} ago; after ${inSpan(patience)} its proof is no longer taken.`;
  return refuse('not-soaked', happened, 'Promote the release that is live there, once it has soaked.');
}

/** What followed must be newer: a release that staging went back from is not promoted. */
async function requireSuccessor(
  { github }: Ground,
  { commit, release, environment }: Subject,
  instance: string,
  { commit: live = '' }: HostState,
): Promise<void> {
  const descent = live === '' ? 'unknown' : await github.compare(commit, live);
  if (descent === 'ahead' || descent === 'identical') return;
  throw shut({
    reason: 'taken-back-on-staging',
    happened: `Release ${short(release)} was taken back in ${environment}: commit ${short(live) || 'unknown'}, which does not descend from ${short(commit)}, is live there now.`,
    instance,
    todo: 'Find out why it was taken back; promote a commit that mends it.',
  });
}

const short = (digits: string): string => digits.slice(0, 12);
