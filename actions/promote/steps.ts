import { messageOf, OperationError, sentenceOf } from '../../src/action/errors.ts';
import { inSpan, phase, say, warn } from '../../src/action/log.ts';
import { writeOutputs } from '../../src/action/outputs.ts';
import { type Result, resultOf, succeeded } from '../../src/action/result.ts';
import { code } from '../../src/action/summary.ts';
import { backUpFirst } from '../../src/backup/take.ts';
import { awaitImage } from '../../src/image/follow.ts';
import { nameImage } from '../../src/image/image.ts';
import { ensureImage } from '../../src/image/make.ts';
import { probe } from '../../src/operation/command.ts';
import type { Held } from '../../src/operation/hold.ts';
import { conclude, type Judged, judge } from '../../src/operation/judge.ts';
import type { LiveRelease } from '../../src/operation/live.ts';
import type { Work } from '../../src/operation/operation.ts';
import { instanceOutcome } from '../../src/operation/outcome.ts';
import { recordEnd, record as recordOperation } from '../../src/operation/record.ts';
import { sendToFleet } from '../../src/operation/send.ts';
import { takeBack, takeBackWhenPartial } from '../../src/operation/take-back.ts';
import { type Baked, bake } from '../../src/promotion/bake.ts';
import { findOwnBackup } from '../../src/promotion/earlier.ts';
import { type GoalState, lookAtGoal } from '../../src/promotion/gates.ts';
import { noteIn, tellsOf } from '../../src/promotion/notes.ts';
import { wasPromoted } from '../../src/promotion/promoted.ts';
import { type BuiltRelease, storeRelease } from '../../src/release/store.ts';
import { declaration } from './declaration.ts';
import type { Workplace } from './workplace.ts';

/** What the steps under the lease work with. */
interface Stage extends Workplace {
  readonly work: Work & { readonly release: BuiltRelease };
  /** Whether the goal's bucket knew this release when the gates asked. */
  readonly known: boolean;
  readonly held: Held;
}

/** What was found under the lease. */
interface Goal extends Stage {
  readonly live: GoalState;
}

/** Whether a release is live on every instance. */
export function isLive(
  live: readonly LiveRelease[],
  { id }: Pick<BuiltRelease, 'id'>,
  instances: readonly string[],
): boolean {
  return instances.every((instance) => live.some((one) => one.instance === instance && one.release === id));
}

/** Takes the time of a part, for the ledger: a plan tells it. */
async function timed<Value>(
  { spent, work }: Stage,
  part: string,
  take: () => Promise<Value>,
): Promise<Value> {
  const started = work.services.now();
  const value = await take();
  spent[part] = Math.round((work.services.now() - started) / 100) / 10;
  return value;
}

/**
 * Looks at the goal once more, now that nobody else may change it. Where the release is live already, an attempt before this
 * one was cut off after it: what is left is to watch it.
 */
export async function lookAgain(stage: Stage): Promise<{ live: GoalState; there: Judged | undefined }> {
  const { ground, work, held, report } = stage;
  const { value: live } = await lookAtGoal({ ...ground, signal: held.signal }, work.release.commit);
  if (!isLive(live.live, work.release, live.instances)) return { live, there: undefined };
  const { app } = work.operation;
  const told = live.instances.map((instance) => {
    const deployed = resultOf({ outcome: 'done', reason: 'deployed', app });
    const release = work.release.id.slice(0, 12);
    return { ...instanceOutcome(instance, deployed, false), release, more: undefined };
  });
  return { live, there: conclude(told, app, report) };
}

/** The result of one that is live already, and was seen well through its time of watching; undefined of any other. */
export async function findPromoted({ work, plan }: Stage): Promise<Result | undefined> {
  const { services, operation, release } = work;
  const { app, environment } = operation;
  const subject = { app, environment, commit: release.commit, release: release.id };
  if (!(await wasPromoted(services.bucket, subject))) {
    say('an attempt before this one brought it there: what is left is to watch it');
    return undefined;
  }
  const sentence = `Release ${release.id.slice(0, 12)} of ${plan.tag} was promoted to ${environment} already, and is live there.`;
  return resultOf({ outcome: 'unchanged', reason: 'already-live', sentence, app });
}

