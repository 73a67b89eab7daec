/** One row: a fault in the middle of a backup or a restore, under load, and whether all is as it must be afterwards. */
import { Backups, type Parameters, shared } from '../../../tests/host/backups.ts';
import { Host, type Result } from '../../../tests/host/ground.ts';
import { Restores } from '../../../tests/host/restores.ts';
import type { Cloud } from '../../cloud/cloud.ts';
import type { LoadReport } from '../../load/load.ts';
import { haltAt } from '../halt.ts';
import { eachInTurn, nameOf, type Point } from '../journal.ts';
import { numbered } from '../shop.ts';
import { lineOf, strikeAt, type Victim } from '../strike.ts';
import { gatherAt } from '../trial.ts';
import { eachStep, type Operation, type Outcome } from './journal.ts';

/** A host with a live release and a good backup, which is tortured by one fault after the other. */
export interface DataStage {
  readonly cloud: Cloud;
  readonly host: Host;
  readonly backups: Backups;
  readonly restores: Restores;
  /** The release that is live. */
  readonly live: string;
  /** What asks for the backup that restores put back: it holds one note, `base`, and one file, `kept`. */
  readonly request: object;
  rows: number;
}

/** The backup or the restore that a fault strikes. */
export interface DataVictim extends Victim {
  readonly stage: DataStage;
  /** Sends the same command again. */
  readonly again: (operation: string) => Promise<Result>;
}

export interface DataFault {
  readonly name: string;
  /** Where it can strike, what says the most first. */
  readonly points: (operation: Operation) => readonly Point[];
  readonly expected: (operation: Operation, point: Point) => Outcome;
  /** Strikes while the operation stands still at the point; without it the operation is not halted. */
  readonly strike?: (victim: DataVictim, point: Point) => Promise<void>;
  /** Done while the operation goes on. */
  readonly meanwhile?: (victim: DataVictim) => Promise<void>;
  /** Done before it, once users are there. */
  readonly arrange?: (stage: DataStage) => Promise<void>;
  /** Looks at what came of it: tells figures, and throws where something is wrong. */
  readonly look?: (stage: DataStage, told: Result) => Promise<string>;
  /** Done once the verdict is there. */
  readonly mend?: (stage: DataStage) => Promise<void>;
  /** What is restored in place of the usual backup. */
  readonly request?: (stage: DataStage) => Promise<object>;
  readonly parameters?: Parameters;
  /** The fault takes the machine or its network away for a while, so that nobody is there to answer. */
  readonly machineGoes?: true;
  /** Where `npm test` plays it as well, at its first point: what its other tests of backups and restores do not play. */
  readonly sampled?: readonly Operation[];
}

/** What became of one fault at one point. */
export interface DataRow {
  readonly operation: Operation;
  readonly fault: string;
  readonly point: string;
  readonly verdict: string;
  readonly requests: number;
  readonly lost: number;
  readonly machineGoes: boolean;
  /** Acknowledged writes that are nowhere. */
  readonly dataLost: number;
  /** What the next backup came to. */
  readonly next: string;
  readonly seen: string;
  readonly seconds: number;
  /** All that is not as it must be. */
  readonly problems: readonly string[];
}

/** A host of the cloud, a fresh one when none is given, with a live release and a good backup. */
export async function raiseDataStage(cloud: Cloud, host?: Host): Promise<DataStage> {
  const own = host ?? (await Host.launch(cloud));
  const ground = { cloud, host: own };
  const backups = await Backups.raise(ground);
  const { result, sentence, release } = await own.deploy(numbered(1));
  if (result !== 'done') throw new Error(`the first release was not deployed: ${sentence}`);
  await own.sql("INSERT INTO notes VALUES ('base')");
  await own.shell(`mkdir ${shared}/uploads; touch ${shared}/uploads/kept; chown -R shop: ${shared}/uploads`);
  await backups.describe('.data.include = ["uploads"]');
  const base = await backups.make();
  if (base.result !== 'done') throw new Error(`the first backup was not made: ${base.sentence}`);
  const restores = new Restores(ground, backups);
  const request = await restores.request(base, ['databases', 'files']);
  return { ...ground, backups, restores, live: release, request, rows: 0 };
}

