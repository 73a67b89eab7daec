import { readInputs } from '../../src/action/inputs.ts';
import { readJob, refusePullRequests } from '../../src/action/job.ts';
import { phase } from '../../src/action/log.ts';
import type { Result } from '../../src/action/result.ts';
import { reviewBackups } from '../../src/backup/review.ts';
import { openConfig } from '../../src/config/parse.ts';
import { removeDrillHost } from '../../src/drill/launch.ts';
import { openGitHub, readExcerpts } from '../../src/github/github.ts';
import { lookAfterLeftover } from '../../src/operation/leftover.ts';
import { connect } from '../../src/operation/operation.ts';
import { concluding, type Report } from '../../src/operation/report.ts';
import { declaration } from './declaration.ts';
import { planImage } from './plan.ts';
import {
  beginImage,
  finishImage,
  isHeldUp,
  prove,
  recording,
  requireBuckets,
  tellPlan,
  tidyUp,
} from './steps.ts';

/** Makes an image of an environment's instance, and says what became of it. */
export function main(signal: AbortSignal): Promise<Result> {
  return concluding('Image', (report) => createImage(report, signal));
}

/** Looks after what main left, unless it ended well: on the host, and of the instance that proves. */
export async function post(): Promise<void> {
  try {
    await lookAfterLeftover(reviewBackups);
  } finally {
    await removeDrillHost();
  }
}

async function createImage(report: Report, signal: AbortSignal): Promise<Result> {
  const inputs = readInputs(declaration.inputs);
  const job = readJob();
  refusePullRequests(job);
  const config = await phase('Read understudy.yml', () => openConfig(inputs.config));
  const plan = planImage(inputs, job, config);
  tellPlan(plan, report);

  const services = connect(plan.operation);
  const github = openGitHub({ ...job, token: inputs['github-token'] });
  const excerpts = await readExcerpts(inputs.excerpts, github);
  await phase('Look at the buckets', () => requireBuckets(services, plan));
  const work = { services, plan, config, github, excerpts, job, report, signal };
  const begun = await beginImage(work);
  if (isHeldUp(begun)) return begun.result;
  return recording(work, async () => {
    const image = await phase('Await the image', () => finishImage(work, begun));
    const result = await prove(work, image);
    await phase('Tidy up', () => tidyUp(work));
    return result;
  });
}
