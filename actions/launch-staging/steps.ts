import * as z from 'zod/mini';
import { OperationError, sentenceOf } from '../../src/action/errors.ts';
import { inSeconds, phase, say, warn } from '../../src/action/log.ts';
import { writeOutputs } from '../../src/action/outputs.ts';
import { resultOf } from '../../src/action/result.ts';
import { state } from '../../src/action/state.ts';
import { code, escapeMarkdown } from '../../src/action/summary.ts';
import { jitter } from '../../src/aws/time.ts';
import type { HostState } from '../../src/command/result-line.ts';
import type { ImageFacts } from '../../src/image/image.ts';
import { listInstances } from '../../src/instance/find.ts';
import { type LaunchedHost, launchHost, removeHost } from '../../src/instance/host-stack.ts';
import { probe } from '../../src/operation/command.ts';
import { enrol } from '../../src/operation/enrol.ts';
import { conclude, type Judged } from '../../src/operation/judge.ts';
import type { Review } from '../../src/operation/leftover.ts';
import {
  accountOf,
  connect,
  type Operation,
  type Services,
  savedAccount,
} from '../../src/operation/operation.ts';
import { instanceOutcome } from '../../src/operation/outcome.ts';
import type { Report } from '../../src/operation/report.ts';
import type { Told } from '../../src/operation/summary.ts';
import { declaration } from './declaration.ts';
import { describePlan, type Plan } from './plan.ts';

const removeLimitMs = 15 * 60_000;
/** GitHub gives a cancelled job five minutes. */
const postLimitMs = 200_000;

/** Prints the plan before anything is done, and notes it for the summary. */
export function tellPlan(plan: Plan, report: Report): void {
  for (const line of describePlan(plan)) say(line);
  const { operation, stack } = plan;
  report.title = `Launch of ${operation.app} in ${operation.environment}`;
  report.known = {
    ...{ app: operation.app, environment: operation.environment, operation: operation.id, stack },
  };
  report.facts = [
    ['Stack', code(stack)],
    ['Operation', code(operation.id)],
  ];
  writeOutputs(declaration.outputs, { operation: operation.id, stack });
}

export function tellImage(image: ImageFacts, report: Report): void {
  say(
    `${image.id} (${image.name}) of ${new Date(image.created).toISOString()}, release ${image.release || 'unknown'}`,
  );
  if (!image.golden) warn(`${image.id} is not golden: no instance that was booted from it has been healthy.`);
  report.facts.splice(0, 0, ['Image', `${code(image.id)} ${image.golden ? '(golden)' : '(not golden)'}`]);
  writeOutputs(declaration.outputs, { image: image.id });
}

/** An instance of the environment that is there before. */
interface Former {
  readonly id: string;
  readonly state: string;
  /** The stack that a launch made it as; only such a one can be replaced. */
  readonly stack: string;
}

const there = ['pending', 'running', 'stopping', 'stopped'] as const;

/**
 * What the new instance is to replace.
 * @throws OperationError where an instance runs that no launch has made: two would be one environment, for good
 */
export async function findFormers(
  { clients }: Pick<Services, 'clients'>,
  { app, environment }: Operation,
): Promise<Former[]> {
  const listed = await listInstances(clients.ec2, app, environment, there);
  const all = listed.map(({ id, state, tags }) => ({ id, state, stack: tags['Stack'] ?? '' }));
  const foreign = all.find(({ stack, state }) => stack === '' && state !== 'stopped');
  if (foreign) {
    throw new OperationError({
      reason: 'former-foreign',
      happened: `It is of ${environment}, and was not launched by launch-staging, which therefore cannot replace it.`,
      instance: foreign.id,
      stateNow: 'Nothing was changed.',
      todo: `Stop it, or take its tag App away: aws ec2 stop-instances --instance-ids ${foreign.id}; then run this job again.`,
    });
  }
  const own = all.filter(({ stack }) => stack !== '');
  for (const { id, state, stack } of own) say(`${id} (${state}) of the stack ${stack} is to be replaced`);
  if (own.length === 0) say('nothing is there to be replaced');
  return own;
}

