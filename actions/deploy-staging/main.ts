import { readInputs } from '../../src/action/inputs.ts';
import { readJob, refusePullRequests } from '../../src/action/job.ts';
import { phase } from '../../src/action/log.ts';
import type { Result } from '../../src/action/result.ts';
import { openGitHub } from '../../src/github/github.ts';
import { findTargets } from '../../src/instance/find.ts';
import { holdingLease } from '../../src/operation/hold.ts';
import { judge } from '../../src/operation/judge.ts';
import { lookAfterLeftover } from '../../src/operation/leftover.ts';
import { connect } from '../../src/operation/operation.ts';
import { record } from '../../src/operation/record.ts';
import { concluding, type Report } from '../../src/operation/report.ts';
import { sendToFleet } from '../../src/operation/send.ts';
import { storeRelease } from '../../src/release/store.ts';
import { declaration } from './declaration.ts';
import { planDeploy } from './plan.ts';
import { mayExcerpt, readRelease, refuseGoingBack, tellPlan, tellStored } from './steps.ts';

/** Deploys a packed release to an environment, and says what became of it. */
export function main(signal: AbortSignal): Promise<Result> {
  return concluding('Deploy to staging', (report) => deploy(report, signal));
}

/** Looks after what main left, unless it ended well. */
export function post(): Promise<void> {
  return lookAfterLeftover();
}

async function deploy(report: Report, signal: AbortSignal): Promise<Result> {
  const inputs = readInputs(declaration.inputs);
  const job = readJob();
  refusePullRequests(job);
  const { config, release } = await phase('Read the release', () => readRelease(inputs));
  const plan = planDeploy(inputs, job, config, release);
  tellPlan(plan, job, report);

  const { operation, checks, timeout } = plan;
  const { app, environment } = operation;
  const services = connect(operation);
  const github = openGitHub({ ...job, token: inputs['github-token'] });
  const excerpts = (await mayExcerpt(inputs.excerpts, github)) ? 'on' : 'off';
  const stored = await phase('Store the release', () =>
    storeRelease(services.bucket, app, environment, release),
  );
  tellStored(stored, report);
  const targets = await phase('Find the instances', () => findTargets(services.clients, app, environment));
  const instances = targets.map(({ id }) => id);
  const work = { services, operation, instances, checks, release: { ...release, id: stored.id } };

  const { result } = await holdingLease({ ...work, github, signal }, async (held) => {
    await phase('Compare with what is live', () => refuseGoingBack(work, github, held.signal));
    const parameters = { release: stored.id, fence: String(held.fence), excerpts };
    const outcomes = await phase('Deploy', () => sendToFleet(work, { parameters, timeout }, held));
    const judged = await phase('Judge', () => judge(work, outcomes, report, held.signal));
    await phase('Record', () => record(work, judged, job, report));
    return judged;
  });
  return result;
}
