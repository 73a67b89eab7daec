/** One row of the matrix: a fault in the middle of a deploy, under load, and whether all is as it must be afterwards. */
import type { Variant } from '../../tests/host/app.ts';
import { Host, type Result } from '../../tests/host/ground.ts';
import { type Cloud, describeHost } from '../cloud/cloud.ts';
import { type Crowd, gather } from '../load/crowd.ts';
import type { LoadReport } from '../load/load.ts';
import { haltAt } from './halt.ts';
import { type Expected, eachInTurn, type Manner, nameOf, type Point, pointsOf } from './journal.ts';
import { numbered } from './shop.ts';
import { lineOf, strikeAt, type Victim } from './strike.ts';

/** A host with a live release, which is tortured by one fault after the other. */
export interface Stage {
  readonly cloud: Cloud;
  readonly manner: Manner;
  host: Host;
  /** The number of the release that is live; each has its own, and its migration writes it into the database. */
  live: number;
  /** The number of the newest release that was made. */
  newest: number;
}

/** The deploy that a fault strikes. */
export interface Struck extends Victim {
  readonly stage: Stage;
  readonly release: string;
}

type Strike = (struck: Struck, point: Point) => Promise<void>;

export interface Fault {
  readonly name: string;
  /** Where it can strike, or takes effect; `npm test` plays it at the first. */
  readonly points: (manner: Manner) => readonly Point[];
  readonly expected: (manner: Manner, point: Point) => Expected;
  /** Strikes while the deploy stands still at the point; without it the deploy is not halted. */
  readonly strike?: Strike;
  /** Done while the deploy goes on. */
  readonly meanwhile?: (struck: Struck) => Promise<void>;
  /** Done before the deploy. */
  readonly arrange?: (stage: Stage) => Promise<void>;
  /** What an operator does once the verdict is there. */
  readonly mend?: (stage: Stage) => Promise<void>;
  readonly variant?: (point: Point, base: Variant) => Partial<Variant>;
  readonly parameters?: Record<string, string>;
  /** How the deploy is brought to the host; by its script when absent. */
  readonly bring?: (stage: Stage, release: string, operation: string) => Promise<Result>;
  /** The fault takes the machine away for a while, so that nobody is there to answer. */
  readonly machineGoes?: true;
  /** The app answers only once it was mended. */
  readonly downUntilMended?: true;
  /** The app itself cannot write meanwhile. */
  readonly readersOnly?: true;
}

/** What became of one fault at one point. */
export interface Row {
  readonly fault: string;
  readonly manner: Manner;
  readonly point: string;
  readonly verdict: string;
  readonly live: string;
  readonly requests: number;
  readonly lost: number;
  readonly machineGoes: boolean;
  /** Acknowledged writes that are not in the database. */
  readonly dataLost: number;
  readonly next: string;
  readonly seconds: number;
  /** All that is not as it must be. */
  readonly problems: readonly string[];
}

/** A host of the cloud, a fresh one when none is given, with a live release. */
export async function raiseStage(cloud: Cloud, manner: Manner, host?: Host): Promise<Stage> {
  const stage: Stage = { cloud, manner, host: host ?? (await Host.launch(cloud)), live: 1, newest: 1 };
  await furnish(stage);
  return stage;
}

async function furnish(stage: Stage): Promise<void> {
  await stage.host.prepare({ switch: stage.manner });
  const { result, sentence } = await stage.host.deploy(numbered(stage.live));
  if (result !== 'done') throw new Error(`the first release was not deployed: ${sentence}`);
}