/** So long a backup of an attempt that was cut off is as good as a new one. */
const freshMs = 3_600_000;

/** Backs up what is there, and gives what it came to where that was not well. */
export async function backUp(stage: Goal): Promise<Judged | undefined> {
  const { work, held, plan, job, ground, excerpts, live, report } = stage;
  const instances = live.present.filter((id) => live.live.some(({ instance }) => instance === id));
  if (instances.length === 0) {
    say('nothing is live there yet, so there is nothing to back up');
    return undefined;
  }
  const earlier = job.attempt > 1 && (await findOwnBackup(ground.backups, work.operation, freshMs));
  if (earlier) {
    say(`an attempt before this one made ${earlier}`);
    report.facts.push(['Backup', code(earlier)]);
    return undefined;
  }
  const order = { excerpts, delivery: plan.delivery, timeout: plan.timeout };
  const own = { ...work, instances };
  const judged = await timed(stage, 'back-up', () => backUpFirst(own, order, job, held));
  const manifests = judged.instances.flatMap(({ manifest }) => manifest ?? []);
  if (succeeded(judged.result)) {
    report.facts.push(['Backup', manifests.map(code).join(', ')]);
    return undefined;
  }
  const sentence = `The backup before the promotion did not succeed, and the release was not deployed. ${judged.result.sentence}`;
  return { ...judged, result: { ...judged.result, sentence } };
}

/** No image is made sooner. */
const imageMs = 2_000;

/** Makes an image of what is there: the way back for the whole machine. Of a fleet, of its first instance. */
export async function makeImage(stage: Goal): Promise<void> {
  const { work, held, live, report } = stage;
  const { services, operation } = work;
  const { app, environment, run, id } = operation;
  const [instance = ''] = live.present;
  const before = live.live.find((one) => one.instance === instance)?.release.slice(0, 12);
  held.requireTime();
  const made = await timed(stage, 'make-image', async () => {
    const { id: image, state } = await ensureImage(services, {
      ...{ app, environment, instance, name: nameImage(app, environment, run), operation: id },
      ...{ reboot: false, extraTags: { ...(before && { Release: before }) } },
    });
    if (state === 'pending') await services.sleep(imageMs, held.signal);
    return awaitImage(services, image, undefined, held.signal);
  });
  report.facts.push(['Image', code(made.id)]);
  writeOutputs(declaration.outputs, { image: made.id });
}

/** Stores the release where the hosts of the goal read it. */
export async function storeHere(stage: Stage): Promise<void> {
  const { work, held, known } = stage;
  const { services, operation, release } = work;
  held.requireTime();
  const { app, environment } = operation;
  const first = known ? release.id : undefined;
  const stored = await timed(stage, 'store-release', () =>
    storeRelease(services.bucket, app, environment, release, async () => first),
  );
  if (stored.id === release.id) return;
  throw new OperationError({
    reason: 'bad-digest',
    happened: `Commit ${release.commit.slice(0, 12)} became release ${stored.id.slice(0, 12)} in ${operation.environment} meanwhile.`,
    stateNow: 'Nothing was deployed.',
    todo: 'Find out who wrote it into the bucket.',
  });
}

const orderOf = ({ work, held, excerpts, plan, live }: Goal) => ({
  parameters: { release: work.release.id, fence: String(held.fence), excerpts },
  ...{ delivery: plan.delivery, timeout: plan.timeout, present: live.present },
});

export async function deploy(stage: Goal): Promise<Judged> {
  const { work, held, plan, report, live } = stage;
  const order = orderOf(stage);
  return timed(stage, 'deploy', async () => {
    const outcomes = await phase('Deploy', () => sendToFleet(work, order, held));
    const first = await phase('Judge', () => judge(work, [...outcomes, ...live.absent], report, held.signal));
    const { partial } = plan.environment.rollout;
    return takeBackWhenPartial(work, first, { live: live.live, partial, order }, report, held);
  });
}

