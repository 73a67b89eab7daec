/** The table of a torture of backups and restores, as people read it. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryFolder } from '../../ground/places.ts';
import { nameOf } from '../journal.ts';
import { type Line, mergeTable, type Page, tellLost } from '../merge.ts';
import type { Operation } from './journal.ts';
import { dataPlaces } from './matrix.ts';
import type { DataRow } from './trial.ts';

const file = join(repositoryFolder, 'docs', 'torture-backup.md');

/** Writes docs/torture-backup.md. Rows that were not played now stand there as they were played last. */
export async function writeDataTable(rows: readonly DataRow[]): Promise<void> {
  const all = dataPlaces.map(({ operation, fault, point }) => ({
    ...{ section: sections[operation], fault: fault.name, point: nameOf(point) },
  }));
  const before = await readFile(file, 'utf8').catch(() => '');
  await writeFile(file, mergeTable(pageOf(rows.length), rows.map(toLine), all, before));
}

const sections: Readonly<Record<Operation, string>> = { backup: 'A backup', restore: 'A restore' };

const pageOf = (played: number): Page => ({
  title: 'Torture of backups and restores',
  intro: [
    'Written by `npm run torture -- backup` and `-- restore`: each fault strikes a backup or a restore on a real systemd host, at a',
    'line of its journal or from start to end, while users read and write. Afterwards the app must be healthy; every write that was',
    'acknowledged must be in the database, or in the old set that a restore kept aside; journal and probe must tell what is true of the',
    'host and of the bucket; nothing may be left behind; and the next backup must hold all that is there, each object as its manifest says.',
  ],
  head: ['fault', 'at', 'verdict', 'requests', 'lost', 'data lost', 'next backup', 'seen'],
  numbers: [3, 4, 5],
  notes: [
    'Lost requests in brackets were sent while the machine or its network was off: nobody was there to answer.',
  ],
  played,
});

function toLine(row: DataRow): Line {
  const { operation, fault, point, verdict, requests, dataLost, next, seen, problems } = row;
  const cells = [verdict, String(requests), tellLost(row), String(dataLost), next, seen];
  return { section: sections[operation], fault, point, cells, problems };
}
