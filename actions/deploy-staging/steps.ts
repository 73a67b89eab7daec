import type { InputsOf } from '../../src/action/declaration.ts';
import { messageOf } from '../../src/action/errors.ts';
import type { Job } from '../../src/action/job.ts';
import { say, warn } from '../../src/action/log.ts';
import { writeOutputs } from '../../src/action/outputs.ts';
import { type Result, succeeded } from '../../src/action/result.ts';
import { state } from '../../src/action/state.ts';
import { code, escapeMarkdown, link } from '../../src/action/summary.ts';
import type { Config } from '../../src/config/config.ts';
import type { GitHub } from '../../src/github/github.ts';
import { appendEntry } from '../../src/ledger/ledger.ts';
import { probe, runCommand } from '../../src/operation/command.ts';
import { refuseOldCode } from '../../src/operation/descent.ts';
import { readLive } from '../../src/operation/live.ts';
import type { Services } from '../../src/operation/operation.ts';
import { type InstanceOutcome, outcomeOf, overall } from '../../src/operation/outcome.ts';
import type { Report } from '../../src/operation/report.ts';
import { settle } from '../../src/operation/settle.ts';
import { describeUsers, type Told } from '../../src/operation/summary.ts';
import { believe, readTold } from '../../src/operation/telling.ts';
import { writeReceipt } from '../../src/receipt/receipt.ts';
import { openRelease } from '../../src/release/open.ts';
import type { BuiltRelease, StoredRelease } from '../../src/release/store.ts';
import { declaration } from './declaration.ts';
import { describePlan, type Plan } from './plan.ts';

type Inputs = InputsOf<typeof declaration.inputs>;

/** Reads the archive as data, and checks that it is what the build job packed. */
export async function readRelease(inputs: Inputs): Promise<{ config: Config; release: BuiltRelease }> {
  const { id, size, config, description } = await openRelease(inputs.archive, inputs.release);
  return { config, release: { id, size, path: inputs.archive, commit: description.commit } };
}

/** Prints the plan before anything is done, and notes it for the summary. */
export function tellPlan(plan: Plan, job: Job, report: Report): void {
  for (const line of describePlan(plan)) say(line);
  const { operation, release, url } = plan;
  const commitUrl = `${job.runUrl.split('/actions/')[0]}/commit/${release.commit}`;
  report.title = `${operation.app} to ${operation.environment}`;
  report.known = {
    ...{ app: operation.app, environment: operation.environment, operation: operation.id },
    ...{ release: release.id, commit: release.commit },
  };
  report.facts = [
    ['Release', code(release.id.slice(0, 12))],
    ['Commit', link(commitUrl, code(release.commit.slice(0, 12)))],
    ...(url ? [['Address', link(url, escapeMarkdown(url))] as [string, string]] : []),
    ['Operation', code(operation.id)],
  ];
  writeOutputs(declaration.outputs, { release: release.id, operation: operation.id, url });
}

/** Logs and answers of the app may be shown where not everybody reads them. */
export async function mayExcerpt(
  asked: Inputs['excerpts'],
  github: Pick<GitHub, 'isPublic'>,
): Promise<boolean> {
  if (asked !== 'auto') return asked === 'on';
  return !(await github.isPublic());
}

/** Asks the hosts what is live, and refuses when the commit does not descend from it. */
export async function refuseGoingBack(
  services: Services,
  { operation, release }: Plan,
  instances: readonly string[],
  github: Pick<GitHub, 'compare'>,
  signal: AbortSignal,
): Promise<void> {
  const states = await probe(services, operation, instances, 'none', signal);
  const live = readLive(instances, states, operation.app);
  await refuseOldCode(github, live, release.commit);
}

/** What the steps below work on. */
export interface Work {
  readonly services: Services;
  readonly plan: Plan;
  readonly stored: StoredRelease;
  readonly instances: readonly string[];
  readonly fence: number;
  readonly excerpts: boolean;
}

