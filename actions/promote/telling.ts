import { inBytes, inSpan, say } from '../../src/action/log.ts';
import { writeOutputs } from '../../src/action/outputs.ts';
import { type Result, resultOf } from '../../src/action/result.ts';
import { code, escapeMarkdown, link, table } from '../../src/action/summary.ts';
import { readUsual } from '../../src/ledger/usual.ts';
import type { Report } from '../../src/operation/report.ts';
import type { Candidate } from '../../src/promotion/gates.ts';
import { declaration } from './declaration.ts';
import { describePlan, type Plan } from './plan.ts';
import { isLive } from './steps.ts';
import type { Workplace } from './workplace.ts';

/** Prints the plan before anything is done, and notes it for the summary. */
export function tellPlan(plan: Plan, report: Report): void {
  for (const line of describePlan(plan)) say(line);
  const { operation, origin, tag, url, planned } = plan;
  const way = `${operation.app} from ${origin.environment} to ${operation.environment}`;
  report.title = `${planned ? 'Plan to promote' : 'Promotion of'} ${tag} of ${way}`;
  report.known = {
    ...{ app: operation.app, environment: operation.environment, operation: operation.id },
    ...{ tag, from: origin.environment },
  };
  report.facts = [
    ['Tag', code(tag)],
    ...(url ? [['Address', link(url, escapeMarkdown(url))] as [string, string]] : []),
    ['Operation', code(operation.id)],
  ];
  writeOutputs(declaration.outputs, { operation: operation.id, url });
}

/** Notes what passed the gates. */
export function tellCandidate(
  { plan, job, report, evidence }: Workplace,
  { release, state }: Candidate,
): void {
  const commitUrl = `${job.runUrl.split('/actions/')[0]}/commit/${release.commit}`;
  report.known = { ...report.known, release: release.id, commit: release.commit };
  report.facts.splice(
    1,
    0,
    ['Release', code(release.id.slice(0, 12))],
    ['Commit', link(commitUrl, code(release.commit.slice(0, 12)))],
  );
  for (const before of state.before) report.facts.push(['Before this', escapeMarkdown(before)]);
  const rows = evidence.map(([name, seen]) => ['✓', escapeMarkdown(name), escapeMarkdown(seen)]);
  report.account = `**What it has shown**\n\n${table(['', 'Gate', 'What was seen'], rows)}`;
  writeOutputs(declaration.outputs, { release: release.id });
  say(`${release.id.slice(0, 12)} may go from ${plan.origin.environment} to ${plan.operation.environment}`);
}

/** Prints each step that would be taken, with its usual time, and ends there. */
export async function tellSteps(
  { plan, ground, report }: Workplace,
  { release, state }: Candidate,
): Promise<Result> {
  const { services, operation } = ground.goal;
  const { app, environment } = operation;
  const usual = await readUsual(services.bucket, app, environment);
  const time = (seconds: number | undefined): string =>
    seconds === undefined ? 'not known yet' : inSpan(seconds * 1000);
  const parts = isLive(state.live, release, state.instances)
    ? []
    : [
        ['back up', `to ${plan.backups}`, time(usual('backup'))],
        ['make an image', `of ${state.present[0] ?? ''}`, time(usual('promote', 'make-image'))],
        ['copy the release', inBytes(release.size), time(usual('promote', 'store-release'))],
        ['deploy', `to ${state.present.join(', ')}`, time(usual('promote', 'deploy'))],
      ];
  const steps = [
    ...parts,
    ['watch', 'each minute', inSpan(plan.environment.bakeMs)],
    ['record', 'the ledger, a receipt, the notes of the release', time(undefined)].slice(0, 2).concat(''),
  ];
  for (const [name = '', what = '', took = ''] of steps)
    say(`  ${name.padEnd(17)} ${what.padEnd(40)} ${took}`);
  const rows = steps.map((step) => step.map(escapeMarkdown));
  report.account = `${report.account ?? ''}\n\n**What would be done**\n\n${table(['Step', '', 'Usually takes'], rows)}`;
  const sentence = `Release ${release.id.slice(0, 12)} may be promoted to ${environment}; nothing was changed.`;
  return resultOf({ outcome: 'unchanged', reason: 'planned', sentence, app });
}
