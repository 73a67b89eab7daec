import { OperationError, sentenceOf } from '../../src/action/errors.ts';
import type { Job } from '../../src/action/job.ts';
import { inSeconds, inSpan, phase, say, warn } from '../../src/action/log.ts';
import { writeOutputs } from '../../src/action/outputs.ts';
import { type Result, resultOf, succeeded } from '../../src/action/result.ts';
import { resultOfError, tellCauses } from '../../src/action/run.ts';
import { code, escapeMarkdown, table } from '../../src/action/summary.ts';
import { tellFailedCall } from '../../src/aws/errors.ts';
import { requireBucket } from '../../src/aws/require-bucket.ts';
import { backUpFirst } from '../../src/backup/take.ts';
import type { Config } from '../../src/config/config.ts';
import type { GitHub } from '../../src/github/github.ts';
import { awaitImage } from '../../src/image/follow.ts';
import { findImage, type ImageFacts, isOf, isUsable, listImages } from '../../src/image/image.ts';
import { deprecateAt, ensureImage } from '../../src/image/make.ts';
import { awaitHealthy, proveImage } from '../../src/image/prove.ts';
import { listLooseSnapshots, type Removed, removeAll } from '../../src/image/remove.ts';
import { type Fate, findOrphans, planRetention, type Snapshot } from '../../src/image/retention.ts';
import { findUsage } from '../../src/image/usage.ts';
import { findTargets, type Target } from '../../src/instance/find.ts';
import { probe } from '../../src/operation/command.ts';
import { type Held, holdingLease } from '../../src/operation/hold.ts';
import type { Judged } from '../../src/operation/judge.ts';
import { connect, type Operation, type Services } from '../../src/operation/operation.ts';
import { record } from '../../src/operation/record.ts';
import type { Report } from '../../src/operation/report.ts';
import { declaration } from './declaration.ts';
import { describePlan, type Plan } from './plan.ts';

/** Prints the plan before anything is done, and notes it for the summary. */
export function tellPlan(plan: Plan, report: Report): void {
  for (const line of describePlan(plan)) say(line);
  const { operation } = plan;
  report.title = `Image of ${operation.app} in ${operation.environment}`;
  report.known = {
    ...{ app: operation.app, environment: operation.environment, operation: operation.id },
  };
  report.facts = [['Operation', code(operation.id)]];
  writeOutputs(declaration.outputs, { operation: operation.id, golden: 'false' });
}

/** Sees that the buckets are there, in the region, and closed to the public. */
export async function requireBuckets(
  { clients }: Services,
  { operation: { bucket, region }, backups }: Plan,
): Promise<void> {
  await requireBucket(clients.s3, { bucket, region });
  if (backups !== '') await requireBucket(clients.s3, { bucket: backups, region });
}

/** What the story works with. */
interface Work {
  readonly services: Services;
  readonly plan: Plan;
  readonly config: Config;
  readonly github: Pick<GitHub, 'attemptHasEnded'>;
  readonly excerpts: 'on' | 'off';
  readonly job: Job;
  readonly report: Report;
  readonly signal: AbortSignal;
}

/** The backup did not come to an end on its host: post looks after it, and tells the ledger. */
interface HeldUp {
  readonly result: Result;
  readonly open: true;
}

export function isHeldUp(begun: ImageFacts | HeldUp): begun is HeldUp {
  return 'open' in begun;
}

/** Plays what comes after the lease, and writes what became of it to the ledger, also where it broke off. */
export async function recording(
  { services, plan, job, report }: Work,
  story: () => Promise<Result>,
): Promise<Result> {
  let result: Result;
  try {
    result = await story();
  } catch (error) {
    tellCauses(error);
    result = resultOfError(tellFailedCall(error));
  }
  const work = { services, operation: plan.operation, instances: [], checks: [] };
  await record(work, { result, open: false, instances: [] }, job, report);
  return result;
}

/** The image that is given, or that this run made before; else begins to make one. */
export async function beginImage(work: Work): Promise<ImageFacts | HeldUp> {
  const { services, plan } = work;
  const { given, name, reboot } = plan;
  if (given !== '') return phase('Find the image', () => findGiven(work));
  const there = await phase('Look for an image of this run', () => findImage(services, 'name', name));
  const made = there && isOf(there, plan.operation) && isUsable(there) ? there : undefined;
  if (made) say(`${made.id} was made by an earlier attempt of this run: ${made.state}`);
  // After a reboot the app must be seen to be back, whichever attempt asked for it.
  if (made && !reboot) return made;
  return makeImage(work, made !== undefined);
}

async function findGiven({ services, plan: { given, operation } }: Work): Promise<ImageFacts> {
  const found = await findImage(services, 'image-id', given);
  if (found && isOf(found, operation)) return found;
  const { app, environment } = operation;
  throw new OperationError({
    ...{ reason: 'image-failed', stateNow: 'Nothing was changed.' },
    happened: found
      ? `${given} is not tagged as an image of ${app} in ${environment}.`
      : `There is no image ${given} in this account and region.`,
    todo: 'Give the id of an image that this action made; the summary of its run tells it.',
  });
}

