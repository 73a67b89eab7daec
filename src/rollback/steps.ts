import { inSeconds } from '../action/log.ts';
import { escapeMarkdown, table } from '../action/summary.ts';
import type { Usual } from '../ledger/usual.ts';

/** A step of a plan that is only told. */
export interface PlannedStep {
  readonly what: string;
  /** In seconds; absent where no time is known, or none is worth telling. */
  readonly usual?: number | undefined;
}

/** The steps in lines, as they are printed. */
export function stepLines(steps: readonly PlannedStep[]): string[] {
  return steps.map(({ what, usual }, index) => {
    const time = usual === undefined ? '' : `: usually ${inSeconds(usual * 1000)}`;
    return `${String(index + 1).padStart(2)}  ${what}${time}`;
  });
}

/** The steps in Markdown. */
export function stepTable(steps: readonly PlannedStep[]): string {
  const rows = steps.map(({ what, usual }, index) => [
    String(index + 1),
    escapeMarkdown(what),
    usual === undefined ? '' : escapeMarkdown(inSeconds(usual * 1000)),
  ]);
  return `**What would be done**\n\n${table(['', 'Step', 'Usually takes'], rows)}`;
}

/** What some steps of an action on its hosts usually take together, in seconds; undefined where none of them is known. */
export function sumOf(usual: Usual, action: string, names: readonly string[]): number | undefined {
  const known = names.flatMap((name) => usual(action, name) ?? []);
  return known.length === 0 ? undefined : known.reduce((sum, seconds) => sum + seconds, 0);
}
