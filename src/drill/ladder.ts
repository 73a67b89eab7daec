import type { Manifest } from '../backup/manifest.ts';

/** A level that could not run says nothing about the backup, and is never taken for passed. */
export type Verdict = 'passed' | 'failed' | 'could-not-run';

/** What was found on one level of the ladder of proof. */
export interface Level {
  readonly level: number;
  readonly verdict: Verdict;
  readonly ms: number;
  /** What was seen, or what is wrong, in a sentence or less. */
  readonly evidence: string;
  /** What is odd, and fails nothing. */
  readonly warnings?: readonly string[];
}

/** What each level proves. */
export const ladder = [
  'a committed manifest exists, younger than promised',
  'every object is stored with the size and digest that it promises',
  'every object unpacks to the bytes that it promises',
  'every database is sound',
  'rows, schema and versions are those of the manifest',
  'its data is what one expects after the last verified backup',
  'the restore script put it back on an instance of its own',
  'the app answered its checks on it there',
  'so did a random older backup',
] as const;

/** From this level on, the backup was unpacked and read whole: what passes it, restores. */
export const restores = 4;

/** How far a backup came. */
export interface Climb {
  /** The key of its manifest. */
  readonly key: string;
  /** Undefined where it could not be read. */
  readonly manifest: Manifest | undefined;
  /** When S3 took the manifest, in ms since the epoch. */
  readonly committed: number;
  readonly levels: readonly Level[];
  /** What became of a copy that was damaged on purpose; undefined where nothing was unpacked. */
  readonly control?: Control;
  /** What bringing it back took, where that was done and not only tried. */
  readonly phases?: readonly Phase[];
}

/** A part of the time that bringing the app back takes. */
export interface Phase {
  readonly name: string;
  readonly ms: number;
}

export type Control = 'refused' | 'passed' | 'could-not-run';

/** What a climb comes to: the reasons of src/action/reasons.ts. */
export type Conclusion = 'verified' | 'backup-bad' | 'drill-could-not-run' | 'control-passed';

/** Judges a climb that was to reach a level: green only with every level passed, and the control refused. */
export function conclude({ levels, control }: Pick<Climb, 'levels' | 'control'>, asked: number): Conclusion {
  if (control === 'passed') return 'control-passed';
  if (levels.some(({ verdict }) => verdict === 'failed')) return 'backup-bad';
  if (reached({ levels }) < asked || control === 'could-not-run') return 'drill-could-not-run';
  return asked >= 2 && control === undefined ? 'drill-could-not-run' : 'verified';
}

/** The highest level up to which every one passed; -1 when not even the first did. */
export function reached({ levels }: Pick<Climb, 'levels'>): number {
  const passed = new Set(levels.filter(({ verdict }) => verdict === 'passed').map(({ level }) => level));
  let level = -1;
  while (passed.has(level + 1)) level += 1;
  return level;
}

/** The level that decides a climb which is not green: the first that failed, else the first that is missing. */
export function decisive({ levels }: Pick<Climb, 'levels'>): Level | undefined {
  return (
    levels.find(({ verdict }) => verdict === 'failed') ??
    levels.find(({ verdict }) => verdict === 'could-not-run')
  );
}
