import type { Sample } from '../load/load.ts';
import { decades, humanTime, logarithmic, powers, type Scale, type Span } from './scale.ts';
import { type Slice, slice, waitsOf } from './series.ts';
import { element, label } from './svg.ts';

/** The width of every picture, and where its time begins and ends. */
export const width = 860;
export const [left, right] = [112, width - 64];
export const curveHeight = 150;
/** More dots than this are one blot. */
const mostDots = 2500;
/** Slices of the longest waits, and of the medians. */
const [slices, coarse] = [260, 70];
/** Slices that are further apart than this many have a gap between them. */
const mostApart = 5.5;

/** What users met over a stretch of time. */
export interface Curve {
  readonly x: Scale;
  readonly span: Span;
  /** Requests within the span. */
  readonly samples: readonly Sample[];
  /** Where the curve begins; its title stands above. */
  readonly top: number;
  readonly title: string;
  /** The waits that the axis embraces; powers of ten around what was met when absent. */
  readonly range?: Span;
}

/** Each request's wait on a scale of powers of ten, the median, and a line for each loss. */
export function drawCurve({ x, span, samples, top, title, range }: Curve): string {
  const bottom = top + curveHeight;
  const answered = samples.filter(([, , ok]) => ok === 1);
  const waits = range ?? decades(answered.map(([, latency]) => latency));
  const y = logarithmic(waits, [bottom, top]);
  const runs = runsOf(slice(answered, span, slices), (span[1] - span[0]) / slices);
  const longest = runs.map((run) => lineOf(run, x, ({ longestMs }) => y(longestMs)));
  const areas = runs.map((run, index) => {
    const [first, last] = [run[0]?.at ?? 0, run.at(-1)?.at ?? 0];
    return `${longest[index]}L${x(last).toFixed(1)} ${bottom}L${x(first).toFixed(1)} ${bottom}Z`;
  });
  const medians = runsOf(slice(answered, span, coarse), (span[1] - span[0]) / coarse);
  const median = medians.map((run) => lineOf(run, x, ({ medianMs }) => y(medianMs)));
  const axis = powers(waits).flatMap((power) => [
    element('path', { class: 'grid', d: `M${left} ${y(power).toFixed(1)}H${right}` }),
    label(left - 8, y(power) + 4, humanPower(power), 'end'),
  ]);
  return [
    ...axis,
    label(0, top - 12, title, 'head'),
    element('path', { class: 'area', d: areas.join('') }),
    answered.length <= mostDots
      ? drawDots(x, y, answered)
      : element('path', { class: 'longest', d: longest.join('') }),
    element('path', { class: 'median', d: median.join('') }),
    drawLosses(x, samples, [top, bottom]),
    drawSums(samples, answered, y, top),
  ].join('');
}

/** Slices without a gap between them: nothing is drawn over a time of which nothing is known. */
function runsOf(all: readonly Slice[], length: number): Slice[][] {
  const runs: Slice[][] = [];
  for (const one of all) {
    const run = runs.at(-1);
    const last = run?.at(-1);
    if (run === undefined || last === undefined || one.at - last.at > length * mostApart) runs.push([one]);
    else run.push(one);
  }
  return runs;
}

const lineOf = (run: readonly Slice[], x: Scale, y: (one: Slice) => number): string =>
  run.map((one, index) => `${index === 0 ? 'M' : 'L'}${x(one.at).toFixed(1)} ${y(one).toFixed(1)}`).join('');

const humanPower = (ms: number): string => (ms < 1000 ? `${ms} ms` : `${ms / 1000} s`);

function drawDots(x: Scale, y: Scale, shown: readonly Sample[]): string {
  const dots = shown.map(([start, latency]) => `M${x(start).toFixed(1)} ${y(latency).toFixed(1)}h0`);
  return element('path', { class: 'samples', d: dots.join('') });
}

function drawLosses(x: Scale, shown: readonly Sample[], [top, bottom]: Span): string {
  const lost = shown.filter(([, , ok]) => ok === 0);
  // Half a pixel apart they are one line to the eye.
  const places = new Set(lost.map(([start]) => Math.round(x(start) * 2) / 2));
  return element('path', {
    class: 'losses',
    d: [...places].map((place) => `M${place} ${top}V${bottom}`).join(''),
  });
}

function drawSums(all: readonly Sample[], answered: readonly Sample[], y: Scale, top: number): string {
  const { requests, lost } = waitsOf(all);
  const { longestMs, medianMs } = waitsOf(answered);
  const sums = `${requests.toLocaleString('en')} requests · ${lost.toLocaleString('en')} lost`;
  const high = y(longestMs) + 4;
  return [
    label(right, top - 12, sums, `end ${lost > 0 ? 'loss' : 'strong'}`),
    label(right + 6, high, humanTime(longestMs), 'strong'),
    // Two numbers in one place are none.
    label(right + 6, Math.max(y(medianMs) + 4, high + 13), humanTime(medianMs), ''),
  ].join('');
}
