import { say } from '../../src/action/log.ts';
import { writeOutputs } from '../../src/action/outputs.ts';
import { code } from '../../src/action/summary.ts';
import { openBucket } from '../../src/aws/bucket.ts';
import { requireBucket } from '../../src/aws/require-bucket.ts';
import { foretellHold } from '../../src/backup/hold.ts';
import { reviewBackups } from '../../src/backup/review.ts';
import { conclude, type Judged } from '../../src/operation/judge.ts';
import type { Operation, Services } from '../../src/operation/operation.ts';
import type { Report } from '../../src/operation/report.ts';
import { declaration } from './declaration.ts';
import { describePlan, type Plan } from './plan.ts';

/** Prints the plan before anything is done, and notes it for the summary. */
export function tellPlan(plan: Plan, report: Report): void {
  for (const line of describePlan(plan)) say(line);
  const { operation, backups } = plan;
  report.title = `Backup of ${operation.app} in ${operation.environment}`;
  report.known = {
    ...{ app: operation.app, environment: operation.environment, operation: operation.id },
    ...{ bucket: backups },
  };
  report.facts = [
    ['Bucket', code(backups)],
    ['Operation', code(operation.id)],
  ];
  writeOutputs(declaration.outputs, { operation: operation.id, bucket: backups });
}

/** Sees that both buckets are there, in the region, and closed to the public. */
export async function requireBuckets(
  { clients }: Services,
  { bucket, region }: Operation,
  backups: string,
): Promise<void> {
  await requireBucket(clients.s3, { bucket, region });
  await requireBucket(clients.s3, { bucket: backups, region });
}

/** Tells how long a writer may be kept waiting, before anything is sent. */
export async function tellHold({ clients }: Services, operation: Operation, backups: string): Promise<void> {
  say(`hold        ${await foretellHold(openBucket(clients, backups), operation)}`);
}

/** Looks for what the hosts say that they stored, and judges by what is there. */
export async function confirm(
  services: Services,
  operation: Operation,
  judged: Judged,
  report: Report,
): Promise<Judged> {
  const instances = await reviewBackups(services, operation, judged.instances);
  for (const { instance, result, sentence, manifest } of instances) {
    say(result === 'done' ? `${instance}  confirmed: ${manifest}` : `${instance}  ${result}: ${sentence}`);
  }
  const manifests = instances.flatMap(({ result, manifest }) => (result === 'done' ? (manifest ?? []) : []));
  writeOutputs(declaration.outputs, { manifest: manifests.join('\n') });
  return conclude(instances, operation.app, report);
}