/** Plays one fault at one point. A host with problems afterwards is for nothing more. */
export async function playData(
  stage: DataStage,
  operation: Operation,
  fault: DataFault,
  point: Point,
): Promise<DataRow> {
  const started = performance.now();
  const problems: string[] = [];
  const complain = (error: Error): void => void problems.push(error.message);
  const played = await playUnderLoad(stage, operation, fault, point, problems).catch(complain);
  const missing = await missingOf(stage, played?.met?.acknowledged ?? []).catch(complain);
  const next = await backUpNext(stage).catch(complain);
  const met = played?.met;
  if (met !== undefined && met.lost > 0 && !fault.machineGoes)
    problems.push(`${met.lost} of ${met.requests} requests were lost: ${JSON.stringify(met.failures[0])}`);
  if (missing?.[0] !== undefined)
    problems.push(`${missing.length} acknowledged writes are gone: ${missing[0]}`);
  return {
    ...{ operation, fault: fault.name, point: nameOf(point), problems },
    verdict: played === undefined ? 'none' : `${played.told.result} (${played.told.reason})`,
    requests: met?.requests ?? 0,
    lost: met?.lost ?? 0,
    machineGoes: fault.machineGoes ?? false,
    dataLost: missing?.length ?? 0,
    next: next?.reason ?? 'none',
    seen: played?.seen ?? '',
    seconds: (performance.now() - started) / 1000,
  };
}

interface Played {
  readonly told: Result;
  readonly seen: string;
  readonly met: LoadReport;
}

async function playUnderLoad(
  stage: DataStage,
  operation: Operation,
  fault: DataFault,
  point: Point,
  problems: string[],
): Promise<Played> {
  const mark = await renew(stage);
  const crowd = await gatherAt(stage, 'shop');
  try {
    await fault.arrange?.(stage);
    const told = await run(stage, operation, fault, point, problems);
    const expected = fault.expected(operation, point);
    problems.push(...differences(told, expected));
    problems.push(...(await wrongWith(stage, told)));
    const wrong = operation === 'backup' ? wrongWithBackup : wrongWithRestore;
    if (fault.request === undefined) problems.push(...(await wrong(stage, told, expected.done, mark)));
    const seen = (await fault.look?.(stage, told)) ?? '';
    await fault.mend?.(stage);
    return { told, seen, met: await crowd.leave() };
  } finally {
    await crowd.end();
  }
}

/** The data as it is before each row: a note and a file that no earlier backup holds. Gives that note. */
async function renew(stage: DataStage): Promise<string> {
  stage.rows += 1;
  const mark = `before-${stage.rows}`;
  await stage.host.shell(
    `rm -rf ${shared}/.understudy-aside ${shared}/uploads/*; touch ${shared}/uploads/later; chown shop: ${shared}/uploads/later`,
  );
  await stage.host.sql(`DELETE FROM notes; INSERT INTO notes VALUES ('${mark}')`);
  return mark;
}

async function run(
  stage: DataStage,
  operation: Operation,
  fault: DataFault,
  point: Point,
  problems: string[],
): Promise<Result> {
  const { host, backups, restores } = stage;
  const id = host.operation();
  const request = (await fault.request?.(stage)) ?? stage.request;
  const again = (same: string): Promise<Result> => {
    const parameters = { ...fault.parameters, operation: same };
    return operation === 'backup' ? backups.make(parameters) : restores.run(request, parameters);
  };
  const halts = point === eachInTurn ? eachStep(operation, 'lock') : [point];
  const [first] = halts;
  // Before it begins: it may be past the first point in a moment.
  if (fault.strike !== undefined && first !== undefined) await haltAt(host, first);
  const told = again(id).catch(() => undefined);
  const victim: DataVictim = { stage, host, operation: id, told, again };
  await fault.meanwhile?.(victim);
  if (fault.strike !== undefined) await strikeAt(halts, fault.strike, victim);
  const heard = await victim.told;
  const line = await lineOf(host, id);
  if (heard !== undefined && heard.sentence !== line.sentence)
    problems.push(`the watcher told "${heard.sentence}", and the journal "${line.sentence}"`);
  return line;
}

/** Where what was told differs from what must be told. */
function differences(told: Result, { result, reason, says }: Outcome): string[] {
  const problems = Object.entries({ result, reason })
    .filter(([key, wanted]) => told[key] !== wanted)
    .map(([key, wanted]) => `${key} is ${told[key]}, not ${wanted}: ${told.sentence}`);
  const said = typeof says === 'string' ? told.sentence.includes(says) : says.test(told.sentence);
  return said ? problems : [...problems, `"${told.sentence}" does not say ${says}`];
}

