import { describe, expect, test } from '@jest/globals';
import {
  type Climb,
  conclude,
  decisive,
  type Level,
  reached,
  type Verdict,
} from '../../../src/drill/ladder.ts';

/** Levels from 0 on: p passed, f failed, c could not run. */
function levels(text: string): Level[] {
  const verdicts: Readonly<Record<string, Verdict>> = { p: 'passed', f: 'failed', c: 'could-not-run' };
  return text.split('').map((letter, level) => ({
    ...{ level, verdict: verdicts[letter] ?? 'failed', ms: 1, evidence: '' },
  }));
}

describe('a climb', () => {
  test.each<[string, number, Climb['control'], string]>([
    ['pp', 1, undefined, 'verified'],
    ['pppppp', 5, 'refused', 'verified'],
    ['ppp', 5, 'refused', 'drill-could-not-run'],
    ['', 1, undefined, 'drill-could-not-run'],
    ['ppc', 2, 'refused', 'drill-could-not-run'],
    ['pcp', 2, 'refused', 'drill-could-not-run'],
    ['ppppp', 4, undefined, 'drill-could-not-run'],
    ['ppppp', 4, 'could-not-run', 'drill-could-not-run'],
    ['ppppp', 4, 'passed', 'control-passed'],
    ['pf', 1, undefined, 'backup-bad'],
    ['fppppp', 5, 'refused', 'backup-bad'],
    ['pppf', 5, undefined, 'backup-bad'],
    ['pppfc', 5, 'could-not-run', 'backup-bad'],
  ])('%s, asked for level %i, its control %s: %s', (text, asked, control, conclusion) => {
    expect(conclude({ levels: levels(text), ...(control && { control }) }, asked)).toBe(conclusion);
  });

  test.each([
    ['', -1],
    ['f', -1],
    ['pp', 1],
    ['ppfp', 1],
    ['fppp', -1],
  ])('%j reached level %i', (text, level) => {
    expect(reached({ levels: levels(text) })).toBe(level);
  });

  test.each([
    ['ppfc', 2],
    ['pcf', 2],
    ['pc', 1],
  ])('%s is decided on level %i', (text, level) => {
    expect(decisive({ levels: levels(text) })?.level).toBe(level);
  });
});
