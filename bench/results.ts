import { loadavg } from 'node:os';
import { writeBars } from './bars.ts';
import type { Figure } from './figure.ts';

/** What was measured in one run of the whole bench. */
export interface Results {
  readonly machine: string;
  /** ISO date. */
  readonly date: string;
  /** What else the machine did. */
  readonly load: string;
  readonly minutes: number;
  readonly rows: readonly { readonly title: string; readonly figures: readonly Figure[] }[];
}

/** How many processes wanted a processor at a time, in the last minute. */
export const currentLoad = (): number => loadavg()[0] ?? 0;

/** The loads before each row, as a sentence; the first one is other people's work alone. */
export function tellLoads(loads: readonly number[]): string {
  const [first = 0, most] = [loads[0], Math.max(...loads)];
  return `${first.toFixed(1)} processes wanted a processor in the minute before the run, at most ${most.toFixed(1)} before one of its rows`;
}

const verdict = ({ holds }: Pick<Figure, 'holds'>): string =>
  holds === undefined ? 'shown' : holds ? 'holds' : '**does not hold**';

/** Cells as the line of a table in Markdown. */
function line(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll(/\s+/g, ' ').replaceAll('|', '\\|')).join(' | ')} |`;
}

/** The table of all figures. */
export function figuresTable({ rows }: Pick<Results, 'rows'>): string {
  const figures = rows.flatMap(({ figures }) => figures);
  const cells = figures.map((figure) => [figure.name, figure.must, figure.measured, verdict(figure)]);
  return [['figure', 'must be', 'measured', ''], ['---', '---', '---', '---'], ...cells].map(line).join('\n');
}

/** `bench/results.md`. */
export function writeResults(results: Results): string {
  const { machine, date, load, minutes, rows } = results;
  return `# Figures

Measured by \`npm run bench\` in one run of ${minutes} minutes on ${date.slice(0, 10)}: ${machine}.
Load of the machine: ${load}.
Everything ran on this one machine: hosts, users, runner and AWS's stand-in. Ratios are what counts; times of another machine are
other times.

${figuresTable(results)}
${rows.map(writeRow).join('')}`;
}

function writeRow({ title, figures }: Results['rows'][number]): string {
  return `\n## ${title}\n${figures.map(writeFigure).join('')}`;
}

function writeFigure(figure: Figure): string {
  const { name, measured, must, note, bars } = figure;
  const drawn = bars.length === 0 ? '' : `\n\`\`\`text\n${writeBars(bars)}\n\`\`\`\n`;
  return `\n**${name}**: ${measured} (${must}; ${verdict(figure)}). ${sentence(note)}.\n${drawn}`;
}

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** The same for a terminal. */
export function tellFigures(figures: readonly Figure[]): string {
  const told = figures.map((figure) => {
    const word = figure.holds === undefined ? 'shown' : figure.holds ? 'holds' : 'DOES NOT HOLD';
    return `  ${word.padEnd(13)}  ${figure.measured.padStart(12)}  ${figure.must.padEnd(12)}  ${figure.name}`;
  });
  return told.join('\n');
}
