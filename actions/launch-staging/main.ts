import { readInputs } from '../../src/action/inputs.ts';
import { readJob, refusePullRequests } from '../../src/action/job.ts';
import { phase } from '../../src/action/log.ts';
import type { Result } from '../../src/action/result.ts';
import { requireBucket } from '../../src/aws/require-bucket.ts';
import { openConfig } from '../../src/config/parse.ts';
import { openGitHub } from '../../src/github/github.ts';
import { chooseImage } from '../../src/image/choose.ts';
import { holdingLease } from '../../src/operation/hold.ts';
import { lookAfterLeftover } from '../../src/operation/leftover.ts';
import { connect } from '../../src/operation/operation.ts';
import { record, recordingRefusals } from '../../src/operation/record.ts';
import { concluding, type Report } from '../../src/operation/report.ts';
import { declaration } from './declaration.ts';
import { planLaunch } from './plan.ts';
import {
  awaitHealthy,
  enrolIt,
  findFormers,
  launchIt,
  removeLaunched,
  replace,
  tellImage,
  tellPlan,
  undoing,
} from './steps.ts';

/** Launches an environment anew beside what runs, and says what became of it. */
export function main(signal: AbortSignal): Promise<Result> {
  return concluding('Launch staging', (report) => launch(report, signal));
}

/** Removes what a launch that was cut off left, and gives the lease back. */
export async function post(): Promise<void> {
  const review = await removeLaunched();
  await lookAfterLeftover(review);
}

async function launch(report: Report, signal: AbortSignal): Promise<Result> {
  const inputs = readInputs(declaration.inputs);
  const job = readJob();
  refusePullRequests(job);
  const config = await phase('Read understudy.yml', () => openConfig(inputs.config));
  const plan = planLaunch(inputs, job, config);
  tellPlan(plan, report);

  const { operation } = plan;
  const services = connect(operation);
  const github = openGitHub({ ...job, token: inputs['github-token'] });
  await phase('Look at the bucket', () => requireBucket(services.clients.s3, operation));
  const looking = { services, operation, job, signal, planned: false, started: report.started };
  const { image, formers } = await recordingRefusals(looking, async () => {
    const image = await phase('Choose the image', () => chooseImage(services, { ...plan, app: config.app }));
    tellImage(image, report);
    const formers = await phase('Look at what is there', () => findFormers(services, operation));
    return { image, formers };
  });
  const instances = formers.flatMap(({ id, state }) => (state === 'running' ? [id] : []));
  const work = { services, operation, instances, checks: config.checks };

  const { result } = await holdingLease({ ...work, job, github, signal }, async (held) => {
    const scene = { services, plan, image, formers, report, signal: held.signal };
    const healthy = await undoing(scene, async () => {
      const host = await phase('Launch', () => launchIt(scene));
      await phase('Enrol', () => enrolIt(scene, host));
      return phase('Wait until it is healthy', () => awaitHealthy(scene, host));
    });
    held.requireTime();
    const replaced = await phase('Replace', () => replace(scene, healthy));
    await phase('Record', () => record(work, replaced, job, report));
    return replaced;
  });
  return result;
}
