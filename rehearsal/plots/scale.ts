/** Maps a value to a place in a picture. */
export type Scale = (value: number) => number;

/** A range of values, or of places. */
export type Span = readonly [from: number, to: number];

export function linear([from, to]: Span, [start, end]: Span): Scale {
  const factor = (end - start) / (to - from || 1);
  return (value) => start + (value - from) * factor;
}

/** Equal ratios take equal room; what is below the span is put at its edge. */
export function logarithmic([from, to]: Span, places: Span): Scale {
  const scale = linear([Math.log10(from), Math.log10(to)], places);
  return (value) => scale(Math.log10(Math.max(value, from)));
}

/** Powers of ten that embrace all values (each above 0). */
export function decades(values: Iterable<number>): Span {
  let [least, most] = [Number.POSITIVE_INFINITY, 0];
  for (const value of values) [least, most] = [Math.min(least, value), Math.max(most, value)];
  if (most === 0) return [1, 10];
  const from = Math.floor(Math.log10(Math.max(least, 0.1)));
  return [10 ** from, 10 ** Math.max(from + 1, Math.ceil(Math.log10(most)))];
}

/** The powers of ten within a span. */
export function powers([from, to]: Span): number[] {
  const [first, last] = [Math.round(Math.log10(from)), Math.round(Math.log10(to))];
  return Array.from({ length: last - first + 1 }, (_, index) => 10 ** (first + index));
}

/** Round values within a span, at most `most` of them: steps of 1, 2 or 5. */
export function ticks([from, to]: Span, most: number): number[] {
  const rough = (to - from) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10) * power;
  const first = Math.ceil(from / step);
  return Array.from({ length: Math.floor(to / step) - first + 1 }, (_, index) => (first + index) * step);
}

/** A time as people read it: 4 ms, 0.32 s, 5.1 s, 2 min. */
export function humanTime(ms: number): string {
  if (ms < 1) return `${Number(ms.toPrecision(1))} ms`;
  if (ms < 100) return `${Math.round(ms)} ms`;
  if (ms < 1000) return `${(ms / 1000).toFixed(2)} s`;
  if (ms < 120_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.round(ms / 60_000)} min`;
}
