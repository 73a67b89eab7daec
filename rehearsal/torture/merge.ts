/** A table of rows that merges with the one before: rows that were not played now stand there as they were played last. */

import { describeMachine } from '../ground/this-machine.ts';

/** One row, as it stands in its section. */
export interface Line {
  readonly section: string;
  /** What it is called: the first two cells. */
  readonly fault: string;
  readonly point: string;
  /** The other cells. */
  readonly cells: readonly string[];
  /** All that is not as it must be. */
  readonly problems: readonly string[];
}

export interface Page {
  readonly title: string;
  readonly intro: readonly string[];
  readonly head: readonly string[];
  /** The columns of numbers, of which the first is that of the requests. */
  readonly numbers: readonly [number, ...number[]];
  readonly notes: readonly string[];
  /** How many rows were played now. */
  readonly played: number;
}

/** What stands in the table of rows that were played: their lines, by place, and what was not as it must be. */
interface Told {
  readonly lines: ReadonlyMap<string, string>;
  readonly problems: ReadonlyMap<string, string>;
}

type Place = Pick<Line, 'section' | 'fault' | 'point'>;

const keyOf = ({ section, fault, point }: Place): string =>
  `${fault}, ${section.replace(/^By /, '').toLowerCase()}, ${point}`;

/** The text of it, from what was played now and the text before. */
export function mergeTable(
  page: Page,
  rows: readonly Line[],
  places: readonly Place[],
  text: string,
): string {
  const [before, now] = [readTold(text), tellLines(rows)];
  const keys = places.map(keyOf);
  const lineAt = (key: string): string[] => {
    const line = now.lines.get(key) ?? before.lines.get(key);
    return line === undefined ? [] : [line];
  };
  const failed = keys.flatMap((key) => (now.lines.has(key) ? now : before).problems.get(key) ?? []);
  const sections = [...new Set(places.map(({ section }) => section))];
  const lines = [
    ...[`# ${page.title}`, '', ...page.intro, ''],
    `${new Date().toISOString().slice(0, 10)}, ${tellSum(page, keys.flatMap(lineAt), places.length, failed.length)}`,
    ...page.notes.flatMap((note) => ['', note]),
    ...sections.flatMap((section) => {
      const table = keys.filter((_, index) => places[index]?.section === section).flatMap(lineAt);
      return table.length === 0 ? [] : ['', `## ${section}`, '', ...headingOf(page), ...table];
    }),
    ...(failed.length === 0 ? [] : ['', '## Not as it must be', '', ...failed]),
  ];
  return `${lines.join('\n')}\n`;
}

/** What the date is followed by, of the lines that stand there. */
function tellSum(
  { numbers, played }: Page,
  lines: readonly string[],
  places: number,
  failed: number,
): string {
  const cellsOf = (line: string): string[] => line.replace(/^\| | \|$/g, '').split(' | ');
  const requests = lines.reduce((sum, line) => sum + Number(cellsOf(line)[numbers[0]]), 0);
  return (
    `on ${describeMachine()}: ${lines.length} of ${places} rows, ` +
    `${played} of them in the last run; ${lines.length - failed} as they must be, ${failed} not; ${requests} requests.`
  );
}

/** In brackets where nobody was there to answer. */
export const tellLost = ({ machineGoes, lost }: { machineGoes: boolean; lost: number }): string =>
  machineGoes && lost > 0 ? `(${lost})` : String(lost);

const lineOf = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
const headingOf = ({ head, numbers }: Page): string[] => [
  lineOf(head),
  lineOf(head.map((_, column) => (numbers.includes(column) ? '---:' : '---'))),
];

function tellLines(rows: readonly Line[]): Told {
  const failed = rows.filter(({ problems }) => problems.length > 0);
  return {
    lines: new Map(
      rows.map((row) => [
        keyOf(row),
        lineOf([row.fault + (row.problems.length > 0 ? ' ✗' : ''), row.point, ...row.cells]),
      ]),
    ),
    problems: new Map(
      failed.map((row) => [keyOf(row), `- ${keyOf(row)}: ${row.problems.join('; ').replaceAll('\n', ' ')}`]),
    ),
  };
}

/** Reads what was written here before. */
function readTold(text: string): Told {
  const [lines, problems] = [new Map<string, string>(), new Map<string, string>()];
  let section = '';
  for (const line of text.split('\n')) {
    section = /^## (.+)$/.exec(line)?.[1] ?? section;
    const [fault = '', point = ''] = line.replace(/^\| /, '').split(' | ');
    if (/^\| (?!fault |---)/.test(line))
      lines.set(keyOf({ section, fault: fault.replace(/ ✗$/, ''), point }), line);
    const [, problem] = /^- (.*?): /.exec(line) ?? [];
    if (problem !== undefined) problems.set(problem, line);
  }
  return { lines, problems };
}
