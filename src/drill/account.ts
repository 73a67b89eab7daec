import { inSeconds } from '../action/log.ts';
import { code, escapeMarkdown, table } from '../action/summary.ts';
import { totalsOf } from '../backup/manifest.ts';
import type { Drilled } from './climb.ts';
import { historyChart } from './history.ts';
import { type Climb, ladder, reached, type Verdict } from './ladder.ts';
import type { DrillReceipt } from './receipt.ts';

const marks: Readonly<Record<Verdict, string>> = { passed: '✅', failed: '❌', 'could-not-run': '❓' };

/** What a drill found, and how it stands to those before it, in Markdown. */
export function describeDrill({ newest, older }: Drilled, history: readonly DrillReceipt[]): string {
  const parts = [newest, ...older].flatMap((climb) => (climb ? [describeClimb(climb)] : []));
  if (history.length > 0) parts.push(historyChart(history));
  return parts.join('\n\n');
}

function describeClimb({ key, levels, control }: Climb): string {
  const rows = levels.map(({ level, verdict, ms, evidence, warnings = [] }) => [
    `${level}`,
    escapeMarkdown(ladder[level] ?? ''),
    `${marks[verdict]} ${verdict}`,
    inSeconds(ms),
    [evidence, ...warnings.map((warning) => `Odd: ${warning}`)].map(escapeMarkdown).join('<br>'),
  ]);
  const lines = [`### ${code(key)}`, table(['Level', 'It proves that', 'Verdict', 'Took', 'Evidence'], rows)];
  if (control) lines.push(`A copy that was damaged on purpose: **${control}**.`);
  return lines.join('\n\n');
}

interface Circumstances
  extends Pick<DrillReceipt, 'app' | 'environment' | 'operation' | 'run' | 'where' | 'verdict'> {
  readonly asked: number;
  /** S3's time in ms since the epoch. */
  readonly now: number;
}

/** The receipt of a drill, from values alone. */
export function toReceipt({ newest, restorable }: Drilled, about: Circumstances): DrillReceipt {
  const { asked, now, ...rest } = about;
  const levels = newest?.levels ?? [];
  const { raw, packed } = newest?.manifest ? totalsOf(newest.manifest) : { raw: 0, packed: 0 };
  return {
    schema: 1,
    ...rest,
    drilled: new Date(now).toISOString(),
    level: { asked, reached: reached({ levels }) },
    backup: newest?.key ?? null,
    restorable: restorable?.key ?? null,
    levels: levels.map(({ level, verdict, ms, evidence }) => ({ level, verdict, ms, evidence })),
    control: newest?.control ?? null,
    rpo: newest?.manifest ? ageOf(newest.manifest.copied, newest.committed, now) : null,
    rto: {
      ms: levels.reduce((sum, { ms }) => sum + ms, 0),
      phases: levels.map(({ level, ms }) => ({ name: `level ${level}`, ms })),
    },
    size: newest?.manifest ? { raw, packed } : null,
  };
}

function ageOf(copied: number, committed: number, now: number): NonNullable<DrillReceipt['rpo']> {
  const phases = [
    { name: 'from the copy to the commit', ms: committed - copied },
    { name: 'since the commit', ms: now - committed },
  ];
  return { ms: now - copied, phases };
}