async function makeImage(work: Work, alreadyMade: boolean): Promise<ImageFacts | HeldUp> {
  const { services, plan, github, job, signal } = work;
  const { operation } = plan;
  const { app, environment } = operation;
  const targets = await phase('Find the instances', () => findTargets(services.clients, app, environment));
  const instance = choose(targets, plan);
  const instances = targets.map(({ id }) => id);
  const { made } = await holdingLease(
    { services, operation, github, job, instances, signal },
    async (held): Promise<{ open: boolean; made: ImageFacts | HeldUp }> => {
      const stuck = alreadyMade ? undefined : await backUp(work, instance, held);
      if (stuck) return { open: true, made: stuck };
      const image = await ask(work, instance, held);
      if (plan.reboot) await phase('Await the instance', () => awaitBack(work, instance, image, held));
      return { open: false, made: image };
    },
  );
  return made;
}

function choose(targets: readonly Target[], { instance, operation: { environment } }: Plan): string {
  const ids = targets.map(({ id }) => id);
  const [first = '', ...others] = ids;
  if (instance === '' ? others.length === 0 : ids.includes(instance)) return instance || first;
  throw new OperationError({
    ...{ reason: 'bad-input', stateNow: 'Nothing was changed.' },
    happened:
      instance === ''
        ? `${environment} has ${ids.length} instances (${ids.join(', ')}), and an image is of one.`
        : `${instance} is not a running instance of ${environment}, which has ${ids.join(', ')}.`,
    todo: `Name one of them; for example instance: ${first}.`,
  });
}

/** Gives what came of it where a host may still be at work. @throws OperationError when there is no backup to go on with */
async function backUp(work: Work, instance: string, held: Held): Promise<HeldUp | undefined> {
  const { services, plan, excerpts, job } = work;
  const { operation, delivery, timeout } = plan;
  if (!plan.backUp) return undefined;
  const own = { services, operation, instances: [instance], checks: [] };
  const { result, open }: Judged = await phase('Back up', () =>
    backUpFirst(own, { excerpts, delivery, timeout }, job, held),
  );
  if (open) return { result, open };
  if (succeeded(result)) return undefined;
  const { result: outcome, reason, sentence, todo } = result;
  const happened = `The backup before the image did not succeed: ${sentenceOf(sentence)}`;
  throw new OperationError({ reason, outcome, happened, todo, stateNow: 'No image was made.' });
}

async function ask({ services, plan }: Work, instance: string, held: Held): Promise<ImageFacts> {
  const { operation, name, reboot } = plan;
  const { app, environment, id } = operation;
  const state = await phase('Look at the release', async () =>
    (await probe(services, operation, [instance], {}, held.signal)).get(instance),
  );
  if (!state?.healthy)
    warn(
      `${instance} is ${state ? 'not healthy' : 'silent'}: the image is of it as it is, and may not be proven.`,
    );
  held.requireTime();
  const extraTags: Record<string, string> = state?.live ? { Release: state.live } : {};
  if (state?.commit) extraTags['Commit'] = state.commit;
  const order = { app, environment, instance, name, operation: id, reboot, extraTags };
  return phase('Begin the image', () => ensureImage(services, order));
}

/** While EC2 has the instance down for the image, and until its app is back, nobody else may change anything there. */
async function awaitBack(work: Work, instance: string, { id }: ImageFacts, { signal }: Held): Promise<void> {
  const { services, plan, config } = work;
  await awaitImage(services, id, undefined, signal);
  const limitMs = 120_000 + 2 * config.service.startTimeoutMs;
  const state = await awaitHealthy({ services, operation: plan.operation, instance, limitMs, signal });
  if (state?.healthy) return say(`${instance} is back, and release ${state.live} healthy on it`);
  throw new OperationError({
    ...{ reason: 'start-failed', outcome: state ? 'failed' : 'unknown', instance },
    happened: `The image ${id} was made, and the app was not seen healthy within ${inSpan(limitMs)} after the reboot for it.`,
    stateNow: state
      ? `Release ${state.live || 'none'} is live and not healthy.`
      : 'The instance does not answer.',
    todo: `See the app's log: journalctl --unit '${plan.operation.app}@*' on the instance.`,
  });
}

/** Follows the image to its end, sets its date, and notes it. */
export async function finishImage(work: Work, { id }: ImageFacts): Promise<ImageFacts> {
  const { services, plan, report, signal } = work;
  writeOutputs(declaration.outputs, { image: id });
  const started = services.now();
  const image = await awaitImage(services, id, undefined, signal).catch((error: unknown) => {
    throw signal.aborted ? leftAlone(id) : error;
  });
  await deprecateAt(services, image, services.bucket.now() + plan.deprecateMs);
  say(`${id} is available after ${inSpan(services.now() - started)}, of release ${image.release || 'none'}`);
  report.facts.push(['Image', code(id)], ['Name', code(image.name)], ['Of', code(image.instance)]);
  if (image.release !== '') report.facts.push(['Release', code(image.release)]);
  return image;
}

