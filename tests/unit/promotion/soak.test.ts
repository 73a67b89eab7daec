import { describe, expect, test } from '@jest/globals';
import { soakProblem } from '../../../src/promotion/soak.ts';

const release = 'a'.repeat(64);
const hour = 3600;
const now = 1_795_000_000;
const wanted = { release, soakMs: 24 * hour * 1000, now };
const span = (seconds: number, ended: Parameters<typeof soakProblem>[0]['ended'], ago = 0) => {
  const until = now - ago;
  return { release, from: until - seconds, until, seconds, minutes: Math.floor(seconds / 60), ended };
};

describe('the time that a release was healthy', () => {
  test.each([
    ['the wanted time, and is still', span(24 * hour, 'live')],
    ['longer, until another followed a moment ago', span(30 * hour, 'replaced', 60)],
    ['longer, until another followed 23 hours ago', span(30 * hour, 'replaced', 23 * hour)],
  ])('is enough: %s', (_, soak) => {
    expect(soakProblem(soak, wanted)).toBeUndefined();
  });

  test.each([
    ['a second less', span(24 * hour - 1, 'live'), 'not-soaked', /24 h in a row, where/],
    ['long ago', span(30 * hour, 'replaced', 25 * hour), 'not-soaked', /was replaced there 25 h ago/],
    ['with a gap at the end', span(30 * hour, 'gap'), 'not-soaked', /its log has a gap, and the soak begins/],
    ['until it was restarted', span(30 * hour, 'restart'), 'not-soaked', /it was restarted/],
    ['until a check failed', span(30 * hour, 'check'), 'not-soaked', /a check failed/],
    ['never', span(0, 'none'), 'never-on-staging', /was never seen healthy there/],
    [
      'as another',
      { ...span(30 * hour, 'live'), release: 'b'.repeat(64) },
      'bad-receipt',
      /bbbb, not of aaaa/,
    ],
  ])('is not enough: %s', (_, soak, reason, says) => {
    const problem = soakProblem(soak, wanted);
    expect(problem?.reason).toBe(reason);
    expect(problem?.happened).toMatch(says);
  });

  test('of a week is taken for a week after another followed', () => {
    const week = { ...wanted, soakMs: 168 * hour * 1000 };
    expect(soakProblem(span(200 * hour, 'replaced', 160 * hour), week)).toBeUndefined();
    expect(soakProblem(span(200 * hour, 'replaced', 169 * hour), week)?.reason).toBe('not-soaked');
  });
});
