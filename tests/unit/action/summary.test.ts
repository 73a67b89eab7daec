import { describe, expect, test } from '@jest/globals';
import {
  amounts,
  block,
  code,
  cutToLimit,
  escapeMarkdown,
  link,
  table,
  timeline,
} from '../../../src/action/summary.ts';

describe('text of an app in the summary', () => {
  test.each([
    ['<!doctype html>', '&lt;!doctype html&gt;'],
    ['a & b', 'a &amp; b'],
    ['*bold* _it_ `x`', '&#42;bold&#42; &#95;it&#95; &#96;x&#96;'],
    ['a | b', 'a &#124; b'],
    ['[x](http://y)', '&#91;x&#93;(http&#58;//y)'],
    ['@acme #7 :tada:', '&#64;acme &#35;7 &#58;tada:'],
    ['two\r\nlines', 'two lines'],
    ['text/html; charset=utf-8', 'text/html; charset=utf-8'],
    ['/self-check', '/self-check'],
  ])('%j is shown, never rendered', (text, shown) => {
    expect(escapeMarkdown(text)).toBe(shown);
    expect(code(text)).toBe(`<code>${shown}</code>`);
  });

  test('cannot leave its block by backticks, nor send control characters', () => {
    expect(block(['a', '````', 'b\u001b[31m'])).toBe('`````text\na\n````\nb□[31m\n`````');
  });

  test('cannot leave the address of a link', () => {
    expect(link('https://x/"><script>', 'x')).toBe('<a href="https://x/%22%3E%3Cscript%3E">x</a>');
  });
});

test('a table has as many cells in each row as in its head', () => {
  expect(table(['a', 'b'], [['1', '2']])).toBe('| a | b |\n| --- | --- |\n| 1 | 2 |');
});

describe('the chart of amounts', () => {
  test('draws each from zero, the largest across', () => {
    const of = (name: string, value: number, note?: string) => ({
      name,
      value,
      told: `${value} B`,
      ...(note && { note }),
    });
    expect(amounts([of('one', 100), of('three', 50, 'half'), of('two', 0)], 8).split('\n')).toEqual([
      '```text',
      'one   ████████ 100 B',
      'three ████      50 B  half',
      'two   ▏          0 B',
      '```',
    ]);
  });

  test('is nothing where there are none', () => {
    expect(amounts([])).toBe('');
  });
});

describe('the timeline', () => {
  const bar = (name: string, started: number, ended: number, ok = true) => ({ name, started, ended, ok });

  test('draws each step where it began, as long as it took', () => {
    const chart = timeline([bar('lock', 1000, 2000), bar('rehearse', 2000, 5000, false)], 12);
    expect(chart.split('\n')).toEqual([
      '```text',
      '           0 s    4.0 s',
      '✓ lock     ███            1.00 s',
      '✗ rehearse    █████████   3.00 s',
      '```',
    ]);
  });

  test('shows a step of no time, at the end too', () => {
    const chart = timeline([bar('long', 0, 8000), bar('nothing', 8000, 8000)], 8);
    expect(chart).toContain('nothing        ▏');
  });

  test('every bar has the same width', () => {
    const bars = Array.from({ length: 50 }, (_, at) => bar(`s${at % 10}`, at * 37, at * 61 + 5));
    const drawn = timeline(bars, 40).split('\n').slice(2, -1);
    expect(new Set(drawn.map((line) => line.length)).size).toBe(1);
  });

  test('of nothing is nothing', () => {
    expect(timeline([])).toBe('');
  });
});

describe('a summary of more than 1 MiB, which GitHub would drop whole', () => {
  test('is cut at a line, and says so', () => {
    const cut = cutToLimit('ä line\n'.repeat(200_000));
    expect(Buffer.byteLength(cut)).toBeLessThan(1024 * 1024);
    expect(cut).toMatch(/ä line\n\n_The rest was cut: a summary may have 1 MiB\._\n$/);
    expect(cut).not.toContain('\ufffd');
  });

  test('a smaller one is left as it is', () => {
    expect(cutToLimit('# a\n')).toBe('# a\n');
  });
});
