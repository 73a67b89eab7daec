import { readInputs } from '../../src/action/inputs.ts';
import { readJob, refusePullRequests } from '../../src/action/job.ts';
import { phase } from '../../src/action/log.ts';
import type { Result } from '../../src/action/result.ts';
import { openGitHub } from '../../src/github/github.ts';
import { findTargets } from '../../src/instance/find.ts';
import { holdingLease } from '../../src/operation/hold.ts';
import { lookAfterLeftover } from '../../src/operation/leftover.ts';
import { connect } from '../../src/operation/operation.ts';
import { concluding, type Report } from '../../src/operation/report.ts';
import { storeRelease } from '../../src/release/store.ts';
import { declaration } from './declaration.ts';
import { planDeploy } from './plan.ts';
import { judge, mayExcerpt, readRelease, record, refuseGoingBack, sendDeploy, tellPlan } from './steps.ts';

/** Deploys a packed release to an environment, and says what became of it. */
export function main(signal: AbortSignal): Promise<Result> {
  return concluding('Deploy to staging', (report) => deploy(report, signal));
}

/** Looks after what main left, unless it ended well. */
export const post = lookAfterLeftover;

async function deploy(report: Report, signal: AbortSignal): Promise<Result> {
  const inputs = readInputs(declaration.inputs);
  const job = readJob();
  refusePullRequests(job);
  const { config, release } = await phase('Read the release', () => readRelease(inputs));
  const plan = planDeploy(inputs, job, config, release);
  tellPlan(plan, job, report);

  const { operation } = plan;
  const { app, environment } = operation;
  const services = connect(operation);
  const github = openGitHub({ ...job, token: inputs['github-token'] });
  const excerpts = await mayExcerpt(inputs.excerpts, github);
  const stored = await phase('Store the release', () =>
    storeRelease(services.bucket, app, environment, release),
  );
  const targets = await phase('Find the instances', () => findTargets(services.clients, app, environment));
  const instances = targets.map(({ id }) => id);

  const hold = { services, operation, github, instances, signal };
  const { result } = await holdingLease(hold, async (lease, still) => {
    await phase('Compare with what is live', () => refuseGoingBack(services, plan, instances, github, still));
    const work = { services, plan, stored, instances, fence: lease.fence, excerpts };
    const outcomes = await phase('Deploy', () => sendDeploy(work, still));
    const judged = await phase('Judge', () => judge(work, outcomes, report));
    await phase('Record', () => record(work, judged, job, report));
    return judged;
  });
  return result;
}