/** Plays one fault at one point. A host with problems afterwards is for nothing more: see `replace`. */
export async function play(stage: Stage, fault: Fault, point: Point): Promise<Row> {
  const started = performance.now();
  const problems: string[] = [];
  const { expected, told, next, met } = await playUnderLoad(stage, fault, point, problems);
  const missing = await missingOf(stage.host, met?.acknowledged ?? []);
  problems.push(...lossesOf(fault, met, missing));
  return {
    ...{ fault: fault.name, manner: stage.manner, point: nameOf(point), problems },
    verdict: told === undefined ? 'none' : `${told.result} (${told.reason})`,
    live: told === undefined ? 'unknown' : expected.live,
    requests: met?.requests ?? 0,
    lost: met?.lost ?? 0,
    machineGoes: isAway(fault),
    dataLost: missing.length,
    next: next?.reason ?? 'none',
    seconds: (performance.now() - started) / 1000,
  };
}

interface Played {
  readonly expected: Expected;
  told?: Result;
  next?: Result;
  met?: LoadReport;
}

async function playUnderLoad(stage: Stage, fault: Fault, point: Point, problems: string[]): Promise<Played> {
  const played: Played = { expected: fault.expected(stage.manner, point) };
  const complain = (error: Error): void => void problems.push(error.message);
  const crowd = await gatherAt(stage, fault.readersOnly ? 'shop-readers' : 'shop').catch(complain);
  if (crowd === undefined) return played;
  await playOut(stage, fault, point, played, problems).catch(complain);
  const met = await crowd.leave().catch(complain);
  await crowd.end();
  return met === undefined ? played : { ...played, met };
}

const requestsASecond = 10;

/** Users from outside of the host: `shop` writes with every second request, `shop-readers` never. */
export async function gatherAt(
  { cloud, host }: Pick<Stage, 'cloud' | 'host'>,
  asks: 'shop' | 'shop-readers',
): Promise<Crowd> {
  const { ip } = await describeHost(cloud, host.instanceId);
  return gather(cloud, { url: `http://${ip}:8080`, asks, rate: requestsASecond });
}

/** The deploy that is struck, the verdict on the host, and the next deploy. */
async function playOut(
  stage: Stage,
  fault: Fault,
  point: Point,
  played: Played,
  problems: string[],
): Promise<void> {
  const { expected } = played;
  stage.newest += 1;
  const base = numbered(stage.newest);
  const release = await stage.host.store({ ...base, ...fault.variant?.(point, base) });
  const told = await deployUnder(stage, fault, point, release, problems);
  played.told = told;
  problems.push(...differences(told, expected));
  if (expected.live === 'new') stage.live = stage.newest;
  if (fault.downUntilMended) await fault.mend?.(stage);
  problems.push(...(await wrongWith(stage, told, expected)));
  if (!fault.downUntilMended) await fault.mend?.(stage);
  const next = await deployNext(stage, fault, release, expected);
  played.next = next;
  if (next.result !== 'done') problems.push(`the next deploy ended as ${next.result}: ${next.sentence}`);
}

/** Acknowledged writes that the database does not hold. */
async function missingOf(host: Host, acknowledged: readonly string[]): Promise<string[]> {
  const notes = await host.sql('SELECT note FROM notes').catch(() => '');
  const stored = new Set(notes.split('\n'));
  return acknowledged.filter((mark) => !stored.has(mark));
}

async function deployUnder(
  stage: Stage,
  fault: Fault,
  point: Point,
  release: string,
  problems: string[],
): Promise<Result> {
  const { host } = stage;
  const operation = host.operation();
  await fault.arrange?.(stage);
  const halts =
    point === eachInTurn ? pointsOf(stage.manner).filter(({ fact }) => fact === undefined) : [point];
  const [first] = halts;
  // Before it begins: it may be past the first point in a moment.
  if (fault.strike !== undefined && first !== undefined) await haltAt(host, first);
  const bring = fault.bring ?? broughtByItsScript(fault.parameters);
  const told = bring(stage, release, operation).catch(() => undefined);
  const struck: Struck = { stage, host, operation, release, told };
  await fault.meanwhile?.(struck);
  if (fault.strike !== undefined) await strikeAt(halts, fault.strike, struck);
  const line = await lineOf(host, operation);
  const heard = await struck.told;
  if (heard !== undefined && heard.sentence !== line.sentence)
    problems.push(`the watcher told "${heard.sentence}", and the journal "${line.sentence}"`);
  return line;
}

