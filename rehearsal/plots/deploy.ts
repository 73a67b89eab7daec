import type { Sample } from '../load/load.ts';
import type { DeployRecord } from '../scenes/recording.ts';
import { decades, humanTime, linear, logarithmic, powers, type Scale, type Span, ticks } from './scale.ts';
import { type Slice, slice, waitsOf, within } from './series.ts';
import { element, label, picture } from './svg.ts';

/** What is drawn: a deploy, what its users met, and the stretch of time that is shown. */
export interface DeployView {
  readonly deploy: DeployRecord;
  readonly requests: readonly Sample[];
  readonly span: Span;
}

const width = 860;
const [left, right] = [112, width - 64];
const curveHeight = 150;
const rowHeight = 16;
/** Steps in which one release takes another's place. */
const turning = new Set(['hold', 'migrate', 'switch', 'check', 'current']);
/** More dots than this are one blot. */
const mostDots = 6000;

/** The host's own steps with a little time before and after, or the whole run where it told none. */
export function wholeSpan({ steps, startMs, endMs }: DeployRecord): Span {
  const from = steps[0]?.startMs ?? startMs;
  const to = Math.max(...steps.map((step) => step.endMs), from + 1);
  const room = Math.max(1500, (to - from) * 0.06);
  return steps.length === 0 ? [startMs, endMs] : [from - room, to + room];
}

/** The time around the switch, or undefined where the deploy did not come to it, or it is nearly all there is. */
export function switchSpan(deploy: DeployRecord): Span | undefined {
  const turn = deploy.steps.filter(({ name }) => turning.has(name));
  const [first, last] = [turn[0], turn.at(-1)];
  if (first === undefined || last === undefined || !turn.some(({ name }) => name === 'switch'))
    return undefined;
  const [from, to] = wholeSpan(deploy);
  const room = Math.max(500, (last.endMs - first.startMs) * 0.25);
  const span: Span = [first.startMs - room, last.endMs + room];
  return span[1] - span[0] > (to - from) * 0.45 ? undefined : span;
}

/** Latency and losses over time, and below, on the same axis, the steps that the host took. */
export function drawDeploy({ deploy, requests, span }: DeployView): string {
  const shown = within(requests, span);
  const steps = deploy.steps.filter(({ startMs, endMs }) => endMs > span[0] && startMs < span[1]);
  const x = linear(span, [left, right]);
  const curveEnd = shown.length > 0 ? curveHeight + 26 : 8;
  const stepsEnd = curveEnd + 14 + steps.length * rowHeight;
  const begun = deploy.steps[0]?.startMs ?? deploy.startMs;
  return picture(
    { width, height: stepsEnd + 24 },
    told(deploy, shown),
    drawTimes(x, span, begun, stepsEnd),
    ...(shown.length > 0 ? [drawShade(x, span, steps, curveEnd), drawCurve(x, span, shown)] : []),
    ...steps.map((step, index) => drawStep(x, span, step, curveEnd + 10 + index * rowHeight)),
  );
}

function told({ result, instance }: DeployRecord, shown: readonly Sample[]): string {
  const { requests, lost, longestMs } = waitsOf(shown);
  const users =
    requests === 0 ? '' : `: ${requests} requests, ${lost} lost, longest wait ${humanTime(longestMs)}`;
  return `A deploy${instance === '' ? '' : ` to ${instance}`} that ended as ${result}${users}`;
}

function drawTimes(x: Scale, span: Span, begun: number, bottom: number): string {
  const seconds = ticks([(span[0] - begun) / 1000, (span[1] - begun) / 1000], 12);
  const places = seconds.map((second) => [second, x(begun + second * 1000)] as const);
  const grid = places.map(([, place]) => `M${place.toFixed(1)} 18V${bottom}`).join('');
  const digits = seconds.some((second) => !Number.isInteger(second)) ? 1 : 0;
  const texts = places.map(([second, place]) =>
    label(Math.round(place), bottom + 15, `${second.toFixed(digits)} s`, 'middle'),
  );
  return element('path', { class: 'grid', d: grid }) + texts.join('');
}

