import type { InputsOf } from '../../src/action/declaration.ts';
import type { Job } from '../../src/action/job.ts';
import { say } from '../../src/action/log.ts';
import { writeOutputs } from '../../src/action/outputs.ts';
import { code, escapeMarkdown, link } from '../../src/action/summary.ts';
import type { Config } from '../../src/config/config.ts';
import type { GitHub } from '../../src/github/github.ts';
import type { Target } from '../../src/instance/find.ts';
import { probe } from '../../src/operation/command.ts';
import { refuseOldCode } from '../../src/operation/descent.ts';
import { type Fleet, readFleet } from '../../src/operation/fleet.ts';
import { type LiveRelease, readBefore, readLive } from '../../src/operation/live.ts';
import type { Work } from '../../src/operation/operation.ts';
import type { Report } from '../../src/operation/report.ts';
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

/** Tells when another release is deployed than this run built: the first build of a commit is the commit's. */
export function tellStored({ id, build }: StoredRelease, report: Report): void {
  if (build !== 'earlier') return;
  const short = id.slice(0, 12);
  say(`an earlier build of this commit was first: its release ${short} is deployed`);
  report.known['release'] = id;
  const note = ' (the first build of this commit; this run built other bytes)';
  report.facts.splice(0, 1, ['Release', `${code(short)}${note}`]);
  writeOutputs(declaration.outputs, { release: id });
}

/** Asks the hosts what is live, and refuses when the commit does not descend from it, or too many do not answer. */
export async function askFleet(
  { services, operation, release }: Required<Work>,
  targets: readonly Target[],
  github: Pick<GitHub, 'compare'>,
  report: Report,
  signal: AbortSignal,
): Promise<Fleet & { readonly live: readonly LiveRelease[] }> {
  const { app, rollout } = operation;
  const online = targets.flatMap(({ id, agent }) => (agent.online ? [id] : []));
  const states = await probe(services, operation, online, {}, signal);
  const fleet = readFleet(targets, states, app, rollout.errors);
  const live = readLive(states, app);
  for (const before of readBefore(states)) {
    say(`before this: ${before}`);
    report.facts.push(['Before this', escapeMarkdown(before)]);
  }
  await refuseOldCode(github, live, release.commit);
  return { ...fleet, live };
}