interface Scene {
  readonly services: Services;
  readonly plan: Plan;
  readonly image: ImageFacts;
  readonly formers: readonly Former[];
  readonly report: Report;
  readonly signal: AbortSignal;
}

/** What main leaves for post where it was cut off. */
const left = z.object({
  account: savedAccount,
  stack: z.string(),
});

/** Makes the stack, and waits for the agent of its host. */
export async function launchIt({ services, plan, image, report, signal }: Scene): Promise<LaunchedHost> {
  const { operation, stack, disk, lifeMs, atEnd, access, address, type, service } = plan;
  const { app, environment, id, region, bucket, roleArn } = operation;
  const ends =
    lifeMs === undefined ? '' : new Date(services.bucket.now() + lifeMs).toISOString().slice(0, 19);
  const host = await launchHost(services, {
    ...{ stack, template: 'staging-host', builder: `${app}-${environment}-builder`, bucket, region },
    ...(roleArn !== undefined && { roleArn }),
    parameters: {
      ...{ App: app, Environment: environment, Operation: id, Image: image.id },
      ...{ RootDevice: image.root.device, RootSize: String(disk), Ends: ends, AtEnd: atEnd },
      ...{ Port: String(service.listen), Access: access, Address: address, InstanceType: type },
    },
    tags: { App: app, Environment: environment, Operation: id },
    signal,
    onAsk: () => state.stack.save(JSON.stringify({ account: accountOf(operation), stack })),
  });
  const listed = await listInstances(services.clients.ec2, app, environment, ['running']);
  const where = listed.find((each) => each.id === host.instance)?.address ?? '';
  if (where) report.facts.push(['Reached at', code(`${where}:${service.listen}`)]);
  if (ends) report.facts.push(['Lives until', `${ends.replace('T', ' ')} UTC, then AWS will ${atEnd} it`]);
  writeOutputs(declaration.outputs, { instance: host.instance, address: where });
  return host;
}

const lone = ({ services, plan, signal }: Scene, { instance }: LaunchedHost) => ({
  ...{ services, operation: plan.operation, instance, environment: plan.operation.environment, signal },
});

/** Makes it a host of its environment: what its image held is scrubbed before anything starts. */
export async function enrolIt(scene: Scene, host: LaunchedHost): Promise<void> {
  const { service, workers, operation } = scene.plan;
  const { sentence, more } = await enrol(lone(scene, host), {
    ...{ id: `${operation.id}-enrol`, service, workers },
    ...(operation.backups !== undefined && { backups: operation.backups }),
  });
  say(`${host.instance}  ${sentence}`);
  const scrubbed = more?.steps.some(({ name, ok }) => name === 'scrub' && ok) ?? false;
  scene.report.facts.push(['Scrubbed', scrubbed ? "by the release's hook, before anything started" : 'no']);
}

/** The new instance, and what it says of itself. */
interface Healthy {
  readonly host: LaunchedHost;
  readonly state: HostState;
}

/** @throws OperationError when its release is not healthy in time */
export async function awaitHealthy(scene: Scene, host: LaunchedHost): Promise<Healthy> {
  const { services, plan, signal } = scene;
  const { operation, healthyMs } = plan;
  const { instance } = host;
  for (const started = services.now(); ; await services.sleep(jitter(3000), signal)) {
    const seen = (await probe(services, operation, [instance], {}, signal)).get(instance);
    if (seen?.live && seen.healthy) {
      say(`${instance}  release ${seen.live} is healthy after ${inSeconds(services.now() - started)}`);
      return { host, state: seen };
    }
    const over = services.now() - started > healthyMs;
    if (seen && !seen.live) throw notHealthy(instance, 'Its image holds no live release of the app.');
    if (over)
      throw notHealthy(
        instance,
        `Release ${seen?.live ?? ''} is not healthy. ${seen?.sentence ?? ''}`.trim(),
      );
  }
}

function notHealthy(instance: string, happened: string): OperationError {
  return new OperationError({
    ...{ reason: 'launch-failed', outcome: 'failed', instance, happened, stateNow: '' },
    todo: 'Prove the image by create-ami, or deploy what is on main to production first; then run this job again.',
  });
}

