/**
 * Plays every fault at every line of a deploy's journal, by pause and by overlap, and writes docs/torture.md.
 *
 *     npm run torture                   that, then every call of a deploy that may go wrong, backups and restores, promotions
 *     npm run torture -- FAULT…         only rows that hold one of these words, such as 'reboot, at copy'; the other rows stay as they were
 *     npm run torture -- calls          only the calls: see calls.ts
 *     npm run torture -- backup FAULT…  only backups, or those rows of them; `restore` likewise: see data/main.ts
 *     npm run torture -- promotion ROW… only promotions, or those rows of them: see promotions.ts
 */
import { type Cloud, startCloud } from '../cloud/cloud.ts';
import { untilStopped } from '../ground/stop.ts';
import { tortureCalls } from './calls.ts';
import { operations } from './data/journal.ts';
import { tortureData } from './data/main.ts';
import { type Manner, nameOf } from './journal.ts';
import { faults, type Place, placesOf } from './matrix.ts';
import { torturePromotions } from './promotions.ts';
import { playToTheEnd } from './session.ts';
import { writeTable } from './table.ts';
import { play, type Row, raiseStage, replace, type Stage } from './trial.ts';

// A name of its own for each process, so that two tortures do not disturb each other.
const cloudName = `t${process.pid.toString(36)}`;
const words = process.argv.slice(2);
const manners = ['pause', 'overlap'] as const;
const hostsEach = 2;
const everywhere = manners.flatMap((manner) => placesOf(manner));
const places = everywhere.filter(({ fault, point }) => {
  const place = `${fault.name}, at ${nameOf(point)}`;
  return words.length === 0 || words.some((word) => place.includes(word));
});
const rows = new Map<Place, Row>();
const stop = untilStopped();

/** Rejects when somebody stops us: what is under way is left to itself, and taken away with the cloud. */
const stopped = new Promise<never>((_, reject) => {
  stop.addEventListener('abort', () => reject(stop.reason as Error));
});

/** Plays the rows of one manner, on hosts that take the next row when they are done with one. */
async function torture(stages: readonly Stage[], manner: Manner): Promise<void> {
  const own = places.filter((place) => place.manner === manner);
  // First what says the most, so that also a run that is stopped has met each fault.
  const waiting = [...own.filter(({ first }) => first), ...own.filter(({ first }) => !first)].values();
  const playOn = async (stage: Stage): Promise<void> => {
    for (let next = waiting.next(); !next.done && !stop.aborted; next = waiting.next()) {
      const row = await play(stage, next.value.fault, next.value.point);
      // What became of a row whose cloud was taken away is no news.
      if (stop.aborted) return;
      rows.set(next.value, row);
      tell(row);
      if (row.problems.length > 0) await replace(stage);
    }
  };
  // A host that cannot be replaced leaves its rows to the others.
  const complain = (error: Error): void => console.error(`a host by ${manner} is out: ${error.message}`);
  await Promise.all(stages.map((stage) => playOn(stage).catch(complain)));
}

async function raiseStages(cloud: Cloud, manner: Manner): Promise<Stage[]> {
  const stages: Stage[] = [];
  for (let count = 1; count <= hostsEach; count += 1) {
    console.log(`raising a host, to be switched by ${manner}`);
    stages.push(await raiseStage(cloud, manner));
  }
  return stages;
}

function tell({ fault, manner, point, verdict, lost, problems, seconds }: Row): void {
  const sign = problems.length === 0 ? 'passed' : 'FAILED';
  const what = `${manner}: ${fault}, at ${point}`;
  console.log(
    `[${rows.size}/${places.length}] ${sign} ${what}: ${verdict}, ${lost} lost, ${seconds.toFixed(0)} s`,
  );
  for (const problem of problems) console.log(`    ${problem}`);
}

async function main(): Promise<void> {
  if (places.length === 0)
    throw new Error(
      `there is no such fault; there are:\n${faults.map(({ name }) => `  ${name}`).join('\n')}`,
    );
  const cloud = await startCloud({ name: cloudName, onStep: (step) => console.log(step) });
  const stages = { pause: await raiseStages(cloud, 'pause'), overlap: await raiseStages(cloud, 'overlap') };
  await Promise.all(manners.map((manner) => torture(stages[manner], manner)));
}

const tortureHosts = (): Promise<boolean> =>
  playToTheEnd({
    ...{ what: 'The torture', clouds: [cloudName], places, rows, play: main, stopped },
    write: (played: readonly Row[]) => writeTable(played, everywhere),
  });

const [first = ''] = words;
const meant = operations.filter((operation) => operation === first);
const parts: readonly (() => Promise<boolean>)[] =
  meant.length > 0
    ? [() => tortureData(meant, words.slice(1), stop, stopped)]
    : first === 'promotion'
      ? [() => torturePromotions(words.slice(1), stop, stopped)]
      : [
          ...(first === 'calls' ? [] : [tortureHosts]),
          ...(words.length === 0 || first === 'calls' ? [() => tortureCalls(stop, stopped)] : []),
          ...(words.length === 0 ? [() => tortureData(operations, [], stop, stopped)] : []),
          ...(words.length === 0 ? [() => torturePromotions([], stop, stopped)] : []),
        ];
let holds = true;
for (const part of parts) holds = !stop.aborted && (await part()) && holds;
// The load generator may still hold a pipe after an interruption.
process.exit(holds ? 0 : 1);
