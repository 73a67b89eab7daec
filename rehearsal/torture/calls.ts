/**
 * Plays every call of a deploy that may go wrong, in every manner, through the bundle, each with its re-run, and writes
 * docs/torture-calls.md: `npm run torture -- calls`.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Case, matrix } from '../../tests/end-to-end/faults/cases.ts';
import { play, type Row } from '../../tests/end-to-end/faults/play.ts';
import { Staging } from '../../tests/end-to-end/faults/staging.ts';
import { startCloud } from '../cloud/cloud.ts';
import { repositoryFolder } from '../ground/places.ts';
import { describeMachine } from '../ground/this-machine.ts';
import { playToTheEnd } from './session.ts';

const file = join(repositoryFolder, 'docs', 'torture-calls.md');

/** Each is a cloud with a host of its own, and takes the next case when it is done with one. */
const lanes = [0, 1].map((lane) => `c${process.pid.toString(36)}${lane}`);

const began = new Date();
const rows = new Map<Case, Row>();

/** Whether all cases were played and are as they must be; `stopped` rejects when `stop` is aborted. */
export function tortureCalls(stop: AbortSignal, stopped: Promise<never>): Promise<boolean> {
  const waiting = matrix.values();
  const play = () => Promise.all(lanes.map((lane) => playOn(lane, waiting, stop)));
  return playToTheEnd({
    ...{ what: 'The calls', clouds: lanes, places: matrix, rows, play, stopped },
    write: writeTable,
  });
}

async function playOn(name: string, waiting: Iterator<Case>, stop: AbortSignal): Promise<void> {
  const staging = await Staging.open(await startCloud({ name }));
  let live = await staging.pack();
  await staging.deploy(live);
  for (let next = waiting.next(); !next.done && !stop.aborted; next = waiting.next()) {
    const row = await play(staging, next.value, live);
    // What became of a case whose cloud was taken away is no news.
    if (stop.aborted) return;
    live = row.live;
    rows.set(next.value, row);
    tell(row);
  }
}

function tell({ name, told, again, problems }: Row): void {
  const sign = problems.length === 0 ? 'passed' : 'FAILED';
  console.log(`[${rows.size}/${matrix.length}] ${sign} ${name}: ${told}, then ${again}`);
  for (const problem of problems) console.log(`    ${problem}`);
}

async function writeTable(played: readonly Row[]): Promise<void> {
  const minutes = Math.round((Date.now() - began.getTime()) / 60_000);
  const bad = played.filter(({ problems }) => problems.length > 0);
  const lines = [
    '# Calls that go wrong',
    '',
    'Written by `npm run torture -- calls`: a deploy through the bundle, one of whose calls to AWS, to GitHub or to its token server',
    'goes wrong, and the next attempt after it. The verdict must be what is true on the host and in the bucket, no step may be taken',
    'and nothing sent or recorded twice, and the next attempt must finish.',
    '',
    `${began.toISOString().slice(0, 10)}, on ${describeMachine()}: ${played.length} of ${matrix.length} rows in ${minutes} minutes, ` +
      `${played.length - bad.length} as they must be, ${bad.length} not.`,
    '',
    '| call | goes wrong | verdict | next attempt |',
    '| --- | --- | --- | --- |',
    ...played.map(toLine),
    ...(bad.length === 0 ? [] : ['', '## Not as it must be', '', ...bad.map(tellFailed)]),
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
}

function toLine({ name, told, again, problems }: Row): string {
  const [call = '', manner = ''] = name.split(': ');
  return `| ${call}${problems.length > 0 ? ' ✗' : ''} | ${manner} | ${told} | ${again} |`;
}

const tellFailed = ({ name, problems }: Row): string =>
  `- ${name}: ${problems.join('; ').replaceAll('\n', ' ')}`;
