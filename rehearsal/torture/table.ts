/** The table of a torture of deploys, as people read it. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryFolder } from '../ground/places.ts';
import { type Manner, nameOf } from './journal.ts';
import type { Place } from './matrix.ts';
import { type Line, mergeTable, type Page, tellLost } from './merge.ts';
import type { Row } from './trial.ts';

const file = join(repositoryFolder, 'docs', 'torture.md');

/** Writes docs/torture.md. Rows that were not played now stand there as they were played last. */
export async function writeTable(rows: readonly Row[], places: readonly Place[]): Promise<void> {
  await writeFile(file, tellTorture(rows, places, await readFile(file, 'utf8').catch(() => '')));
}

/** The text of it, from what was played now and the text before. */
export function tellTorture(rows: readonly Row[], places: readonly Place[], text: string): string {
  const all = places.map(({ manner, fault, point }) => ({
    ...{ section: sectionOf(manner), fault: fault.name, point: nameOf(point) },
  }));
  return mergeTable(pageOf(rows.length), rows.map(toLine), all, text);
}

const sectionOf = (manner: Manner): string => `By ${manner}`;

const pageOf = (played: number): Page => ({
  title: 'Torture',
  intro: [
    'Written by `npm run torture`: each fault strikes a deploy on a real systemd host, at a line of its journal, while users',
    'read and write. Afterwards exactly one release must run and be healthy, every acknowledged write must be in the database,',
    'journal and probe must tell what happened, and the next deploy must succeed.',
  ],
  head: ['fault', 'at', 'verdict', 'live after', 'requests', 'lost', 'data lost', 'next deploy'],
  numbers: [4, 5, 6],
  notes: [
    'Lost requests in brackets were sent while the machine was off, or its port was taken: nobody was there to answer.',
  ],
  played,
});

function toLine(row: Row): Line {
  const { manner, fault, point, verdict, live, requests, dataLost, next, problems } = row;
  const cells = [verdict, live, String(requests), tellLost(row), String(dataLost), next];
  return { section: sectionOf(manner), fault, point, cells, problems };
}
