/**
 * Plays promotions through the bundle whose runner dies at each step, or one of whose calls that change something gets no
 * answer, each with the attempt after it, and writes docs/torture-promotion.md: `npm run torture -- promotion`.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Stage } from '../../tests/end-to-end/promotion/stage.ts';
import { playTrouble, type Row } from '../../tests/end-to-end/promotion/trial.ts';
import { type Trouble, troubles } from '../../tests/end-to-end/promotion/troubles.ts';
import { startCloud } from '../cloud/cloud.ts';
import { repositoryFolder } from '../ground/places.ts';
import { describeMachine } from '../ground/this-machine.ts';
import { playToTheEnd } from './session.ts';

const file = join(repositoryFolder, 'docs', 'torture-promotion.md');

/** Each is a cloud with a staging and a production of its own, and takes the next trouble when it is done with one. */
const lanes = [0, 1].map((lane) => `p${process.pid.toString(36)}${lane}`);

const began = new Date();
const rows = new Map<Trouble, Row>();

/** Whether all that are meant were played and are as they must be; `stopped` rejects when `stop` is aborted. */
export async function torturePromotions(
  words: readonly string[],
  stop: AbortSignal,
  stopped: Promise<never>,
): Promise<boolean> {
  const places = troubles.filter(
    ({ name }) => words.length === 0 || words.some((word) => name.includes(word)),
  );
  if (places.length === 0) throw new Error('there is no such row of promotions');
  const waiting = places.values();
  const play = () => Promise.all(lanes.map((lane) => playOn(lane, waiting, places.length, stop)));
  return playToTheEnd({
    ...{ what: 'The promotions', clouds: lanes, places, rows, play, stopped },
    // Some rows alone are told, and not written.
    write: async (played) => (words.length === 0 ? writeTable(played) : undefined),
  });
}

async function playOn(
  name: string,
  waiting: Iterator<Trouble>,
  of: number,
  stop: AbortSignal,
): Promise<void> {
  const stage = await Stage.open(await startCloud({ name }));
  await stage.protectTags();
  await stage.prove(1);
  // The first of all finds nothing that it could back up.
  await stage.promote(await stage.soak(await stage.pack()));
  for (let next = waiting.next(); !next.done && !stop.aborted; next = waiting.next()) {
    const row = await playTrouble(stage, next.value);
    // What became of a trouble whose cloud was taken away is no news.
    if (stop.aborted) return;
    rows.set(next.value, row);
    tell(row, of);
  }
}

function tell({ name, told, again, problems }: Row, of: number): void {
  const sign = problems.length === 0 ? 'passed' : 'FAILED';
  console.log(`[${rows.size}/${of}] ${sign} ${name}: ${told}, then ${again}`);
  for (const problem of problems) console.log(`    ${problem}`);
}

async function writeTable(played: readonly Row[]): Promise<void> {
  const minutes = Math.round((Date.now() - began.getTime()) / 60_000);
  const bad = played.filter(({ problems }) => problems.length > 0);
  const lines = [
    '# Promotions that are cut off',
    '',
    'Written by `npm run torture -- promotion`: a promotion through the bundle whose runner is killed, or one of whose calls that',
    'change something is done and gets no answer, and the next attempt after it. The verdict must be what is true on the host, the',
    'next attempt must finish, and there must be one backup and one image more, no address, and one entry in the ledger each.',
    '',
    `${began.toISOString().slice(0, 10)}, on ${describeMachine()}: ${played.length} of ${troubles.length} rows in ${minutes} minutes, ` +
      `${played.length - bad.length} as they must be, ${bad.length} not.`,
    '',
    '| what | befalls it | verdict | next attempt |',
    '| --- | --- | --- | --- |',
    ...played.map(toLine),
    ...(bad.length === 0 ? [] : ['', '## Not as it must be', '', ...bad.map(tellFailed)]),
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
}

function toLine({ name, told, again, problems }: Row): string {
  const [what = '', befalls = ''] = name.split(': ');
  return `| ${what}${problems.length > 0 ? ' ✗' : ''} | ${befalls} | ${told} | ${again} |`;
}

const tellFailed = ({ name, problems }: Row): string =>
  `- ${name}: ${problems.join('; ').replaceAll('\n', ' ')}`;
