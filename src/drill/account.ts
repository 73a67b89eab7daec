import { inSeconds } from '../action/log.ts';
import { type Bar, code, escapeMarkdown, table, timeline } from '../action/summary.ts';
import { totalsOf } from '../backup/manifest.ts';
import type { Drilled } from './climb.ts';
import { historyChart } from './history.ts';
import { type Climb, ladder, type Phase, reached, type Verdict } from './ladder.ts';
import type { DrillReceipt } from './receipt.ts';

const marks: Readonly<Record<Verdict, string>> = { passed: '✅', failed: '❌', 'could-not-run': '❓' };

/** What a drill found, and how it stands to those before it, in Markdown. */
export function describeDrill({ newest, older }: Drilled, history: readonly DrillReceipt[]): string {
  const parts = [newest, ...older].flatMap((climb) => (climb ? [describeClimb(climb)] : []));
  if (history.length > 0) parts.push(historyChart(history));
  return parts.join('\n\n');
}

function describeClimb({ key, levels, control, phases = [] }: Climb): string {
  const rows = levels.map(({ level, verdict, ms, evidence, warnings = [] }) => [
    `${level}`,
    escapeMarkdown(ladder[level] ?? ''),
    `${marks[verdict]} ${verdict}`,
    inSeconds(ms),
    [evidence, ...warnings.map((warning) => `Odd: ${warning}`)].map(escapeMarkdown).join('<br>'),
  ]);
  const lines = [`### ${code(key)}`, table(['Level', 'It proves that', 'Verdict', 'Took', 'Evidence'], rows)];
  if (control) lines.push(`A copy that was damaged on purpose: **${control}**.`);
  if (phases.length > 0)
    lines.push(`**Time to bring it back (RTO), by phase**\n\n${timeline(inARow(phases))}`);
  return lines.join('\n\n');
}

function inARow(phases: readonly Phase[]): Bar[] {
  let started = 0;
  return phases.map(({ name, ms }) => {
    const ended = started + ms;
    const bar = { name, started, ended, ok: true };
    started = ended;
    return bar;
  });
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
    rto: timeOf(newest?.phases ?? levels.map(({ level, ms }) => ({ name: `level ${level}`, ms }))),
    size: newest?.manifest ? { raw, packed } : null,
  };
}

/** On the machine of the job, what the levels took; on a host, what brought the app back there. */
function timeOf(phases: readonly Phase[]): DrillReceipt['rto'] {
  return { ms: phases.reduce((sum, { ms }) => sum + ms, 0), phases: [...phases] };
}

function ageOf(copied: number, committed: number, now: number): NonNullable<DrillReceipt['rpo']> {
  const phases = [
    { name: 'from the copy to the commit', ms: committed - copied },
    { name: 'since the commit', ms: now - committed },
  ];
  return { ms: now - copied, phases };
}
