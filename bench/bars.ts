import { colours, drawing } from '../rehearsal/plots/style.ts';
import { element, label, picture } from '../rehearsal/plots/svg.ts';
import type { Bar, Figure } from './figure.ts';

const width = 860;
const [labels, room] = [250, 120];
const barHeight = 18;

/** Bars of characters, for pages that show no pictures; each figure's longest bar is as long as the others'. */
export function writeBars(bars: readonly Bar[], length = 40): string {
  const names = Math.max(...bars.map((bar) => bar.label.length));
  const most = Math.max(...bars.map(({ value }) => value));
  return bars
    .map(({ label, value, text }) => {
      const blocks = '█'.repeat(Math.round((value / (most || 1)) * length)) || '▏';
      return `${label.padEnd(names)}  ${blocks} ${text}`;
    })
    .join('\n');
}

/** All figures that compare somebody, as one picture. */
export function drawBars(figures: readonly Figure[]): string {
  const parts: string[] = [];
  let top = 0;
  for (const { name, bars, holds, must } of figures.filter(({ bars }) => bars.length > 0)) {
    const verdict = holds === undefined ? '' : holds ? ` · ${must}: holds` : ` · ${must}: does not hold`;
    parts.push(label(0, top + 16, name.replaceAll('`', ''), 'head'));
    parts.push(label(width, top + 16, verdict.slice(3), holds === false ? 'end loss' : 'end'));
    top += 24;
    const most = Math.max(...bars.map(({ value }) => value));
    for (const bar of bars) {
      parts.push(drawBar(bar, top, (bar.value / (most || 1)) * (width - labels - room)));
      top += barHeight + 3;
    }
    top += 14;
  }
  const told = 'Bars of what was measured, ours beside others; the table below says the same in numbers';
  return `${picture({ width, height: top }, told, element('style', {}, colours, drawing), ...parts)}\n`;
}

function drawBar(bar: Bar, top: number, length: number): string {
  return [
    label(labels - 8, top + 13, bar.label.replaceAll('`', ''), 'end'),
    element('rect', {
      class: bar.kind,
      x: labels,
      y: top,
      width: Math.max(1.5, length),
      height: barHeight - 3,
      rx: 2,
    }),
    label(labels + length + 7, top + 13, bar.text, bar.kind === 'ours' ? 'strong' : ''),
  ].join('');
}
