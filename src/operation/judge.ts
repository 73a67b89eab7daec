import { say } from '../action/log.ts';
import type { Result } from '../action/result.ts';
import { code } from '../action/summary.ts';
import type { Work } from './operation.ts';
import { type InstanceOutcome, overall } from './outcome.ts';
import type { Report } from './report.ts';
import { settle } from './settle.ts';
import { describeUsers, type Told } from './summary.ts';
import { believe, readTold } from './telling.ts';

/** What it came to, and whether a host may still be at work. */
export interface Judged {
  readonly result: Result;
  readonly instances: readonly Told[];
  readonly open: boolean;
  /** Whether a release was taken back: an operation of its own, and it is that one which may still be at work. */
  readonly tookBack?: true;
}

/** How long hosts that gave no result are asked what became of the operation. */
const settleMs = 60_000;

/** Asks the hosts that gave no result, compares each word with what the checks answered, and judges the whole. */
export async function judge(
  { services, operation, checks }: Work,
  first: readonly InstanceOutcome[],
  report: Report,
  signal: AbortSignal,
): Promise<Judged> {
  const settling = {
    services,
    operation,
    limitMs: settleMs,
    neverStarted: 'command-failed',
    signal,
  } as const;
  const told = await readTold(services, operation, await settle(first, settling));
  const instances = told.map((one) => believe(one, checks, operation.app));
  for (const { instance, result, reason, sentence } of instances) {
    say(`${instance}  ${result} (${reason}): ${sentence}`);
  }
  return conclude(instances, operation.app, report);
}

/** Judges the whole by what became of each instance. */
export function conclude(told: readonly Told[], app: string, report: Report): Judged {
  const instances = told.toSorted((a, b) => a.instance.localeCompare(b.instance));
  note(instances, report);
  return { result: overall(instances, app), instances, open: instances.some(({ open }) => open) };
}

/** Notes what was judged for summary and outputs. */
function note(instances: readonly Told[], report: Report): void {
  const users = describeUsers(instances);
  report.instances = instances;
  report.facts = report.facts.filter(([name]) => name !== 'Instances' && name !== 'Users');
  report.facts.push(['Instances', instances.map(({ instance }) => code(instance)).join(', ')]);
  if (users) report.facts.push(['Users', users]);
}
