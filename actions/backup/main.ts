import { readInputs } from '../../src/action/inputs.ts';
import { readJob, refusePullRequests } from '../../src/action/job.ts';
import { phase } from '../../src/action/log.ts';
import type { Result } from '../../src/action/result.ts';
import { reviewBackups } from '../../src/backup/review.ts';
import { sendToEach } from '../../src/backup/take.ts';
import { openConfig } from '../../src/config/parse.ts';
import { openGitHub, readExcerpts } from '../../src/github/github.ts';
import { findTargets } from '../../src/instance/find.ts';
import { partByAgents } from '../../src/operation/fleet.ts';
import { holdingLease } from '../../src/operation/hold.ts';
import { judge } from '../../src/operation/judge.ts';
import { lookAfterLeftover } from '../../src/operation/leftover.ts';
import { connect } from '../../src/operation/operation.ts';
import { record, recordingRefusals } from '../../src/operation/record.ts';
import { concluding, type Report } from '../../src/operation/report.ts';
import { declaration } from './declaration.ts';
import { planBackup } from './plan.ts';
import { confirm, requireBuckets, tellHold, tellPlan } from './steps.ts';

/** Backs an environment up, and says what became of it. */
export function main(signal: AbortSignal): Promise<Result> {
  return concluding('Backup', (report) => backUp(report, signal));
}

/** Looks after what main left, unless it ended well. */
export function post(): Promise<void> {
  return lookAfterLeftover(reviewBackups);
}

async function backUp(report: Report, signal: AbortSignal): Promise<Result> {
  const inputs = readInputs(declaration.inputs);
  const job = readJob();
  refusePullRequests(job);
  const config = await phase('Read understudy.yml', () => openConfig(inputs.config));
  const plan = planBackup(inputs, job, config);
  tellPlan(plan, report);

  const { operation, backups, tier, delivery, timeout } = plan;
  const { app, environment, rollout } = operation;
  const services = connect(operation);
  const github = openGitHub({ ...job, token: inputs['github-token'] });
  const excerpts = await readExcerpts(inputs.excerpts, github);
  await phase('Look at the buckets', () => requireBuckets(services, operation, backups));
  const looking = { services, operation, job, signal, planned: false, started: report.started };
  const targets = await recordingRefusals(looking, async () => {
    await phase('Look at the newest backup', () => tellHold(services, operation, backups));
    return phase('Find the instances', () => findTargets(services.clients, app, environment, rollout.errors));
  });
  const { present, absent } = partByAgents(targets, app);
  const work = { services, operation, instances: targets.map(({ id }) => id), checks: [] };

  const { result } = await holdingLease({ ...work, job, github, signal }, async (held) => {
    const parameters = { fence: String(held.fence), tier, excerpts };
    const order = { parameters, delivery, timeout };
    const outcomes = await phase('Back up', () => sendToEach(work, order, present, held));
    const told = await phase('Judge', () => judge(work, [...outcomes, ...absent], report, held.signal));
    const confirmed = await phase('Confirm', () => confirm(services, operation, told, report));
    await phase('Record', () => record(work, confirmed, job, report));
    return confirmed;
  });
  return result;
}
