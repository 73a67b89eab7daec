import { inBytes, inSpan } from '../action/log.ts';
import { type Amount, amounts } from '../action/summary.ts';
import type { DrillReceipt } from './receipt.ts';

const marks = {
  verified: '✓',
  'backup-bad': '✗',
  'drill-could-not-run': '?',
  'control-passed': '!',
} as const;

/** The drills as charts, the oldest first: what would have been lost, how long to bring it back, and how much it is. */
export function historyChart(drills: readonly DrillReceipt[]): string {
  const bars = (measure: (drill: DrillReceipt) => number | undefined, tell: (value: number) => string) =>
    amounts(drills.map((drill) => toAmount(drill, measure(drill), tell)));
  return [
    `**Age of the data (RPO)** at each of the last ${drills.length} drills: ✓ verified, ✗ bad, ? could not run`,
    bars(({ rpo }) => rpo?.ms, inSpan),
    '**Time to bring it back (RTO)**, as far as the drill went',
    bars(({ rto }) => rto.ms, inSpan),
    '**Size**, unpacked',
    bars(({ size }) => size?.raw, inBytes),
  ].join('\n\n');
}

function toAmount(
  { drilled, verdict, level }: DrillReceipt,
  value: number | undefined,
  tell: (value: number) => string,
): Amount {
  const name = `${marks[verdict]} ${drilled.slice(0, 16).replace('T', ' ')}`;
  const note = `level ${Math.max(level.reached, 0)} of ${level.asked}`;
  return { name, value: value ?? 0, told: value === undefined ? 'none' : tell(value), note };
}
