import { readInputs } from '../../src/action/inputs.ts';
import { readJob, refusePullRequests } from '../../src/action/job.ts';
import { phase } from '../../src/action/log.ts';
import type { Result } from '../../src/action/result.ts';
import { openBucket } from '../../src/aws/bucket.ts';
import { reviewBackups } from '../../src/backup/review.ts';
import { openConfig } from '../../src/config/parse.ts';
import { openGitHub, readExcerpts } from '../../src/github/github.ts';
import { holdingLease } from '../../src/operation/hold.ts';
import { lookAfterLeftover, type Review } from '../../src/operation/leftover.ts';
import { connect } from '../../src/operation/operation.ts';
import { recordingRefusals } from '../../src/operation/record.ts';
import { concluding, type Report } from '../../src/operation/report.ts';
import { wayToBackup } from './data.ts';
import { declaration } from './declaration.ts';
import type { End, Way } from './hosts.ts';
import { wayToImage } from './image.ts';
import { planRollback } from './plan.ts';
import { wayToRelease } from './release.ts';
import { requireBuckets, type Stage, tellPlan } from './steps.ts';
import { reviewMove } from './undo.ts';

/** Takes an environment back, and says what became of it. */
export function main(signal: AbortSignal): Promise<Result> {
  return concluding('Rollback', (report) => rollBack(report, signal));
}

/** Looks after what main left, unless it ended well. */
export function post(): Promise<void> {
  return lookAfterLeftover(review);
}

/** It may have been stopped while it backed up what was there, or on its way to a new instance. */
const review: Review = async (services, operation, told) =>
  reviewMove(
    services,
    operation,
    operation.document === 'backup' ? await reviewBackups(services, operation, told) : told,
  );

async function rollBack(report: Report, signal: AbortSignal): Promise<Result> {
  const inputs = readInputs(declaration.inputs);
  const job = readJob();
  refusePullRequests(job);
  const config = await phase('Read understudy.yml', () => openConfig(inputs.config));
  const plan = planRollback(inputs, job, config);
  tellPlan(plan, report);

  const { operation } = plan;
  const services = connect(operation);
  const github = openGitHub({ ...job, token: inputs['github-token'] });
  const excerpts = await readExcerpts(inputs.excerpts, github);
  await phase('Look at the buckets', () => requireBuckets(services, plan));
  const backups = openBucket(services.clients, plan.backups);
  const stage = { plan, services, backups, job, excerpts, report };
  const looking = { services, operation, job, signal, planned: plan.dry, started: report.started };
  const way = await recordingRefusals(looking, () => findWay(stage, signal));
  if ('ended' in way) return way.ended;
  const { result } = await holdingLease({ ...way, services, operation, job, github, signal }, way.go);
  return result;
}

function findWay(stage: Stage, signal: AbortSignal): Promise<Way | End> {
  const { wish } = stage.plan;
  if ('release' in wish) return wayToRelease(stage, wish.release, signal);
  if ('image' in wish) return wayToImage(stage, wish.image, signal);
  return wayToBackup(stage, wish.backup, signal);
}
