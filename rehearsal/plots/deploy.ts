import type { Sample } from '../load/load.ts';
import type { DeployRecord } from '../scenes/recording.ts';
import { curveHeight, drawCurve, left, right, width } from './curve.ts';
import { humanTime, linear, type Scale, type Span, ticks } from './scale.ts';
import { waitsOf, within } from './series.ts';
import { element, label, picture } from './svg.ts';

/** What is drawn: a deploy, what its users met, and the stretch of time that is shown. */
export interface DeployView {
  readonly deploy: DeployRecord;
  readonly requests: readonly Sample[];
  readonly span: Span;
}

const rowHeight = 16;
/** Steps in which one release takes another's place. */
const turning = new Set(['hold', 'migrate', 'switch', 'check', 'current']);

/** The host's own steps with a little time before and after, or the whole run where it told none. */
export function wholeSpan({ steps, startMs, endMs }: DeployRecord): Span {
  const from = steps[0]?.startMs ?? startMs;
  const to = Math.max(...steps.map((step) => step.endMs), from + 1);
  const room = Math.max(1500, (to - from) * 0.06);
  return steps.length === 0 ? [startMs, endMs] : [from - room, to + room];
}

/** From the first step in which one release takes another's place to the end of the last; undefined without any. */
function turnOf(steps: DeployRecord['steps']): Span | undefined {
  const turn = steps.filter(({ name }) => turning.has(name));
  const [first, last] = [turn[0], turn.at(-1)];
  return first === undefined || last === undefined ? undefined : [first.startMs, last.endMs];
}

/** The time around the switch, or undefined where the deploy did not come to it, or it is nearly all there is. */
export function switchSpan(deploy: DeployRecord): Span | undefined {
  const turn = turnOf(deploy.steps);
  if (turn === undefined || !deploy.steps.some(({ name }) => name === 'switch')) return undefined;
  const [from, to] = wholeSpan(deploy);
  const room = Math.max(500, (turn[1] - turn[0]) * 0.25);
  const span: Span = [turn[0] - room, turn[1] + room];
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
    ...(shown.length > 0
      ? [
          drawShade(x, span, steps, curveEnd),
          drawCurve({ x, span, samples: shown, top: 24, title: 'each request’s wait' }),
        ]
      : []),
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
  const turn = turnOf(steps);
  if (turn === undefined) return '';
  const from = x(Math.max(turn[0], span[0]));
  return element('rect', {
    ...{ class: 'shade', x: from, y: 18, width: Math.max(2, x(Math.min(turn[1], span[1])) - from) },
    height: bottom - 18 + 4,
  });
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
