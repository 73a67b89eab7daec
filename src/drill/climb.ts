import { createHash } from 'node:crypto';
import { CancelledError, sentenceOf } from '../action/errors.ts';
import { inSpan, say } from '../action/log.ts';
import type { Bucket } from '../aws/bucket.ts';
import { findObjectProblem, readCommitted } from '../backup/confirm.ts';
import { type Manifest, parseManifest, promisedBy, totalsOf } from '../backup/manifest.ts';
import { findProven, type ListedBackup, prefixOf, timeOf } from '../backup/place.ts';
import { ageProblem, timeProblem } from './age.ts';
import {
  type Climb,
  type Control,
  conclude,
  decisive,
  type Level,
  type Phase,
  type Verdict,
} from './ladder.ts';
import { findTrends } from './trends.ts';

/** What a drill goes by. */
export interface Ground {
  readonly bucket: Pick<Bucket, 'name' | 'now' | 'list' | 'read' | 'describe'>;
  readonly app: string;
  readonly environment: string;
  /** How far it is to come. */
  readonly asked: number;
  /** How old the newest backup may be, and the newest row in it, in ms. */
  readonly promiseMs: number;
  readonly staleMs: number;
  /** Whether a human has said that what is odd about the data (level 5) is meant. */
  readonly accept: boolean;
  /** Levels 2 to 4; on an instance of its own 6 and 7 as well. */
  readonly unpack: Unpack;
  readonly signal: AbortSignal;
  /** Chooses the older backup of level 8: the same seed, the same backup. */
  readonly seed: string;
}

export interface Found {
  readonly verdict: Verdict;
  readonly evidence: string;
  readonly warnings?: readonly string[];
}

export interface Unpacked {
  readonly levels: readonly Level[];
  readonly control?: Control;
  /** What bringing it back took, where that was done and not only tried. */
  readonly phases?: readonly Phase[];
}

/**
 * Unpacks a backup whose stored objects agree with its manifest, and looks into it, up to a level; beyond 4, it is put in
 * place and started.
 */
export type Unpack = (key: string, manifest: Manifest, upTo: number) => Promise<Unpacked>;

/** A climb that is bad for nothing but its age still shows what restores. */
interface Climbed extends Climb {
  readonly tooOld: boolean;
}

/** What a drill came to. */
export interface Drilled {
  /** The newest backup; undefined when there is none. */
  readonly newest: Climb | undefined;
  /** Older ones, tried because the newest is bad. */
  readonly older: readonly Climb[];
  /** The newest that came through; undefined when none did. */
  readonly restorable: Climb | undefined;
}

/** So many older ones are tried to find one that restores. */
const mostOlder = 5;

/**
 * Proves the newest backup, and for level 8 a random older one; where the newest is bad, the newest older one that restores,
 * so that one knows what to take.
 */
export async function proveNewest(ground: Ground, listed: readonly ListedBackup[]): Promise<Drilled> {
  const [first, ...rest] = listed;
  if (!first) return { newest: undefined, older: [], restorable: undefined };
  const asked = Math.min(ground.asked, 7);
  const newest = await climb({ ...ground, asked }, first, ground.promiseMs);
  if (isSound(newest, asked)) {
    const further = ground.asked > asked ? [await proveOneOfOlder(ground, rest)] : [];
    const whole = further.length > 0 ? { ...newest, levels: [...newest.levels, ...further] } : newest;
    return { newest: whole, older: [], restorable: whole };
  }
  const older: Climb[] = [];
  if (conclude(newest, asked) !== 'backup-bad') return { newest, older, restorable: undefined };
  for (const one of rest.slice(0, mostOlder)) {
    const tried = await climb({ ...ground, asked }, one, undefined);
    older.push(tried);
    if (isSound(tried, asked)) return { newest, older, restorable: tried };
    if (conclude(tried, asked) !== 'backup-bad') break;
  }
  return { newest, older, restorable: undefined };
}

function isSound(climbed: Climbed, asked: number): boolean {
  const forgiven = climbed.levels.map((level) =>
    level.level === 0 && climbed.tooOld ? { ...level, verdict: 'passed' as const } : level,
  );
  return conclude({ ...climbed, levels: forgiven }, asked) === 'verified';
}

/** Level 8. What was odd about its data when it was the newest says nothing about whether it restores today. */
function proveOneOfOlder(ground: Ground, rest: readonly ListedBackup[]): Promise<Level> {
  return onLevel(8, ground, async () => {
    const chosen = chooseBy(ground.seed, rest);
    if (!chosen) {
      return unable('There is no other backup than the newest: ask for level 7 until there are two.');
    }
    const older = await climb({ ...ground, asked: 7, accept: true }, chosen, undefined);
    const conclusion = conclude(older, 7);
    const decided = decisive(older);
    if (conclusion === 'verified')
      return passed(`${chosen.key} was put back there, and the app answered on it`);
    const why = decided
      ? `level ${decided.level}: ${decided.evidence}`
      : `the control: ${older.control ?? 'none'}`;
    return conclusion === 'backup-bad' ? failed(`${chosen.key}: ${why}`) : unable(`${chosen.key}: ${why}`);
  });
}

