import { inSeconds } from '../action/log.ts';
import { type Outcome, outcomes } from '../action/outcomes.ts';
import { type Result, succeeded } from '../action/result.ts';
import { type Bar, block, code, escapeMarkdown, table, timeline } from '../action/summary.ts';
import type { Details, Step } from '../command/details.ts';
import { describeAnswer, placeOf } from '../health/verdict.ts';
import type { InstanceOutcome } from './outcome.ts';

/** An instance's outcome with what it told beside it. */
export interface Told extends InstanceOutcome {
  readonly more: Details | undefined;
  /** What the action itself has to say of it, in Markdown. */
  readonly account?: string;
}

/** All that the summary of an operation shows. */
export interface Account {
  /** What was to be done, such as `Deploy to staging`. */
  readonly title: string;
  readonly result: Result;
  /** Lines of the table at the top: a name, and Markdown. */
  readonly facts: readonly (readonly [string, string])[];
  readonly instances: readonly Told[];
  /** What there is to say beside instances, in Markdown. */
  readonly account?: string;
}

const marks: Readonly<Record<Outcome, string>> = {
  done: '✅',
  unchanged: '✅',
  reverted: '↩️',
  refused: '✋',
  failed: '❌',
  unknown: '❓',
};

/** The summary of an operation, in GitHub's Markdown. */
export function summarise({ title, result, facts, instances, account }: Account): string {
  const parts = [
    `## ${marks[result.result]} ${escapeMarkdown(title)}: ${result.result}`,
    `_${escapeMarkdown(outcomes[result.result])}_`,
    escapeMarkdown(result.sentence),
  ];
  if (!succeeded(result)) parts.push(`**What to do next:** ${escapeMarkdown(result.todo)}`);
  if (facts.length > 0) parts.push(factTable(facts));
  if (account) parts.push(account);
  parts.push(...instances.map((instance) => describeInstance(instance, instances.length === 1)));
  return `${parts.join('\n\n')}\n`;
}

/** The first fact is the table's head, which Markdown will not do without. */
function factTable(facts: Account['facts']): string {
  const [head = ['', ''], ...rows] = facts.map(([name, value]) => [`**${name}**`, value]);
  return table(head, rows);
}

function describeInstance(told: Told, alone: boolean): string {
  const { instance, result, reason, sentence, more, account } = told;
  const parts = [`### ${marks[result]} ${code(instance)}: ${result} (${reason})`];
  if (!alone) parts.push(escapeMarkdown(sentence));
  if (account) parts.push(account);
  if (more && more.steps.length > 0) parts.push(`**Steps**\n\n${timeline(toBars(more.steps))}`);
  if (more && more.checks.length > 0) parts.push(`**Checks**\n\n${checkTable(more)}`);
  const parameters = Object.entries(more?.parameters ?? {}).map(([name, version]) => `${name} ${version}`);
  if (parameters.length > 0) parts.push(`**Versions of its parameters:** ${code(parameters.join(', '))}`);
  if (more && more.log.length > 0 && result !== 'done') {
    parts.push(`**Last lines of the release's log**\n\n${block(more.log)}`);
  }
  return parts.join('\n\n');
}

/** A step that a dead operation was in has no end: it is shown until the last moment that is known. */
function toBars(steps: readonly Step[]): Bar[] {
  const last = Math.max(...steps.map(({ started, ended }) => ended ?? started));
  return steps.map(({ name, started, ended, ok, note }) => ({
    name,
    started,
    ended: ended ?? last,
    ok,
    ...(note && { note }),
  }));
}

function checkTable({ checks }: Details): string {
  return table(
    ['', 'Asked', 'Answered'],
    checks.map((check) => [
      check.ok ? '✓' : '✗',
      escapeMarkdown(placeOf(check.where)),
      escapeMarkdown(describeAnswer(check)),
    ]),
  );
}

/** What users noticed, in words; empty when the hosts did not tell. */
export function describeUsers(instances: readonly InstanceOutcome[]): string {
  const told = instances.filter(({ wait_ms, down_ms }) => wait_ms !== undefined || down_ms !== undefined);
  if (told.length === 0) return '';
  const wait = Math.max(...told.map(({ wait_ms = 0 }) => wait_ms));
  const down = Math.max(...told.map(({ down_ms = 0 }) => down_ms));
  const waited = wait > 0 ? `requests waited at most ${inSeconds(wait)}` : 'no request waited';
  const times = down > 0 ? `the app was down for ${inSeconds(down)}` : waited;
  const back = told.filter(({ result }) => result !== 'done' && result !== 'unchanged');
  if (back.length === 0) return times;
  const met = back.some((one) => one.met)
    ? 'users may have met the new release'
    : 'no user met the new release';
  return `${met}; ${times}`;
}
