import { CancelledError, sentenceOf } from '../action/errors.ts';
import { inSpan, say } from '../action/log.ts';
import type { Bucket } from '../aws/bucket.ts';
import { findObjectProblem, readCommitted } from '../backup/confirm.ts';
import { type Manifest, parseManifest, promisedBy, totalsOf } from '../backup/manifest.ts';
import { findProven, type ListedBackup, timeOf } from '../backup/place.ts';
import { ageProblem, timeProblem } from './age.ts';
import { type Climb, type Control, conclude, type Level, type Verdict } from './ladder.ts';
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
  /** Levels 2 to 4. */
  readonly unpack: Unpack;
  readonly signal: AbortSignal;
}

export interface Found {
  readonly verdict: Verdict;
  readonly evidence: string;
  readonly warnings?: readonly string[];
}

export interface Unpacked {
  readonly levels: readonly Level[];
  readonly control?: Control;
}

/** Unpacks a backup whose stored objects agree with its manifest, and looks into it, up to a level. */
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

/** Proves the newest backup; where it is bad, the newest older one that restores, so that one knows what to take. */
export async function proveNewest(ground: Ground, listed: readonly ListedBackup[]): Promise<Drilled> {
  const [first, ...rest] = listed;
  if (!first) return { newest: undefined, older: [], restorable: undefined };
  const newest = await climb(ground, first, ground.promiseMs);
  if (isSound(newest, ground.asked)) return { newest, older: [], restorable: newest };
  const older: Climb[] = [];
  if (conclude(newest, ground.asked) !== 'backup-bad') return { newest, older, restorable: undefined };
  for (const one of rest.slice(0, mostOlder)) {
    const tried = await climb(ground, one, undefined);
    older.push(tried);
    if (isSound(tried, ground.asked)) return { newest, older, restorable: tried };
    if (conclude(tried, ground.asked) !== 'backup-bad') break;
  }
  return { newest, older, restorable: undefined };
}

function isSound(climbed: Climbed, asked: number): boolean {
  const forgiven = climbed.levels.map((level) =>
    level.level === 0 && climbed.tooOld ? { ...level, verdict: 'passed' as const } : level,
  );
  return conclude({ ...climbed, levels: forgiven }, asked) === 'verified';
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
  const end = (control?: Control): Climbed =>
    so({ manifest: known, tooOld, ...(control !== undefined && { control }) });
  if (asked >= 1) levels.push(await onLevel(1, ground, () => judgeStored(ground, key, known)));
  if (asked < 2 || isHeldUp(levels, 1)) return end();
  const { levels: inner, control } = await ground.unpack(key, known, Math.min(asked, 4));
  levels.push(...inner);
  if (asked < 5 || isHeldUp(levels, 4)) return end(control);
  levels.push(await onLevel(5, ground, () => judgeTrends(ground, key, known)));
  return end(control);
}

/** Whether a level is not there, or not passed. */
const isHeldUp = (levels: readonly Level[], level: number): boolean =>
  levels.find((one) => one.level === level)?.verdict !== 'passed';

async function judgeStored({ bucket }: Ground, key: string, manifest: Manifest): Promise<Found> {
  const promised = promisedBy(manifest);
  const prefix = key.slice(0, key.lastIndexOf('/') + 1);
  const problem = await findObjectProblem(bucket, prefix, promised);
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
