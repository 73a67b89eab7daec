import type { Sample } from '../load/load.ts';
import { decades, humanTime, logarithmic, powers, type Scale, type Span } from './scale.ts';
import { type Slice, slice, waitsOf } from './series.ts';
import { element, label } from './svg.ts';

/** The width of every picture, and where its time begins and ends. */
export const width = 860;
export const [left, right] = [112, width - 64];
export const curveHeight = 150;
/** More dots than this are one blot. */
const mostDots = 6000;

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
  const waits = range ?? decades(samples.map(([, latency]) => latency));
  const y = logarithmic(waits, [bottom, top]);
  const slices = slice(samples, span, 260);
  const line = (held: readonly Slice[], value: (one: Slice) => number): string =>
    held
      .map((one, index) => `${index === 0 ? 'M' : 'L'}${x(one.at).toFixed(1)} ${y(value(one)).toFixed(1)}`)
      .join('');
  const longest = line(slices, ({ longestMs }) => longestMs);
  const [first, last] = [slices[0], slices.at(-1)];
  const area = `${longest}L${x(last?.at ?? 0).toFixed(1)} ${bottom}L${x(first?.at ?? 0).toFixed(1)} ${bottom}Z`;
  const axis = powers(waits).flatMap((power) => [
    element('path', { class: 'grid', d: `M${left} ${y(power).toFixed(1)}H${right}` }),
    label(left - 8, y(power) + 4, humanPower(power), 'end'),
  ]);
  return [
    ...axis,
    label(0, top - 12, title, 'head'),
    element('path', { class: 'area', d: area }),
    samples.length <= mostDots ? drawDots(x, y, samples) : element('path', { class: 'longest', d: longest }),
    element('path', { class: 'median', d: line(slice(samples, span, 70), ({ medianMs }) => medianMs) }),
    drawLosses(x, samples, [top, bottom]),
    drawSums(samples, y, top),
  ].join('');
}

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

function drawSums(shown: readonly Sample[], y: Scale, top: number): string {
  const { requests, lost, longestMs, medianMs } = waitsOf(shown);
  return [
    label(
      right,
      top - 12,
      `${requests.toLocaleString('en')} requests · ${lost.toLocaleString('en')} lost`,
      `end ${lost > 0 ? 'loss' : 'strong'}`,
    ),
    label(right + 6, y(longestMs) + 4, humanTime(longestMs), 'strong'),
    label(right + 6, y(medianMs) + 4, humanTime(medianMs), ''),
  ].join('');
}