/** One that looks random, and is the same for the same seed, whatever others come and go. */
function chooseBy(seed: string, listed: readonly ListedBackup[]): ListedBackup | undefined {
  const rank = ({ key }: ListedBackup): string => createHash('sha256').update(`${seed} ${key}`).digest('hex');
  return listed.toSorted((a, b) => rank(a).localeCompare(rank(b)))[0];
}

/** Takes one backup up the ladder, until a level is not passed. */
async function climb(
  ground: Ground,
  { key, committed, operation }: ListedBackup,
  promiseMs: number | undefined,
): Promise<Climbed> {
  const { bucket, app, environment, asked } = ground;
  say(key);
  const levels: Level[] = [];
  const so = (more: Partial<Climbed> = {}): Climbed => ({
    ...{ key, committed, manifest: undefined, tooOld: false, ...more, levels },
  });
  let manifest: Manifest | undefined;
  let tooOld = false;
  levels.push(
    await onLevel(0, ground, async () => {
      const found = await readCommitted(bucket, key, { app, environment, operation });
      if (!found.confirmed) return failed(found.problem);
      const problem = timeProblem(found, bucket.now());
      if (problem) return failed(problem);
      manifest = found.manifest;
      const old = promiseMs === undefined ? undefined : ageProblem(found, bucket.now(), promiseMs);
      tooOld = old !== undefined;
      return old ? failed(old) : passed(`committed ${inSpan(bucket.now() - committed)} ago`);
    }),
  );
  if (!manifest) return so();
  const known = manifest;
  const end = (more: Omit<Unpacked, 'levels'> = {}): Climbed => so({ manifest: known, tooOld, ...more });
  if (asked >= 1) levels.push(await onLevel(1, ground, () => judgeStored(ground, key, known)));
  if (asked < 2 || isHeldUp(levels, 1)) return end();
  const judgeData = (): Promise<Level> => onLevel(5, ground, () => judgeTrends(ground, key, known));
  // Before anything is started on the data: the app is put in place and started in one go.
  const trends = asked > 5 ? await judgeData() : undefined;
  const upTo = trends?.verdict === 'passed' ? asked : Math.min(asked, 4);
  const { levels: inner, ...more } = await ground.unpack(key, known, upTo);
  levels.push(...inner.filter(({ level }) => level < 5));
  if (asked < 5 || isHeldUp(levels, 4)) return end(more);
  levels.push(trends ?? (await judgeData()), ...inner.filter(({ level }) => level > 5));
  return end(more);
}

/** Whether a level is not there, or not passed. */
const isHeldUp = (levels: readonly Level[], level: number): boolean =>
  levels.find((one) => one.level === level)?.verdict !== 'passed';

async function judgeStored({ bucket }: Ground, key: string, manifest: Manifest): Promise<Found> {
  const promised = promisedBy(manifest);
  const problem = await findObjectProblem(bucket, prefixOf(key), promised);
  return problem ? failed(problem) : passed(`${promised.length} objects, each with its size and SHA-256`);
}

async function judgeTrends(ground: Ground, key: string, manifest: Manifest): Promise<Found> {
  const verified = await findVerified(ground, key);
  const trends = findTrends(manifest, verified, ground.staleMs);
  const bad = ground.accept ? [] : trends.filter(({ fails }) => fails);
  const warnings = trends.filter((trend) => !bad.includes(trend)).map(({ what }) => what);
  if (bad.length > 0) {
    const how = 'If it is meant, run the drill once with `accept-trends: true`.';
    return { ...failed(`${bad.map(({ what }) => what).join(' ')} ${how}`), warnings };
  }
  const { rows } = totalsOf(manifest);
  const against = verified
    ? `compared with the last verified backup, of ${new Date(verified.copied).toISOString()}`
    : 'and no verified backup to compare with yet';
  return { ...passed(`${rows.toLocaleString('en')} rows, ${against}`), warnings };
}

/** The newest verified backup that was made before this one. */
async function findVerified(
  { bucket, app, environment }: Ground,
  key: string,
): Promise<Manifest | undefined> {
  const latest = await findProven(bucket, app, environment, timeOf(key));
  const stored = latest === undefined ? undefined : await bucket.read(latest);
  return stored && parseManifest(stored.bytes.toString('utf8'));
}

export const passed = (evidence: string): Found => ({ verdict: 'passed', evidence });
export const failed = (evidence: string): Found => ({ verdict: 'failed', evidence });
export const unable = (evidence: string): Found => ({ verdict: 'could-not-run', evidence });

/** Plays one level, tells it, and takes its time; what breaks on the way says nothing about the backup. */
export async function onLevel(
  level: number,
  { signal }: Pick<Ground, 'signal'>,
  judge: () => Promise<Found>,
): Promise<Level> {
  signal.throwIfAborted();
  const started = performance.now();
  let found: Found;
  try {
    found = await judge();
  } catch (error) {
    if (signal.aborted || error instanceof CancelledError) throw signal.reason ?? error;
    found = { verdict: 'could-not-run', evidence: sentenceOf(error) };
  }
  const ms = Math.round(performance.now() - started);
  say(`  level ${level}  ${found.verdict}: ${found.evidence}`);
  for (const warning of found.warnings ?? []) say(`           odd: ${warning}`);
  return { level, ms, ...found };
}
