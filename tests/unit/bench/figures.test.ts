import { describe, expect, test } from '@jest/globals';
import { drawBars, writeBars } from '../../../bench/bars.ts';
import { atMost, ours, peer, shown, times, unmeasured } from '../../../bench/figure.ts';
import { figuresTable, tellFigures, tellLoads, writeResults } from '../../../bench/results.ts';
import { inTurn, median, ratioOfPairs } from '../../../bench/statistics.ts';

describe('statistics', () => {
  test('the median does not heed the order, nor an outlier', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([1, 2, 3, 10_000])).toBe(2);
    expect(() => median([])).toThrow('no median of nothing');
  });

  test('a ratio is that of neighbours, so that a busy moment slows both', () => {
    expect(ratioOfPairs([10, 100, 12], [20, 200, 20])).toBe(0.5);
    expect(() => ratioOfPairs([1], [1, 2])).toThrow('1 values, and 2 to compare');
  });

  test('things are measured in turn', async () => {
    const order: string[] = [];
    const note = (name: string) => async () => order.push(name);
    expect(await inTurn(2, { a: note('a'), b: note('b') })).toEqual({ a: [1, 3], b: [2, 4] });
    expect(order).toEqual(['a', 'b', 'a', 'b']);
  });
});

const bars = [ours('ours', 10, '10 ms'), peer('theirs', 40, '40 ms')];
const holding = atMost(0.5, 0.6, times, { name: 'the start', note: 'how', bars });
const failing = atMost(0.7, 0.6, times, { name: 'the a|b', note: 'why not' });
const told = shown('4 MB', { name: 'memory', note: 'beside' });

describe('verdicts', () => {
  test('a figure holds up to its limit, and no further', () => {
    expect(holding).toMatchObject({ holds: true, measured: '0.50 ×', must: '≤ 0.60 ×' });
    expect(atMost(0.6, 0.6, times, { name: '', note: '' }).holds).toBe(true);
    expect(failing.holds).toBe(false);
    expect(told.holds).toBeUndefined();
  });

  test('what could not be measured does not hold, and says why', () => {
    const figure = unmeasured('the start', new Error('no such file'));
    expect(figure).toMatchObject({ holds: false, measured: 'not measured', note: 'no such file' });
  });
});

describe('results', () => {
  const results = {
    ...{ machine: '2 cores', date: '2026-11-23T00:00:00Z', load: 'idle', minutes: 12 },
    rows: [
      { title: 'Start', figures: [holding, failing] },
      { title: 'Memory', figures: [told] },
    ],
  };

  test('tell in each table what does not hold', () => {
    expect(figuresTable(results)).toContain('| the start | ≤ 0.60 × | 0.50 × | holds |');
    expect(figuresTable(results)).toContain('| the a\\|b | ≤ 0.60 × | 0.70 × | **does not hold** |');
    expect(figuresTable(results)).toContain('| memory | shown | 4 MB | shown |');
    expect(tellFigures([failing])).toContain('DOES NOT HOLD');
  });

  test('tell what else the machine did', () => {
    expect(tellLoads([0.31, 2.5])).toMatch(/^0\.3 processes .+ at most 2\.5 /);
  });

  test('say how each was measured, and on what', () => {
    const text = writeResults(results);
    expect(text).toContain('12 minutes on 2026-11-23: 2 cores.');
    expect(text).toContain('**the a|b**: 0.70 × (≤ 0.60 ×; **does not hold**). Why not.');
  });

  test('bars are as long as what they show', () => {
    const [first = '', second = ''] = writeBars(bars, 20).split('\n');
    expect(first).toBe(`ours    ${'█'.repeat(5)} 10 ms`);
    expect(second).toBe(`theirs  ${'█'.repeat(20)} 40 ms`);
    const widths = [...drawBars([holding]).matchAll(/<rect class="\w+" [^>]*width="([\d.]+)"/g)].map(
      (found) => Number(found[1]),
    );
    expect(widths[1]).toBeCloseTo(4 * (widths[0] ?? 0), 0);
  });
});
