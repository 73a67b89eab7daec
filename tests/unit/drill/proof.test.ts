import { describe, expect, test } from '@jest/globals';
import type { Reason } from '../../../src/action/reasons.ts';
import type { Details } from '../../../src/command/details.ts';
import { readProof } from '../../../src/drill/proof.ts';
import type { Told } from '../../../src/operation/summary.ts';

const names = ['lock', 'request', 'fits', 'room', 'fetch', 'integrity', 'content', 'control'];
const later = ['code', 'ready', 'copy', 'stop', 'exchange', 'start', 'check', 'settle'];
const passed = [2, 3, 4].map((level) => ({ level, verdict: 'passed' as const, ms: 5, evidence: 'good' }));

/** What a host told that came so far: each step took 100 ms. */
function toldBy(reason: Reason, more: Partial<Details> | null = {}, result = 'failed'): Told {
  const steps = [...names, ...later].map((name, at) => ({
    ...{ name, started: at * 100, ended: at * 100 + 100, ok: true },
  }));
  const details = { steps, checks: [], log: [], parameters: {}, levels: passed, control: 'refused', ...more };
  return {
    ...{ instance: 'i-1', result, reason, sentence: 'It says why.', todo: '', met: false, open: false },
    ...{ release: 'abc', previous: '', details: '', more: more ? details : undefined },
  } as Told;
}

const told = (proof: ReturnType<typeof readProof>) =>
  proof.levels.map(({ level, verdict }) => `${level} ${verdict}`).slice(-2);

describe('what a drill host told', () => {
  test('is a restored app at level 7, with the phases of bringing it back', () => {
    const checks = [{ where: 'public', path: '/health', ok: true }];
    const proof = readProof(toldBy('restored', { checks }, 'done'), {
      upTo: 7,
      before: [{ name: 'launch', ms: 9 }],
    });
    expect(proof.levels.map(({ level }) => level)).toEqual([2, 3, 4, 6, 7]);
    expect(proof.levels.at(-1)?.evidence).toContain('release abc answered /health');
    expect(proof.control).toBe('refused');
    expect(proof.phases).toEqual([
      { name: 'launch', ms: 9 },
      { name: 'fetch', ms: 500 },
      { name: 'prove', ms: 300 },
      { name: 'exchange', ms: 500 },
      { name: 'start', ms: 100 },
      { name: 'checks', ms: 200 },
    ]);
  });

  test.each<[Reason, Partial<Details> | null, string[]]>([
    ['check-failed', {}, ['6 passed', '7 failed']],
    ['start-failed', {}, ['6 passed', '7 failed']],
    ['bad-release', {}, ['4 passed', '6 failed']],
    ['switch-failed', {}, ['4 passed', '6 could-not-run']],
    ['no-room', { levels: [] }, ['2 could-not-run']],
    ['cancelled', { levels: passed.slice(0, 1) }, ['2 passed', '3 could-not-run']],
    ['no-result', null, ['2 could-not-run']],
    ['backup-bad', { levels: [{ level: 2, verdict: 'failed', ms: 1, evidence: 'cut' }] }, ['2 failed']],
    [
      'drill-could-not-run',
      { levels: [{ level: 2, verdict: 'could-not-run', ms: 1, evidence: 'no line' }] },
      ['2 could-not-run'],
    ],
  ])('%s, after %j: %j', (reason, more, levels) => {
    expect(told(readProof(toldBy(reason, more), { upTo: 7, before: [] }))).toEqual(levels);
  });

  test('of a backup that cannot come up there is bad at level 6, once it is known to be sound', () => {
    const proof = readProof(toldBy('verified', {}, 'done'), { upTo: 7, before: [], hindrance: 'no code' });
    expect(told(proof)).toEqual(['4 passed', '6 failed']);
  });

  test('is no further than level 4 where no more was asked', () => {
    expect(told(readProof(toldBy('verified', {}, 'done'), { upTo: 4, before: [] }))).toEqual([
      '3 passed',
      '4 passed',
    ]);
  });

  test('of a damaged copy that passed is believed in nothing', () => {
    expect(readProof(toldBy('control-passed', { control: '' }), { upTo: 7, before: [] }).control).toBe(
      'passed',
    );
  });
});
