import { readInputs } from '../../src/action/inputs.ts';
import { readJob, refusePullRequests } from '../../src/action/job.ts';
import { phase } from '../../src/action/log.ts';
import type { Result } from '../../src/action/result.ts';
import { requireBucket } from '../../src/aws/require-bucket.ts';
import { openGitHub, readExcerpts } from '../../src/github/github.ts';
import { findTargets } from '../../src/instance/find.ts';
import { holdingLease } from '../../src/operation/hold.ts';
import { judge } from '../../src/operation/judge.ts';
import { lookAfterLeftover } from '../../src/operation/leftover.ts';
import { connect } from '../../src/operation/operation.ts';
import { record, recordingRefusals } from '../../src/operation/record.ts';
import { concluding, type Report } from '../../src/operation/report.ts';
import { sendToFleet } from '../../src/operation/send.ts';
import { takeBackWhenPartial } from '../../src/operation/take-back.ts';
import { storeRelease } from '../../src/release/store.ts';
import { declaration } from './declaration.ts';
import { planDeploy } from './plan.ts';
import { askFleet, readRelease, tellPlan, tellStored } from './steps.ts';

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

  const { operation, checks, delivery, timeout, partial } = plan;
  const { app, environment } = operation;
  const services = connect(operation);
  const github = openGitHub({ ...job, token: inputs['github-token'] });
  const excerpts = await readExcerpts(inputs.excerpts, github);
  await phase('Look at the bucket', () => requireBucket(services.clients.s3, operation));
  const { errors } = operation.rollout;
  const looking = { services, operation, release, job, signal, planned: false, started: report.started };
  const targets = await recordingRefusals(looking, () =>
    phase('Find the instances', () => findTargets(services.clients, app, environment, errors)),
  );
  const instances = targets.map(({ id }) => id);
  const built = { services, operation, instances, checks, release };

  const { result } = await holdingLease({ ...built, job, github, signal }, async (held) => {
    const { present, absent, live } = await phase('Compare with what is live', () =>
      askFleet(built, targets, github, report, held.signal),
    );
    const stored = await phase('Store the release', () =>
      storeRelease(services.bucket, app, environment, release),
    );
    tellStored(stored, report);
    const work = { ...built, release: { ...release, id: stored.id } };
    const parameters = { release: stored.id, fence: String(held.fence), excerpts };
    const order = { parameters, delivery, timeout, present };
    const outcomes = await phase('Deploy', () => sendToFleet(work, order, held));
    const first = await phase('Judge', () => judge(work, [...outcomes, ...absent], report, held.signal));
    const judged = await takeBackWhenPartial(work, first, { live, partial, order }, report, held);
    await phase('Record', () => record(work, judged, job, report));
    return judged;
  });
  return result;
}
