import { percentile, type Sample } from '../load/load.ts';
import type { Span } from './scale.ts';

/** The requests that were sent within a slice of time. */
export interface Slice {
  /** The middle of the slice, in milliseconds. */
  readonly at: number;
  readonly medianMs: number;
  readonly longestMs: number;
}

/** Cuts a span of time into slices of equal length; a slice in which nothing was asked is left out. */
export function slice(samples: readonly Sample[], [from, to]: Span, count: number): Slice[] {
  const width = (to - from) / count;
  const held = new Map<number, number[]>();
  for (const [start, latency] of within(samples, [from, to])) {
    const index = Math.min(count - 1, Math.floor((start - from) / width));
    const there = held.get(index);
    if (there === undefined) held.set(index, [latency]);
    else there.push(latency);
  }
  return [...held]
    .sort(([a], [b]) => a - b)
    .map(([index, latencies]) => {
      const sorted = latencies.sort((a, b) => a - b);
      return {
        at: from + (index + 0.5) * width,
        medianMs: percentile(sorted, 0.5),
        longestMs: sorted.at(-1) ?? 0,
      };
    });
}

/** The requests that were sent within a span of time. */
export function within(samples: readonly Sample[], [from, to]: Span): Sample[] {
  return samples.filter(([start]) => start >= from && start < to);
}

/** What a number of requests came to; 0 throughout where there were none. */
export interface Waits {
  readonly requests: number;
  readonly lost: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly longestMs: number;
}

export function waitsOf(samples: readonly Sample[]): Waits {
  const sorted = samples.map(([, latency]) => latency).sort((a, b) => a - b);
  return {
    requests: samples.length,
    lost: samples.filter(([, , ok]) => ok === 0).length,
    medianMs: percentile(sorted, 0.5),
    p99Ms: percentile(sorted, 0.99),
    longestMs: sorted.at(-1) ?? 0,
  };
}