/** Sends the deploy to the whole fleet, and follows it until every instance has ended. */
export async function sendDeploy(work: Work, signal: AbortSignal): Promise<InstanceOutcome[]> {
  const { services, plan, stored, instances, fence, excerpts } = work;
  const { operation, timeout } = plan;
  if (stored.build === 'earlier') {
    say(`an earlier build of this commit was first: its release ${stored.id.slice(0, 12)} is deployed`);
  }
  const parameters = { release: stored.id, fence: String(fence), excerpts: excerpts ? 'on' : 'off' };
  const onSent = state.command.save;
  const task = { document: 'deploy', parameters, timeout, instances, by: 'fleet', onSent } as const;
  const invocations = await runCommand(services, operation, task, signal);
  return invocations.map((invocation) =>
    outcomeOf(invocation, { app: operation.app, operation: operation.id }),
  );
}

/** What it came to, and whether a host may still be at work. */
export interface Judged {
  readonly result: Result;
  readonly instances: readonly Told[];
  readonly open: boolean;
}

/** How long hosts that gave no result are asked what became of the operation. */
const settleMs = 60_000;

/** Asks the hosts that gave no result, compares each word with what the checks answered, and judges the whole. */
export async function judge(work: Work, first: readonly InstanceOutcome[], report: Report): Promise<Judged> {
  const { services, plan } = work;
  const { operation, checks } = plan;
  const settling = { services, operation, limitMs: settleMs, neverStarted: 'command-failed' } as const;
  const told = await readTold(services, operation, await settle(first, settling));
  const instances = told.map((one) => believe(one, checks, operation.app));
  for (const { instance, result, reason, sentence } of instances) {
    say(`${instance}  ${result} (${reason}): ${sentence}`);
  }
  const judged = {
    result: overall(instances, operation.app),
    instances,
    open: instances.some(({ open }) => open),
  };
  note(judged, work, report);
  return judged;
}

/** Notes what was judged for summary and outputs. */
function note({ instances }: Judged, { stored }: Work, report: Report): void {
  const users = describeUsers(instances);
  report.instances = instances;
  report.known['release'] = stored.id;
  report.facts.splice(0, 1, ['Release', `${code(stored.id.slice(0, 12))}${noteOf(stored)}`]);
  report.facts.push(['Instances', instances.map(({ instance }) => code(instance)).join(', ')]);
  if (users) report.facts.push(['Users', users]);
  writeOutputs(declaration.outputs, { release: stored.id });
}

function noteOf({ build }: StoredRelease): string {
  return build === 'earlier' ? ' (the first build of this commit; this run built other bytes)' : '';
}

/** Writes the ledger, and a receipt of a healthy release. The truth is on the host: without them it is only unproven. */
export async function record(
  work: Work,
  { result, instances }: Judged,
  job: Job,
  report: Report,
): Promise<void> {
  const { services, plan, stored } = work;
  const { operation, release } = plan;
  const { bucket } = services;
  const { app, environment, id } = operation;
  const until = bucket.now();
  try {
    await appendEntry(bucket, {
      ...{ operation: id, action: operation.action, app, environment, actor: job.actor, run: job.runUrl },
      ...{ result: result.result, reason: result.reason, sentence: result.sentence },
      ...{
        release: stored.id,
        commit: release.commit,
        seconds: Math.round((services.now() - report.started) / 1000),
      },
      instances: instances.map(({ instance, result, reason }) => ({ instance, result, reason })),
    });
    if (!succeeded(result)) return;
    await writeReceipt(bucket, {
      ...{ app, environment, commit: release.commit, release: stored.id, operation: id },
      ...{ instances: instances.map(({ instance }) => instance), from: until, until },
    });
  } catch (error) {
    warn(
      `The ledger or the receipt could not be written, so a promotion will lack its proof: ${messageOf(error)}`,
    );
  }
}