function leftAlone(id: string): OperationError {
  return new OperationError({
    ...{ reason: 'cancelled', outcome: 'unknown', happened: `The job was cancelled while EC2 made ${id}.` },
    stateNow: 'EC2 goes on by itself; no host was touched meanwhile.',
    todo: 'Run this job again, not a new one: it finds that image by its name.',
  });
}

/** What the image is worth: golden once it is proven, now or before. */
export async function prove(work: Work, image: ImageFacts): Promise<Result> {
  const { plan, config, report, signal } = work;
  const { backups } = plan;
  const of = `${image.id}, of ${image.instance || 'an instance that its tags do not tell'},`;
  if (image.golden) return golden(`${of} was proven before.`, 'unchanged');
  if (!plan.prove) {
    const sentence = `The image ${of} is available, and not proven.`;
    return resultOf({ outcome: 'done', reason: 'imaged', sentence });
  }
  const proof = await phase('Prove', () => {
    const { services, operation } = asProver(work);
    return proveImage({ services, operation, backups, image, config, signal });
  });
  const took = `${inSeconds(proof.launchMs)} to launch, ${inSeconds(proof.healthyMs)} until healthy`;
  report.facts.push(['Proven on', `${code(proof.instance)}, ${escapeMarkdown(took)}`]);
  report.facts.push(['Rows there', proof.rows.toLocaleString('en')]);
  const seen = `release ${proof.release} was healthy on ${proof.instance}, booted from it, on ${proof.rows.toLocaleString('en')} rows`;
  return golden(`${of} is golden: ${seen}.`, 'done');
}

/** The role that deploys may neither prepare a host nor call an image golden. */
function asProver({ services, plan: { operation, proofRole } }: Work): {
  services: Services;
  operation: Operation;
} {
  if (proofRole === undefined) return { services, operation };
  const prover = { ...operation, roleArn: proofRole };
  return { services: connect(prover), operation: prover };
}

function golden(sentence: string, outcome: 'done' | 'unchanged'): Result {
  writeOutputs(declaration.outputs, { golden: 'true' });
  return resultOf({ outcome, reason: 'golden', sentence });
}

/** Removes what nobody needs any more, told before it is done. The new image stands whatever becomes of the old ones. */
export async function tidyUp({ services, plan, report }: Work): Promise<void> {
  const { rules, operation } = plan;
  if (!rules) return say('every image stays');
  const { app, environment } = operation;
  try {
    const images = await listImages(services, app, environment);
    const usage = await findUsage(services);
    const now = services.bucket.now();
    const fates = planRetention({ images, usage, rules, now });
    const orphans = findOrphans(await listLooseSnapshots(services, app, environment), now);
    for (const line of describeFates(fates, orphans)) say(line);
    const removed = await removeAll(services, fates, orphans);
    report.account = tabulate(fates, orphans, removed);
    const stayed = removed.filter(({ problem }) => problem !== undefined);
    for (const { id, problem } of stayed) warn(`${id} could not be removed: ${problem}`);
  } catch (error) {
    warn(`Old images were not removed, and cost on: ${sentenceOf(tellFailedCall(error))}`);
  }
}

const orphaned = 'no image stands on it: an earlier failure left it';

function describeFates(fates: readonly Fate[], orphans: readonly Snapshot[]): string[] {
  return [
    ...fates.map(
      ({ image, stays, why }) => `${stays ? 'stays' : 'goes '}  ${image.id}  ${image.name}: ${why}`,
    ),
    ...orphans.map(({ id }) => `goes   ${id}: ${orphaned}`),
  ];
}

function tabulate(fates: readonly Fate[], orphans: readonly Snapshot[], removed: readonly Removed[]): string {
  const problems = new Map(removed.map(({ id, problem }) => [id, problem]));
  const fateOf = (id: string): string => {
    if (!problems.has(id)) return 'stays';
    return problems.get(id) === undefined ? 'removed' : 'could not be removed';
  };
  const rows = [
    ...fates.map(({ image, why }) => [
      code(image.id),
      new Date(image.created).toISOString().slice(0, 16).replace('T', ' '),
      image.golden ? 'golden' : escapeMarkdown(image.state),
      fateOf(image.id),
      escapeMarkdown(problems.get(image.id) ?? why),
    ]),
    ...orphans.map(({ id, started }) => [
      code(id),
      new Date(started).toISOString().slice(0, 16).replace('T', ' '),
      'snapshot',
      fateOf(id),
      escapeMarkdown(problems.get(id) ?? orphaned),
    ]),
  ];
  return `**Images of this environment**\n\n${table(['', 'Made (UTC)', 'State', '', 'Why'], rows)}`;
}