/** The time during which one release took another's place. */
function drawShade(x: Scale, span: Span, steps: DeployRecord['steps'], bottom: number): string {
  const turn = steps.filter(({ name }) => turning.has(name));
  const [first, last] = [turn[0], turn.at(-1)];
  if (first === undefined || last === undefined) return '';
  const from = x(Math.max(first.startMs, span[0]));
  return element('rect', {
    ...{ class: 'shade', x: from, y: 18, width: Math.max(2, x(Math.min(last.endMs, span[1])) - from) },
    height: bottom - 18 + 4,
  });
}

function drawCurve(x: Scale, span: Span, shown: readonly Sample[]): string {
  const top = 24;
  const bottom = top + curveHeight;
  const range = decades(shown.map(([, latency]) => latency));
  const y = logarithmic(range, [bottom, top]);
  const slices = slice(shown, span, 260);
  const line = (held: readonly Slice[], value: (one: Slice) => number): string =>
    held
      .map((one, index) => `${index === 0 ? 'M' : 'L'}${x(one.at).toFixed(1)} ${y(value(one)).toFixed(1)}`)
      .join('');
  const longest = line(slices, ({ longestMs }) => longestMs);
  const [first, last] = [slices[0], slices.at(-1)];
  const area = `${longest}L${x(last?.at ?? 0).toFixed(1)} ${bottom}L${x(first?.at ?? 0).toFixed(1)} ${bottom}Z`;
  const axis = powers(range).flatMap((power) => [
    element('path', { class: 'grid', d: `M${left} ${y(power).toFixed(1)}H${right}` }),
    label(left - 8, y(power) + 4, humanPower(power), 'end'),
  ]);
  return [
    ...axis,
    label(0, 12, 'each request’s wait', 'head'),
    element('path', { class: 'area', d: area }),
    shown.length <= mostDots ? drawDots(x, y, shown) : element('path', { class: 'longest', d: longest }),
    element('path', { class: 'median', d: line(slice(shown, span, 70), ({ medianMs }) => medianMs) }),
    drawLosses(x, shown, [top, bottom]),
    drawSums(shown, y),
  ].join('');
}

const humanPower = (ms: number): string => (ms < 1000 ? `${ms} ms` : `${ms / 1000} s`);

function drawDots(x: Scale, y: Scale, shown: readonly Sample[]): string {
  const dots = shown.map(([start, latency]) => `M${x(start).toFixed(1)} ${y(latency).toFixed(1)}h0`);
  return element('path', { class: 'samples', d: dots.join('') });
}

function drawLosses(x: Scale, shown: readonly Sample[], [top, bottom]: Span): string {
  const lost = shown.filter(([, , ok]) => ok === 0);
  return element('path', {
    class: 'losses',
    d: lost.map(([start]) => `M${x(start).toFixed(1)} ${top}V${bottom}`).join(''),
  });
}

function drawSums(shown: readonly Sample[], y: Scale): string {
  const { requests, lost, longestMs, medianMs } = waitsOf(shown);
  return [
    label(
      right,
      12,
      `${requests.toLocaleString('en')} requests · ${lost.toLocaleString('en')} lost`,
      `end ${lost > 0 ? 'loss' : 'strong'}`,
    ),
    label(right + 6, y(longestMs) + 4, humanTime(longestMs), 'strong'),
    label(right + 6, y(medianMs) + 4, humanTime(medianMs), ''),
  ].join('');
}

function drawStep(x: Scale, span: Span, step: DeployRecord['steps'][number], top: number): string {
  const from = x(Math.max(step.startMs, span[0]));
  const to = x(Math.min(step.endMs, span[1]));
  const time = humanTime(step.endMs - step.startMs);
  const kind = turning.has(step.name) ? 'turn' : 'step';
  const bar = {
    class: kind,
    x: from,
    y: top + 2,
    width: Math.max(1.5, to - from),
    height: rowHeight - 5,
    rx: 2,
  };
  const beyond = to > right - 40;
  return [
    label(left - 8, top + 12, step.name, 'end'),
    element('rect', bar, element('title', {}, `${step.name}: ${time}`)),
    label(beyond ? from - 5 : to + 5, top + 12, time, beyond ? 'end' : ''),
  ].join('');
}
