import type { Sample } from '../load/load.ts';
import { curveHeight, drawCurve, left, right, width } from './curve.ts';
import { decades, linear, type Span, ticks } from './scale.ts';
import { waitsOf, within } from './series.ts';
import { colours, drawing } from './style.ts';
import { element, label, picture } from './svg.ts';

/** What users met while one way of exchanging an app was at work. */
export interface Panel {
  readonly title: string;
  readonly samples: readonly Sample[];
  /** When the new release began to take the old one's place, and when it had it; ms since 1970. */
  readonly exchanged: Span;
}

const panelHeight = curveHeight + 62;
/** Milliseconds that are shown before and after the exchange. */
const before = 5_000;

/** Several ways, one above the other on equal scales; a picture that stands alone. */
export function drawComparison(panels: readonly Panel[]): string {
  const longest = Math.max(...panels.map(({ exchanged: [from, to] }) => to - from));
  const length = Math.ceil((longest + 4_000) / 1000) * 1000;
  const shown = panels.map(({ samples, exchanged: [from] }) =>
    within(samples, [from - before, from + length]),
  );
  const range = decades(
    shown.flatMap((samples) => samples.flatMap(([, latency, ok]) => (ok === 1 ? [latency] : []))),
  );
  const drawn = panels.map((panel, index) => {
    const from = panel.exchanged[0];
    const span: Span = [from - before, from + length];
    return drawPanel(panel, shown[index] ?? [], span, range, index * panelHeight);
  });
  const told = panels
    .map(({ title }, index) => `${title}: ${waitsOf(shown[index] ?? []).lost} requests lost`)
    .join('; ');
  const height = panels.length * panelHeight + 16;
  return `${picture({ width, height }, told, element('style', {}, colours, drawing), ...drawn)}\n`;
}

function drawPanel(
  { title, exchanged }: Panel,
  samples: readonly Sample[],
  span: Span,
  range: Span,
  top: number,
): string {
  const x = linear(span, [left, right]);
  const bottom = top + 24 + curveHeight;
  const [from, to] = exchanged.map(x) as [number, number];
  const shade = { class: 'shade', x: from, y: top + 24, width: Math.max(2, to - from), height: curveHeight };
  const seconds = ticks([(span[0] - exchanged[0]) / 1000, (span[1] - exchanged[0]) / 1000], 14);
  return [
    element('rect', shade),
    drawCurve({ x, span, samples, top: top + 24, title, range }),
    ...seconds.map((second) => label(x(exchanged[0] + second * 1000), bottom + 14, `${second} s`, 'middle')),
  ].join('');
}
