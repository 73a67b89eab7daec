import type { Job } from '../action/job.ts';
import { say } from '../action/log.ts';
import type { Held } from '../operation/hold.ts';
import { conclude, type Judged, judge } from '../operation/judge.ts';
import { partOf, type Work } from '../operation/operation.ts';
import type { InstanceOutcome } from '../operation/outcome.ts';
import { record } from '../operation/record.ts';
import type { Report } from '../operation/report.ts';
import { type Order, sendToFleet } from '../operation/send.ts';
import { reviewBackups } from './review.ts';

/**
 * Backs instances up one after the other, each by a command of its own: two that begin in the same second would give their
 * backups one name, and one that does not take its command must not keep the next for as long as a backup may take.
 */
export async function sendToEach(
  work: Work,
  order: Order,
  present: readonly string[],
  held: Held,
): Promise<InstanceOutcome[]> {
  const outcomes: InstanceOutcome[] = [];
  for (const instance of present) {
    outcomes.push(...(await sendToFleet({ ...work, instances: [instance] }, order, held)));
  }
  return outcomes;
}

/** How a backup within another operation is sent. */
export interface BackupOrder extends Pick<Order, 'delivery'> {
  readonly excerpts: 'on' | 'off';
  /** Seconds that one instance may take. */
  readonly timeout: number;
}

/**
 * Backs up what is there before an operation changes it: a part of it with an entry of its own in the ledger, and confirmed in
 * the bucket. Whether to go on without it is for whoever called.
 */
export async function backUpFirst(
  { services, operation, instances }: Work,
  { excerpts, delivery, timeout }: BackupOrder,
  job: Pick<Job, 'actor' | 'runUrl'>,
  held: Held,
): Promise<Judged> {
  const part = partOf(operation, { name: 'backup-before', action: 'backup', document: 'backup' });
  const own: Work = { services, operation: part, instances, checks: [] };
  const report: Report = { title: '', started: services.now(), facts: [], instances: [], known: {} };
  held.leave({ operation: part, instances });
  const parameters = { fence: String(held.fence), tier: 'auto', excerpts };
  const outcomes = await sendToEach(own, { parameters, delivery, timeout }, instances, held);
  const told = await judge(own, outcomes, report, held.signal);
  const judged = conclude(await reviewBackups(services, part, told.instances, 'alone'), part.app, report);
  for (const { instance, result, sentence, manifest } of judged.instances) {
    say(`${instance}  ${result === 'done' ? `confirmed: ${manifest}` : `${result}: ${sentence}`}`);
  }
  await record(own, judged, job, { started: report.started });
  if (!judged.open) {
    held.settled();
    held.leave({ operation, instances });
  }
  return judged;
}
