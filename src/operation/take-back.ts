import { sentenceOf } from '../action/errors.ts';
import { warn } from '../action/log.ts';
import type { WhenPartial } from '../config/config.ts';
import { afterTakingBack, type Cause, isRefused, refusedByFleet, staysOn } from './fleet.ts';
import type { Held } from './hold.ts';
import { conclude, type Judged, judge } from './judge.ts';
import type { LiveRelease } from './live.ts';
import { type Operation, partOf, type Work } from './operation.ts';
import type { Report } from './report.ts';
import { type Order, sendToFleet } from './send.ts';
import type { Told } from './summary.ts';

interface Before {
  /** What was live where, before the operation. */
  readonly live: readonly LiveRelease[];
  /** What the config says of a release that only a part of the fleet took. */
  readonly partial: WhenPartial;
  /** How the release was sent that is to be taken back. */
  readonly order: Order;
}

/**
 * Takes a release back where it went live, when more instances did not take it than may fail: each gets the one that
 * it had before, by the same document, where its host says that the data still fits. What cannot go back stays, and
 * the verdict says so.
 */
export async function takeBackWhenPartial(
  work: Work,
  judged: Judged,
  { live, partial, order }: Before,
  report: Report,
  held: Held,
): Promise<Judged> {
  const { app, rollout } = work.operation;
  const took = judged.instances.filter(({ result }) => result === 'done');
  if (took.length === 0 || !isRefused(judged.instances, rollout.errors)) return judged;
  if (partial === 'keep') {
    return settleAs(
      judged,
      took.map((one) => staysOn(one, '`rollout` says `partial: keep`.')),
      app,
      report,
    );
  }
  warn(
    `${took.length} of ${judged.instances.length} instances took the release, and go back to the one before`,
  );
  return takeBack(work, judged, { live, order, cause: refusedByFleet }, report, held);
}

interface Back extends Pick<Before, 'live' | 'order'> {
  readonly cause: Cause;
}

/** Gives each instance that took a release the one that it had before, where the data still fits it. */
export async function takeBack(
  work: Work,
  judged: Judged,
  { live, order, cause }: Back,
  report: Report,
  held: Held,
): Promise<Judged> {
  const { app } = work.operation;
  const took = judged.instances.filter(({ result }) => result === 'done');
  const before = new Map(live.map(({ instance, release }) => [instance, release]));
  const groups = Map.groupBy(took, ({ instance }) => before.get(instance) ?? '');
  const after: Told[] = (groups.get('') ?? []).map((one) =>
    staysOn(one, 'no release was live here before.', cause),
  );
  groups.delete('');
  for (const [index, [release, group]] of [...groups].entries()) {
    after.push(...(await goBack(work, group, { ...order, release, index, cause }, held)));
  }
  return { ...settleAs(judged, after, app, report), tookBack: true };
}

interface Way extends Order {
  readonly release: string;
  readonly index: number;
  readonly cause: Cause;
}

/** Deploys the release that some instances had before. */
async function goBack(
  work: Work,
  took: readonly Told[],
  { release, index, parameters, delivery, timeout, cause }: Way,
  held: Held,
): Promise<Told[]> {
  const present = took.map(({ instance }) => instance);
  const operation = takingBack(work.operation, index, present.length, cause);
  held.leave({ operation, instances: present, release: { id: release, commit: '' } });
  // The checks of this release are not those of the one before, which its host asks.
  const back = { ...work, operation, checks: [] };
  const order = { parameters: { ...parameters, release, data: 'same' }, delivery, timeout, present };
  try {
    const outcomes = await sendToFleet(back, order, held);
    const { instances } = await judge(back, outcomes, blank(), held.signal);
    const told = new Map(instances.map((one) => [one.instance, one]));
    return took.map((one) => {
      const own = told.get(one.instance);
      return own ? { ...afterTakingBack(one, own, work.operation.app, cause), more: join(one, own) } : one;
    });
  } catch (error) {
    held.signal.throwIfAborted();
    return took.map((one) => staysOn(one, `it could not be taken back. ${sentenceOf(error)}`, cause));
  }
}

/** An operation of its own: the host's journal knows the one that it undoes as done. */
function takingBack(operation: Operation, index: number, errors: number, { reason }: Cause): Operation {
  const name = index === 0 ? 'take-back' : `take-back-${index + 1}`;
  // What users meet is not well: by the switch alone it is quicker than by a deploy.
  const document = reason === 'degraded' ? 'rollback' : operation.document;
  const part = partOf(operation, { name, action: 'take-back', document });
  return { ...part, rollout: { ...operation.rollout, errors } };
}

const blank = (): Report => ({ title: '', started: 0, facts: [], instances: [], known: {} });

/** The steps of both, and what the checks answer now. */
function join({ more: first }: Told, { more: second }: Told): Told['more'] {
  if (!first || !second) return second ?? first;
  return { ...second, steps: [...first.steps, ...second.steps] };
}

function settleAs(judged: Judged, after: readonly Told[], app: string, report: Report): Judged {
  const told = new Map(after.map((one) => [one.instance, one]));
  return conclude(
    judged.instances.map((one) => told.get(one.instance) ?? one),
    app,
    report,
  );
}