type Seen = Readonly<Record<string, readonly [found: unknown, wanted: unknown]>>;

const unlike = (seen: Seen): string[] =>
  Object.entries(seen)
    .filter(([, [found, wanted]]) => found !== wanted)
    .map(([what, [found, wanted]]) => `${what}: ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`);

/** Where the host is not as it must be once the verdict is there, whatever that is. */
async function wrongWith({ host, backups, restores, live }: DataStage, told: Result): Promise<string[]> {
  const probe = await host.probe(String(told['operation']));
  return unlike({
    'the live release': [probe['live'], live],
    'its health': [probe.healthy, true],
    'what runs': [probe['running'], ''],
    'what is known of the operation': [(probe['about'] as { state: string }).state, 'ended'],
    'the units of releases': [(await host.units()).join(' '), `shop@${live}.service`],
    'what a backup left': [await backups.leftBehind(), ''],
    'what a restore left': [await restores.leftBehind(), ''],
  });
}

/** Either it is committed, whole, and holds what was acknowledged before; or there is none. */
async function wrongWithBackup(
  { backups }: DataStage,
  told: Result,
  done: boolean,
  mark: string,
): Promise<string[]> {
  const operation = String(told['operation']);
  const manifests = (await backups.keys()).filter((key) => key.includes(`-${operation}/manifest.json`));
  const kept = (await backups.kept()).filter((name) => name.endsWith(`-${operation}`));
  const notes = done ? await notesIn(backups, told) : [];
  return unlike({
    'its manifests': [manifests.length, done ? 1 : 0],
    'its copies on the host': [kept.length, done ? 1 : 0],
    'what was acknowledged before it, in it': [notes.includes(mark), done],
  });
}

/** Either all that was restored is there, and all that was there before is aside; or all that was there is there still. */
async function wrongWithRestore(
  { host }: DataStage,
  _: Result,
  done: boolean,
  mark: string,
): Promise<string[]> {
  const notes = (await host.sql('SELECT note FROM notes')).split('\n');
  return unlike({
    'the note of the backup': [notes.includes('base'), done],
    'the note from before': [notes.includes(mark), !done],
    'the files': [await host.shell(`ls ${shared}/uploads`), done ? 'kept' : 'later'],
    'the old set, kept aside': [
      await host.shell(
        `cd ${shared}; find .understudy-aside \\( -name app.db -o -name later \\) -printf '%f\n' 2>/dev/null | sort | xargs`,
      ),
      done ? 'app.db later' : '',
    ],
  });
}

/** Acknowledged writes that neither the database holds nor one that was kept aside. */
async function missingOf({ host }: DataStage, acknowledged: readonly string[]): Promise<string[]> {
  const notes = await host.shell(`cd ${shared}; find . -name app.db | while read -r one; do
  sqlite3 -cmd '.timeout 20000' "$one" 'SELECT note FROM notes'; done`);
  const stored = new Set(notes.split('\n'));
  return acknowledged.filter((mark) => !stored.has(mark));
}

/** The notes in a stored backup, each of whose objects is as its manifest says. */
async function notesIn(backups: Backups, backup: Result): Promise<string[]> {
  const { databases, files, code } = await backups.manifest(backup);
  for (const one of [files, code]) if (one !== null) await backups.unpacked(backup, one);
  const own = databases.find(({ name }) => name === 'app.db');
  if (own === undefined) throw new Error('the backup does not hold app.db');
  const rows = await backups.ask(backup, own, 'SELECT note FROM notes');
  return rows.map(({ note }) => String(note));
}

/** The next backup, which must be good, and hold all that is there now. */
async function backUpNext({ host, backups }: DataStage): Promise<Result> {
  const next = await backups.make();
  if (next.result !== 'done') throw new Error(`the next backup ended as ${next.result}: ${next.sentence}`);
  const there = (await host.sql('SELECT note FROM notes')).split('\n').sort();
  const held = (await notesIn(backups, next)).sort();
  if (held.join('\n') !== there.join('\n'))
    throw new Error(`the next backup holds ${held.length} notes, and there are ${there.length}`);
  return next;
}
