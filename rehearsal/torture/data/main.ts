/**
 * Plays every fault at every line of the journal of a backup and of a restore, and what takes long once, and writes
 * docs/torture-backup.md: `npm run torture -- backup` or `-- restore`, and words of the rows that are meant.
 */
import { startCloud } from '../../cloud/cloud.ts';
import { nameOf } from '../journal.ts';
import { playToTheEnd } from '../session.ts';
import type { Operation } from './journal.ts';
import { long } from './long.ts';
import { type DataPlace, dataPlaces } from './matrix.ts';
import { writeDataTable } from './table.ts';
import { type DataRow, type DataStage, playData, raiseDataStage } from './trial.ts';

const cloudName = `t${process.pid.toString(36)}`;
const hosts = 2;
const rows = new Map<DataPlace, DataRow>();

/** Whether all rows that are meant were played and are as they must be; `stopped` rejects when `stop` is aborted. */
export async function tortureData(
  operations: readonly Operation[],
  words: readonly string[],
  stop: AbortSignal,
  stopped: Promise<never>,
): Promise<boolean> {
  const places = dataPlaces.filter(({ operation, fault, point }) => {
    const place = `${fault.name}, at ${nameOf(point)}`;
    return (
      operations.includes(operation) && (words.length === 0 || words.some((word) => place.includes(word)))
    );
  });
  if (places.length === 0) throw new Error('there is no such row of backups or restores');
  const play = (): Promise<void> => playAll(places, stop);
  return playToTheEnd({
    ...{ what: 'The torture', clouds: [cloudName], places, rows, play, stopped },
    write: writeDataTable,
  });
}

/** First what strikes at a line, on all hosts; then what takes long, or all calls of the cloud, alone. */
async function playAll(places: readonly DataPlace[], stop: AbortSignal): Promise<void> {
  const cloud = await startCloud({ name: cloudName, onStep: (step) => console.log(step) });
  const alone = places.filter(({ fault }) => long.includes(fault));
  const beside = places.filter((place) => !alone.includes(place));
  // First what says the most, so that also a run that is stopped has met each fault.
  const waiting = [...beside.filter(({ first }) => first), ...beside.filter(({ first }) => !first)].values();
  const stages: DataStage[] = [];
  for (let count = beside.length > 1 ? hosts : 1; count > 0; count -= 1) {
    console.log('raising a host');
    stages.push(await raiseDataStage(cloud));
  }
  const ends = await Promise.all(stages.map((stage) => playOn(stage, waiting, places.length, stop)));
  const [last] = ends;
  if (last !== undefined) await playOn(last, alone.values(), places.length, stop);
}

/** On a host, which is replaced where a fault left it otherwise than it must. Gives the one that is there in the end. */
async function playOn(
  given: DataStage,
  waiting: Iterator<DataPlace>,
  of: number,
  stop: AbortSignal,
): Promise<DataStage> {
  let stage = given;
  for (let next = waiting.next(); !next.done && !stop.aborted; next = waiting.next()) {
    const { operation, fault, point } = next.value;
    const row = await playData(stage, operation, fault, point);
    // What became of a row whose cloud was taken away is no news.
    if (stop.aborted) break;
    rows.set(next.value, row);
    tell(row, of);
    if (row.problems.length > 0) stage = await raiseDataStage(stage.cloud);
  }
  return stage;
}

function tell(
  { operation, fault, point, verdict, lost, seen, problems, seconds }: DataRow,
  of: number,
): void {
  const sign = problems.length === 0 ? 'passed' : 'FAILED';
  console.log(
    `[${rows.size}/${of}] ${sign} ${operation}: ${fault}, at ${point}: ${verdict}, ${lost} lost, ${seconds.toFixed(0)} s ${seen}`,
  );
  for (const problem of problems) console.log(`    ${problem}`);
}
