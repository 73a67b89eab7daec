/** The table of a torture, as people read it. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryFolder } from '../ground/places.ts';
import { describeMachine } from '../ground/this-machine.ts';
import type { Row } from './trial.ts';

const file = join(repositoryFolder, 'docs', 'torture.md');

const head = ['fault', 'at', 'verdict', 'live after', 'requests', 'lost', 'data lost', 'next deploy'];

/** Writes docs/torture.md; `total` is the number of rows that a whole run has. */
export async function writeTable(rows: readonly Row[], total: number, began: Date): Promise<void> {
  const failed = rows.filter(({ problems }) => problems.length > 0);
  const requests = rows.reduce((sum, row) => sum + row.requests, 0);
  const minutes = Math.round((Date.now() - began.getTime()) / 60_000);
  const lines = [
    '# Torture',
    '',
    'Written by `npm run torture`: each fault strikes a deploy on a real systemd host, at a line of its journal, while users',
    'read and write. Afterwards exactly one release must run and be healthy, every acknowledged write must be in the database,',
    'journal and probe must tell what happened, and the next deploy must succeed.',
    '',
    `${began.toISOString().slice(0, 10)}, on ${describeMachine()}: ${rows.length} of ${total} rows in ${minutes} minutes, ` +
      `${rows.length - failed.length} as they must be, ${failed.length} not; ${requests} requests.`,
    '',
    'Lost requests in brackets were sent while the machine was off, or its port was taken: nobody was there to answer.',
    ...(['pause', 'overlap'] as const).flatMap((manner) => {
      const own = rows.filter((row) => row.manner === manner);
      return own.length === 0 ? [] : ['', `## By ${manner}`, '', ...tableOf(own)];
    }),
    ...(failed.length === 0 ? [] : ['', '## Not as it must be', '', ...failed.map(tellFailed)]),
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
}

function tableOf(rows: readonly Row[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    line(head),
    line(head.map((_, column) => (column > 3 && column < 7 ? '---:' : '---'))),
    ...rows.map((row) => line(cells(row))),
  ];
}

function cells(row: Row): string[] {
  const { fault, point, verdict, live, requests, lost, dataLost, next } = row;
  const bad = row.problems.length > 0 ? ' ✗' : '';
  const gone = row.machineGoes && lost > 0 ? `(${lost})` : String(lost);
  return [fault + bad, point, verdict, live, String(requests), gone, String(dataLost), next];
}

function tellFailed({ fault, manner, point, problems }: Row): string {
  return `- ${fault}, ${manner}, ${point}: ${problems.join('; ').replaceAll('\n', ' ')}`;
}