/** Watches what went live, and takes it back where it does not stay well. */
export async function watch(stage: Goal, judged: Judged): Promise<Judged> {
  const { work, held, plan } = stage;
  if (!succeeded(judged.result)) return judged;
  const { bakeMs } = plan.environment;
  const instances = judged.instances.filter(succeeded).map(({ instance }) => instance);
  const { services, operation, release } = work;
  const { app, environment } = operation;
  const baking = { services, operation, instances, release: release.id, bakeMs, signal: held.signal };
  const short = release.id.slice(0, 12);
  let baked: Baked;
  try {
    baked = await timed(stage, 'bake', () => phase('Watch', () => bake(baking)));
  } catch (error) {
    held.signal.throwIfAborted();
    const sentence = `Release ${short} is live in ${environment}, and was healthy when it went live, but could not be watched: ${sentenceOf(error)}`;
    const todo = 'Run this job again: it goes on to watch it.';
    return {
      ...judged,
      result: resultOf({ outcome: 'unknown', reason: 'no-result', sentence, todo, app }),
    };
  }
  if (!baked.well) return degrade(stage, judged, baked);
  const sentence = `Release ${short} of ${plan.tag} is live in ${environment}, and was healthy for the ${inSpan(bakeMs)} in which it was watched.`;
  return { ...judged, result: resultOf({ outcome: 'done', reason: 'promoted', sentence, app }) };
}

/** Takes a release back that did not stay well. */
async function degrade(
  stage: Goal,
  judged: Judged,
  { watchedMs, problems }: { watchedMs: number; problems: ReadonlyMap<string, string> },
): Promise<Judged> {
  const { work, held, report } = stage;
  const told = [...problems].map(([instance, problem]) => `${instance}: ${problem}`).join('; ');
  const why = `after ${inSpan(watchedMs)} it was not well any more (${told})`;
  warn(`It was healthy when it went live; ${why}`);
  const order = orderOf(stage);
  return phase('Take back', async () => {
    const live = await findBefore(stage);
    // Users meet it: from here on somebody waits for each second.
    const { pace: _, ...services } = work.services;
    return takeBack(
      { ...work, services },
      judged,
      { live, order, cause: { reason: 'degraded', why } },
      report,
      held,
    );
  });
}

/** What was live before; where an earlier attempt brought the release there, by the word of the hosts. */
async function findBefore({ work, held, live }: Goal): Promise<LiveRelease[]> {
  const { services, operation, release } = work;
  const before = live.live.filter((one) => one.release !== release.id);
  if (before.length > 0) return before;
  const states = await probe(services, operation, live.present, { ask: 'kept' }, held.signal);
  return [...states].flatMap(([instance, { kept = [] }]) =>
    kept.slice(0, 1).map(({ commit, release: id }) => ({ instance, commit, release: id })),
  );
}

/** Writes the ledger and the receipt, and adds to the notes of the tag's release. */
export async function record(stage: Stage, judged: Judged): Promise<void> {
  const { work, job, report, spent } = stage;
  await recordOperation(work, judged, job, report, spent);
  await note(stage, judged.result, () => true);
}

/** Of one that was promoted already, writes the ledger, and the notes where they do not tell of it. */
export async function recordPromoted(stage: Stage, result: Result): Promise<void> {
  const { work, job, report } = stage;
  await recordEnd({ ...work, job, started: report.started }, result);
  await note(stage, { ...result, result: 'done' }, (notes) => !tellsOf(notes, work.operation.environment));
}

/** Adds to the notes of the tag's release, where they lack it. */
async function note(
  { work, job, releases, plan }: Stage,
  { result, sentence }: Pick<Judged['result'], 'sentence'> & { readonly result: string },
  lack: (notes: string) => boolean,
): Promise<void> {
  const { environment } = work.operation;
  const time = new Date(work.services.bucket.now()).toISOString();
  const told = { environment, result, sentence, time, release: work.release.id, runUrl: job.runUrl };
  try {
    const noted = await releases.rewriteNotes(plan.tag, (notes) =>
      lack(notes) ? noteIn(notes, told) : notes,
    );
    say(noted ? `noted in the release of ${plan.tag}` : `${plan.tag} has no release on GitHub to note it in`);
  } catch (error) {
    warn(`The notes of the release could not be written: ${messageOf(error)}`);
  }
}