/** Whatever fails on the way to a healthy instance, it is gone afterwards; what was there goes on. */
export async function undoing<Value>(scene: Scene, work: () => Promise<Value>): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    // After a cancel, for which GitHub gives seconds, post does it.
    if (scene.signal.aborted) throw error;
    const why = await phase('Remove the new instance', () => remove(scene.services, scene.plan.stack));
    throw tellUndone(error, scene, why);
  }
}

async function remove(
  services: Services,
  stack: string,
  limitMs = removeLimitMs,
): Promise<string | undefined> {
  const why =
    state.stack.read() === '' && limitMs === postLimitMs
      ? undefined
      : await removeHost(services, stack, limitMs);
  if (why === undefined) say(`the stack ${stack} is gone, and its instance with it`);
  else warn(`${leftOver(stack)} (${why})`);
  return why;
}

const leftOver = (stack: string): string =>
  `The stack ${stack} is not gone, and costs about 0.05 USD an hour: aws cloudformation delete-stack --stack-name ${stack}`;

function tellUndone(error: unknown, { formers, plan }: Scene, why: string | undefined): OperationError {
  const known = error instanceof OperationError ? error : undefined;
  const before = formers.length === 0 ? '' : ` ${formers.map(({ id }) => id).join(', ')} goes on as it was.`;
  const now = why === undefined ? 'The new instance is removed again.' : `${leftOver(plan.stack)}.`;
  return new OperationError({
    reason: known?.reason ?? 'launch-failed',
    outcome: known && known.outcome !== 'refused' ? known.outcome : 'failed',
    happened: known ? known.happened : sentenceOf(error),
    ...(known?.instance && { instance: known.instance }),
    stateNow: `${now}${before}`,
    todo: known?.todo ?? 'Mend what the sentence names; then run this job again.',
    cause: error,
  });
}

/** Removes what was there before, now that the new one is healthy, and judges the whole. */
export async function replace(scene: Scene, { host, state: seen }: Healthy): Promise<Judged> {
  const { services, plan, image, formers, report } = scene;
  // From here on the new one stays.
  state.stack.save('');
  const stacks = [...new Set(formers.map(({ stack }) => stack))];
  const kept: string[] = [];
  for (const stack of stacks) {
    if ((await remove(services, stack)) !== undefined) kept.push(stack);
  }
  const { app, environment } = plan.operation;
  const release = seen.live ?? '';
  const replaced = formers.length === 0 ? '' : ` ${formers.map(({ id }) => id).join(', ')} is gone.`;
  const sentence = `${host.instance} is ${environment} now, launched from ${image.id}, and healthy on release ${release}.`;
  const result =
    kept.length === 0
      ? resultOf({ outcome: 'done', reason: 'launched', sentence: `${sentence}${replaced}`, app })
      : resultOf({
          ...{ outcome: 'failed', reason: 'former-left', app },
          sentence: `${sentence} ${kept.join(', ')} could not be removed, so ${environment} has two instances.`,
        });
  if (stacks.length > 0) report.facts.push(['Replaced', escapeMarkdown(stacks.join(', '))]);
  const told: Told = { ...instanceOutcome(host.instance, result, false), release, more: undefined };
  return conclude([told], app, report);
}

/** In post: removes what main left, with credentials that are taken afresh, and tells what to say of it. */
export async function removeLaunched(): Promise<Review> {
  const text = state.stack.read();
  if (text === '') return async (_services, _operation, told) => told;
  const { account, stack } = left.parse(JSON.parse(text));
  const services = connect(account);
  const why = await phase('Remove the new instance', () => remove(services, stack, postLimitMs));
  const sentence =
    why === undefined
      ? 'It was cancelled, and the new instance is removed again; what was there goes on as it was.'
      : `It was cancelled. ${leftOver(stack)}.`;
  return async (_services, { app }) => {
    const outcome = why === undefined ? 'refused' : 'unknown';
    const result = resultOf({ outcome, reason: 'cancelled', sentence, app });
    return [{ ...instanceOutcome(stack, result, false), more: undefined }];
  };
}
