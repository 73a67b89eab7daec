import { describe, expect, test } from '@jest/globals';
import { type Outcome, outcomes } from '../../../src/action/outcomes.ts';
import { explain, type Reason, reasons } from '../../../src/action/reasons.ts';
import { resultOf, succeeded } from '../../../src/action/result.ts';

const all = Object.keys(reasons) as Reason[];

describe('the closed list of reasons', () => {
  test.each(all)('%s says what happened and what to do, in sentences', (reason) => {
    const { sentence, todo, of } = reasons[reason];
    expect(sentence).toMatch(/^[A-Z].*\.$/);
    expect(todo).toMatch(/^[A-Z].*\.$/);
    expect(of.length).toBeGreaterThan(0);
  });

  test('puts the name of the app in', () => {
    expect(explain('no-result', 'isso').todo).toContain('`isso-probe`');
  });
});

describe('a result', () => {
  test.each<[Outcome, Reason]>([
    ['done', 'deployed'],
    ['unchanged', 'already-live'],
    ['reverted', 'check-failed'],
    ['failed', 'check-failed'],
    ['refused', 'lease-held'],
    ['unknown', 'no-result'],
  ])('%s may have the reason %s', (outcome, reason) => {
    expect(resultOf({ outcome, reason })).toMatchObject({ result: outcome, reason });
  });

  test.each<[Outcome, Reason]>([
    ['done', 'check-failed'],
    ['unchanged', 'deployed'],
    ['done', 'no-result'],
    ['refused', 'deployed'],
  ])('%s with the reason %s is unknown, never a success', (outcome, reason) => {
    const result = resultOf({ outcome, reason });
    expect(result).toMatchObject({ result: 'unknown', reason: 'no-result' });
    expect(result.sentence).toContain(`${outcome}: ${reason}`);
  });

  test('is a success only when done or unchanged', () => {
    const good = (Object.keys(outcomes) as Outcome[]).filter((outcome) => {
      const reason = all.find((one) => (reasons[one].of as readonly Outcome[]).includes(outcome));
      return reason !== undefined && succeeded(resultOf({ outcome, reason }));
    });
    expect(good.sort()).toEqual(['done', 'unchanged']);
  });
});