const broughtByItsScript =
  (parameters: Record<string, string> = {}) =>
  (stage: Stage, release: string, operation: string): Promise<Result> =>
    stage.host.deployStored(release, { operation, ...parameters });

/** What a user does next: the same release again, and another one where that is live already, or was to blame. */
function deployNext(stage: Stage, fault: Fault, release: string, expected: Expected): Promise<Result> {
  const again = expected.live === 'old' && fault.variant === undefined && fault.bring === undefined;
  if (!again) stage.newest += 1;
  stage.live = stage.newest;
  return again ? stage.host.deployStored(release) : stage.host.deploy(numbered(stage.newest));
}

/** Where what was told differs from what must be told. */
function differences(told: Result, expected: Expected): string[] {
  const { result, reason, met, says } = expected;
  const problems = Object.entries({ result, reason, met })
    .filter(([key, wanted]) => !(wanted instanceof RegExp ? wanted.test(told.reason) : told[key] === wanted))
    .map(([key, wanted]) => `${key} is ${told[key]}, not ${wanted}: ${told.sentence}`);
  const said = typeof says === 'string' ? told.sentence.includes(says) : says.test(told.sentence);
  return said ? problems : [...problems, `"${told.sentence}" does not say ${says}`];
}

/** Where the host is not as it must be once the verdict is there. */
async function wrongWith(stage: Stage, told: Result, expected: Expected): Promise<string[]> {
  const { host } = stage;
  const probe = await host.probe(String(told['operation']));
  const release = expected.live === 'new' ? told.release : told.previous;
  const database = expected.data === 'new' ? stage.newest : stage.live;
  const seen: Record<string, [found: unknown, wanted: unknown]> = {
    'the live release': [probe['live'], release],
    'its health': [probe.healthy, true],
    'what runs': [probe['running'], ''],
    'what is known of the operation': [(probe['about'] as { state: string }).state, 'ended'],
    'the units of releases': [(await host.units()).join(' '), `shop@${release}.service`],
    'the version that users meet': [(JSON.parse(await host.health()) as Variant).version, String(stage.live)],
    'the version of the database': [await host.sql('PRAGMA user_version'), String(database)],
    'what is left': [await leftovers(host), ''],
  };
  return Object.entries(seen)
    .filter(([, [found, wanted]]) => found !== wanted)
    .map(([what, [found, wanted]]) => `${what}: ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`);
}

/** Traces that no operation leaves behind. */
function leftovers(host: Host): Promise<string> {
  return host.shell(`ls -d /var/lib/understudy/shop/rehearsal/* /srv/shop/current.new 2>/dev/null || true
systemctl list-units --plain --no-legend --state=active,activating,deactivating 'understudy-shop-*'; find /srv/shop/shared -name '*.understudy'`);
}

const isAway = (fault: Fault): boolean => fault.machineGoes ?? fault.downUntilMended ?? false;

/** Losses are none, unless there was no machine to answer. */
function lossesOf(fault: Fault, met: LoadReport | undefined, missing: readonly string[]): string[] {
  const problems: string[] = [];
  if (met !== undefined && met.lost > 0 && !isAway(fault))
    problems.push(`${met.lost} of ${met.requests} requests were lost: ${JSON.stringify(met.failures[0])}`);
  if (missing.length > 0) problems.push(`${missing.length} acknowledged writes are gone: ${missing[0]}`);
  return problems;
}

/** Puts a fresh host in the place of one that a fault has left otherwise than it must. */
export async function replace(stage: Stage): Promise<void> {
  stage.host = await Host.launch(stage.cloud);
  stage.newest += 1;
  stage.live = stage.newest;
  await furnish(stage);
}
