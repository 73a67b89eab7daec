import type { Job } from '../../src/action/job.ts';
import { say } from '../../src/action/log.ts';
import { writeOutputs } from '../../src/action/outputs.ts';
import { type Result, resultOf } from '../../src/action/result.ts';
import { code } from '../../src/action/summary.ts';
import type { Bucket } from '../../src/aws/bucket.ts';
import { requireBucket } from '../../src/aws/require-bucket.ts';
import type { Services } from '../../src/operation/operation.ts';
import type { Report } from '../../src/operation/report.ts';
import { type PlannedStep, stepLines, stepTable } from '../../src/rollback/steps.ts';
import { declaration } from './declaration.ts';
import { describePlan, type Plan } from './plan.ts';

/** What the whole story has. */
export interface Stage {
  readonly plan: Plan;
  readonly services: Services;
  /** The backup bucket. */
  readonly backups: Bucket;
  readonly job: Job;
  readonly excerpts: 'on' | 'off';
  readonly report: Report;
}

/** Prints the plan before anything is done, and notes it for the summary. */
export function tellPlan(plan: Plan, report: Report): void {
  for (const line of describePlan(plan)) say(line);
  const { operation, backups, dry } = plan;
  const { app, environment, id } = operation;
  report.title = `${dry ? 'Plan of a rollback' : 'Rollback'} of ${app} in ${environment}`;
  report.known = { app, environment, operation: id, bucket: backups };
  report.facts = [['Operation', code(id)]];
  writeOutputs(declaration.outputs, { operation: id });
}

/** Sees that both buckets are there, in the region, and closed to the public. */
export async function requireBuckets({ clients }: Services, { operation, backups }: Plan): Promise<void> {
  const { bucket, region } = operation;
  await requireBucket(clients.s3, { bucket, region });
  await requireBucket(clients.s3, { bucket: backups, region });
}

/** Tells each step of what would be done, and that it was not. */
export function tellSteps({ report }: Stage, steps: readonly PlannedStep[]): Result {
  for (const line of stepLines(steps)) say(line);
  report.account = stepTable(steps);
  return resultOf({ outcome: 'unchanged', reason: 'planned' });
}
