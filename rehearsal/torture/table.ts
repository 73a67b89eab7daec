/** The table of a torture, as people read it. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryFolder } from '../ground/places.ts';
import { describeMachine } from '../ground/this-machine.ts';
import { nameOf } from './journal.ts';
import type { Place } from './matrix.ts';
import type { Row } from './trial.ts';

const file = join(repositoryFolder, 'docs', 'torture.md');

const head = ['fault', 'at', 'verdict', 'live after', 'requests', 'lost', 'data lost', 'next deploy'];

/** What stands in the table of rows that were played: their lines, by place, and what was not as it must be. */
interface Told {
  readonly lines: ReadonlyMap<string, string>;
  readonly problems: ReadonlyMap<string, string>;
}

const keyOf = (manner: string, fault: string, point: string): string => `${fault}, ${manner}, ${point}`;

/** Writes docs/torture.md. Rows that were not played now stand there as they were played last. */
export async function writeTable(rows: readonly Row[], places: readonly Place[]): Promise<void> {
  await writeFile(file, tellTorture(rows, places, await readFile(file, 'utf8').catch(() => '')));
}

/** The text of it, from what was played now and the text before. */
export function tellTorture(rows: readonly Row[], places: readonly Place[], text: string): string {
  const before = readTold(text);
  const now = tellRows(rows);
  const keys = places.map(({ manner, fault, point }) => keyOf(manner, fault.name, nameOf(point)));
  const stand = keys.flatMap((key) => now.lines.get(key) ?? before.lines.get(key) ?? []);
  const failed = keys.flatMap((key) => (now.lines.has(key) ? now : before).problems.get(key) ?? []);
  const requests = stand.reduce((sum, line) => sum + Number(line.split(' | ')[4]), 0);
  const lines = [
    '# Torture',
    '',
    'Written by `npm run torture`: each fault strikes a deploy on a real systemd host, at a line of its journal, while users',
    'read and write. Afterwards exactly one release must run and be healthy, every acknowledged write must be in the database,',
    'journal and probe must tell what happened, and the next deploy must succeed.',
    '',
    `${new Date().toISOString().slice(0, 10)}, on ${describeMachine()}: ${stand.length} of ${places.length} rows, ` +
      `${rows.length} of them in the last run; ${stand.length - failed.length} as they must be, ${failed.length} not; ${requests} requests.`,
    '',
    'Lost requests in brackets were sent while the machine was off, or its port was taken: nobody was there to answer.',
    ...(['pause', 'overlap'] as const).flatMap((manner) => {
      const own = keys.filter((_, index) => places[index]?.manner === manner);
      const table = own.flatMap((key) => now.lines.get(key) ?? before.lines.get(key) ?? []);
      return table.length === 0 ? [] : ['', `## By ${manner}`, '', ...heading, ...table];
    }),
    ...(failed.length === 0 ? [] : ['', '## Not as it must be', '', ...failed]),
  ];
  return `${lines.join('\n')}\n`;
}

function tellRows(rows: readonly Row[]): Told {
  const entry = ({ manner, fault, point }: Row): string => keyOf(manner, fault, point);
  const failed = rows.filter(({ problems }) => problems.length > 0);
  return {
    lines: new Map(rows.map((row) => [entry(row), lineOf(cells(row))])),
    problems: new Map(failed.map((row) => [entry(row), tellFailed(row)])),
  };
}

/** Reads what was written here before. */
function readTold(text: string): Told {
  const [lines, problems] = [new Map<string, string>(), new Map<string, string>()];
  let manner = '';
  for (const line of text.split('\n')) {
    manner = /^## By (\w+)$/.exec(line)?.[1] ?? manner;
    const [fault, point] = line.replace(/^\| /, '').split(' | ');
    if (/^\| (?!fault |---)/.test(line))
      lines.set(keyOf(manner, fault?.replace(/ ✗$/, '') ?? '', point ?? ''), line);
    const [, problem] = /^- (.*?): /.exec(line) ?? [];
    if (problem !== undefined) problems.set(problem, line);
  }
  return { lines, problems };
}

const lineOf = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
const heading = [lineOf(head), lineOf(head.map((_, column) => (column > 3 && column < 7 ? '---:' : '---')))];

function cells(row: Row): string[] {
  const { fault, point, verdict, live, requests, lost, dataLost, next } = row;
  const bad = row.problems.length > 0 ? ' ✗' : '';
  const gone = row.machineGoes && lost > 0 ? `(${lost})` : String(lost);
  return [fault + bad, point, verdict, live, String(requests), gone, String(dataLost), next];
}

function tellFailed({ fault, manner, point, problems }: Row): string {
  return `- ${keyOf(manner, fault, point)}: ${problems.join('; ').replaceAll('\n', ' ')}`;
}
