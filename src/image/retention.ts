import type { ImageFacts } from './image.ts';
import type { Usage } from './usage.ts';

/** How many images stay. */
export interface Rules {
  /** So many of the newest. */
  readonly last: number;
  /** Of so many months, this one the first of them, one each. */
  readonly months: number;
}

/** What is to become of an image, and why. */
export interface Fate {
  readonly image: ImageFacts;
  readonly stays: boolean;
  readonly why: string;
}

interface Known {
  readonly images: readonly ImageFacts[];
  readonly usage: Usage;
  readonly rules: Rules;
  /** ms since the epoch. */
  readonly now: number;
}

/**
 * Which images stay: whatever is used, the last golden one, the newest, and one a month, a golden one if there is one. The
 * newest come first.
 */
export function planRetention({ images, usage, rules, now }: Known): Fate[] {
  const sorted = images.toSorted((a, b) => b.created - a.created || b.id.localeCompare(a.id));
  const ready = sorted.filter(({ state }) => state === 'available');
  const lastGolden = ready.find(({ golden }) => golden);
  const newest = new Set(ready.slice(0, rules.last));
  const monthly = new Map([...bestOfMonths(ready, rules.months, now)].map(([month, { id }]) => [id, month]));
  return sorted.map((image) => {
    const stay = (why: string): Fate => ({ image, stays: true, why });
    const user = usage.users.get(image.id);
    const month = monthly.get(image.id);
    if (user !== undefined) return stay(`${user} uses it`);
    if (image === lastGolden) return stay('it is the last golden one');
    if (image.state === 'pending' || image.state === 'transient') return stay('it is being made');
    if (newest.has(image)) return stay(`it is one of the last ${rules.last}`);
    if (month !== undefined) return stay(`it is the one of ${month}`);
    const [untold] = usage.untold;
    if (untold !== undefined) return stay(`${untold} may use it: it names its image by a parameter`);
    const older = `it is older than the last ${rules.last}, and not the one of its month`;
    return { image, stays: false, why: image.state === 'available' ? older : `it is ${image.state}` };
  });
}

/** Of each of the last months the newest image, if it may be a golden one: by the month, such as 2026-11. */
function bestOfMonths(ready: readonly ImageFacts[], months: number, now: number): Map<string, ImageFacts> {
  const best = new Map<string, ImageFacts>();
  for (const image of [...ready.filter(({ golden }) => golden), ...ready]) {
    const month = monthOf(image.created);
    if (monthsBetween(image.created, now) < months && !best.has(month)) best.set(month, image);
  }
  return best;
}

const monthOf = (ms: number): string => new Date(ms).toISOString().slice(0, 7);

function monthsBetween(from: number, to: number): number {
  const count = (ms: number): number => new Date(ms).getUTCFullYear() * 12 + new Date(ms).getUTCMonth();
  return count(to) - count(from);
}

/** A snapshot as far as one must know it to say that nobody needs it. */
export interface Snapshot {
  readonly id: string;
  /** ms since the epoch. */
  readonly started: number;
  readonly tags: Readonly<Record<string, string>>;
}

/** What EC2 begins may be told of late: a snapshot comes before the image that it is of. */
const youngMs = 3_600_000;

/** Of snapshots that no image stands on, those that an earlier failure left. */
export function findOrphans(snapshots: readonly Snapshot[], now: number): Snapshot[] {
  return snapshots.filter(({ started }) => now - started >= youngMs);
}
