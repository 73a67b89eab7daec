import { readInputs } from '../../src/action/inputs.ts';
import { readJob, refusePullRequests } from '../../src/action/job.ts';
import { phase } from '../../src/action/log.ts';
import type { Result } from '../../src/action/result.ts';
import { openBucket } from '../../src/aws/bucket.ts';
import { requireBucket } from '../../src/aws/require-bucket.ts';
import { listBackups } from '../../src/backup/place.ts';
import { openConfig } from '../../src/config/parse.ts';
import { proveNewest } from '../../src/drill/climb.ts';
import { removeDrillHost } from '../../src/drill/launch.ts';
import { judgeDrill } from '../../src/drill/verdict.ts';
import { openGitHub } from '../../src/github/github.ts';
import { openIssues } from '../../src/github/issues.ts';
import { connect } from '../../src/operation/operation.ts';
import { concluding, type Report } from '../../src/operation/report.ts';
import { declaration } from './declaration.ts';
import { planDrill } from './plan.ts';
import { onGround, record, removeScratch, tellingIssues, tellPlan } from './steps.ts';

/** Proves that the newest backup of an environment restores, and says what became of it. */
export function main(signal: AbortSignal): Promise<Result> {
  return concluding('Drill', (report) => drill(report, signal));
}

/** Removes what a drill that was cut off left: of the data here, and in AWS. */
export async function post(): Promise<void> {
  await removeScratch();
  await removeDrillHost();
}

async function drill(report: Report, signal: AbortSignal): Promise<Result> {
  const inputs = readInputs(declaration.inputs);
  const job = readJob();
  refusePullRequests(job);
  const config = await phase('Read understudy.yml', () => openConfig(inputs.config));
  const github = openGitHub({ ...job, token: inputs['github-token'] });
  const issues = openIssues({ ...job, token: inputs['github-token'] });
  const place = { app: config.app, environment: inputs.environment };

  return tellingIssues(issues, { ...place, runUrl: job.runUrl }, async () => {
    const plan = planDrill(inputs, job, config);
    tellPlan(plan, report);
    const { backups, level, operation } = plan;
    const services = connect(operation);
    const bucket = openBucket(services.clients, backups);
    const home = { bucket: backups, region: operation.region };
    await phase('Look at the bucket', () => requireBucket(services.clients.s3, home));
    const listed = await phase('Find the backups', () => listBackups(bucket, place.app, place.environment));
    const drilled = await onGround({ services, bucket, plan, config, github, report, signal }, (ground) =>
      phase('Prove', () => proveNewest(ground, listed)),
    );
    const verdict = judgeDrill(drilled, { ...place, bucket: backups, level });
    await phase('Record', () => record(bucket, drilled, verdict, plan, job, report));
    return verdict;
  });
}
