import { inSpan } from '../action/log.ts';
import type { Manifest } from '../backup/manifest.ts';
import { timeOf } from '../backup/place.ts';

interface Committed {
  readonly key: string;
  readonly manifest: Pick<Manifest, 'started' | 'copied'>;
  /** When S3 took the manifest, in ms since the epoch. */
  readonly committed: number;
}

/** As far apart may the clocks of S3 and of a host be (attack 18). */
const skewMs = 15 * 60_000;

/**
 * What is wrong with the times of a committed backup; undefined when nothing is. S3's clock alone says how old it is: a
 * host can name a backup as it likes.
 * @param now S3's time
 */
export function timeProblem({ key, manifest, committed }: Committed, now: number): string | undefined {
  const named = timeOf(key);
  if (named === undefined) return `${key} does not say when it was made.`;
  const apart = Math.abs(named - manifest.started);
  if (apart > skewMs) {
    return `Its key says ${iso(named)}, and its manifest that it began at ${iso(manifest.started)}: they are ${inSpan(apart)} apart.`;
  }
  // S3 tells whole seconds.
  if (now - committed < -1000) return `S3 took its manifest at ${iso(committed)}, which is still to come.`;
  if (manifest.copied > committed + skewMs)
    return `Its data is of ${iso(manifest.copied)}, after S3 took it at ${iso(committed)}.`;
  return undefined;
}

/**
 * What is wrong with the age of the newest backup, which may be as sound as any.
 * @param promiseMs how old it may be
 */
export function ageProblem(
  { committed }: Pick<Committed, 'committed'>,
  now: number,
  promiseMs: number,
): string | undefined {
  if (now - committed <= promiseMs) return undefined;
  return `The newest backup was committed ${inSpan(now - committed)} ago, at ${iso(committed)}; understudy.yml promises one each ${inSpan(promiseMs)} (proof).`;
}

const iso = (ms: number): string => new Date(ms).toISOString();
