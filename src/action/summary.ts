import { appendFile } from 'node:fs/promises';
import { withoutMasked } from './log.ts';

/** Text made safe for GitHub's Markdown and HTML: whatever an app answered is shown, never rendered. */
export function escapeMarkdown(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replace(/[\\`*_[\]#|~@$]|:(?=\/\/|[\w+-]+:)/g, (mark) => `&#${mark.charCodeAt(0)};`)
    .replace(/[\r\n]+/g, ' ');
}

/** Inline code, safe in a table too. */
export function code(text: string): string {
  return `<code>${escapeMarkdown(text)}</code>`;
}

/** A link, whose text is Markdown already. */
export function link(url: string, text: string): string {
  return `<a href="${encodeURI(url).replaceAll('"', '%22')}">${text}</a>`;
}

/** A block of preformatted lines; control characters are shown as a box, for the log of an app may hold any. */
export function block(lines: readonly string[]): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  const plain = lines.join('\n').replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, '\u25a1');
  const longest = Math.max(2, ...(plain.match(/`+/g) ?? []).map((run) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}text\n${plain}\n${fence}`;
}

/** A table whose cells are Markdown already. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** One bar of a timeline; times in ms since the epoch. */
export interface Bar {
  readonly name: string;
  readonly started: number;
  readonly ended: number;
  readonly ok: boolean;
  readonly note?: string;
}

const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'] as const;

/**
 * The timeline as a chart of text: GitHub shows it the same in a summary, a mail and a log.
 * @param width cells of the time axis
 */
export function timeline(bars: readonly Bar[], width = 48): string {
  if (bars.length === 0) return '';
  const start = Math.min(...bars.map((bar) => bar.started));
  const span = Math.max(1, Math.max(...bars.map((bar) => bar.ended)) - start);
  const longest = Math.max(...bars.map((bar) => bar.name.length));
  const lines = bars.map((bar) => {
    const from = ((bar.started - start) / span) * width;
    const drawn = draw(from, ((bar.ended - start) / span) * width, width);
    const took = `${((bar.ended - bar.started) / 1000).toFixed(2)} s`.padStart(9);
    const note = bar.note ? `  ${bar.note}` : '';
    return `${bar.ok ? '✓' : '✗'} ${bar.name.padEnd(longest)} ${drawn}${took}${note}`;
  });
  const axis = `0 s${`${(span / 1000).toFixed(1)} s`.padStart(width - 3)}`;
  return block([`  ${' '.repeat(longest)} ${axis}`, ...lines]);
}

/** One line of a chart that compares amounts. */
export interface Amount {
  readonly name: string;
  readonly value: number;
  /** The value in words. */
  readonly told: string;
  readonly note?: string;
}

/**
 * Amounts as a chart of text, one bar each from zero.
 * @param width cells of the longest bar
 */
export function amounts(all: readonly Amount[], width = 40): string {
  if (all.length === 0) return '';
  const most = Math.max(1, ...all.map(({ value }) => value));
  const [names, words] = [all.map(({ name }) => name.length), all.map(({ told }) => told.length)];
  const lines = all.map(({ name, value, told, note }) => {
    const bar = draw(0, (value / most) * width, width);
    return `${name.padEnd(Math.max(...names))} ${bar} ${told.padStart(Math.max(...words))}${note ? `  ${note}` : ''}`;
  });
  return block(lines);
}

/** A bar from `from` to `to` in cells: it begins on a whole cell, is as long as it should be to an eighth, and is seen. */
function draw(from: number, to: number, width: number): string {
  const first = Math.min(Math.floor(from), width - 1);
  const length = Math.max(1 / 8, Math.min(to - from, width - first));
  const whole = Math.floor(length);
  const rest = eighths[Math.round((length - whole) * 8)] ?? '';
  return `${' '.repeat(first)}${'█'.repeat(whole)}${rest}`.padEnd(width);
}

/** GitHub drops a summary of more than 1 MiB whole. */
const limit = 1024 * 1024 - 1024;

/** The summary cut to GitHub's limit, at a line, saying so. */
export function cutToLimit(markdown: string, bytes = limit): string {
  const whole = Buffer.from(markdown);
  if (whole.length <= bytes) return markdown;
  const kept = whole.subarray(0, bytes).toString('utf8');
  return `${kept.slice(0, kept.lastIndexOf('\n'))}\n\n_The rest was cut: a summary may have 1 MiB._\n`;
}

/** Appends to the summary of the job's step; without a runner there is none. */
export async function writeSummary(
  markdown: string,
  file = process.env['GITHUB_STEP_SUMMARY'],
): Promise<void> {
  if (file) await appendFile(file, `${cutToLimit(withoutMasked(markdown))}\n`);
}
