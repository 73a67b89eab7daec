import { describe, expect, test } from '@jest/globals';
import type { Outcome } from '../../../src/action/outcomes.ts';
import type { Reason } from '../../../src/action/reasons.ts';
import type { Invocation } from '../../../src/command/follow.ts';
import type { Standing } from '../../../src/command/status.ts';
import { type InstanceOutcome, outcomeOf, overall } from '../../../src/operation/outcome.ts';

const about = { app: 'isso', operation: '42-100-1-deploy-staging' };
const said = {
  ...{
    schema: 1,
    action: 'deploy',
    operation: about.operation,
    result: 'done',
    reason: 'deployed',
    instance: 'i-1',
  },
  ...{
    release: '012345678901',
    previous: '',
    met: true,
    healthy: true,
    wait_ms: 3,
    sentence: 'Live.',
    details: '',
  },
};
const line = (more: object = {}): string => `UNDERSTUDY_RESULT ${JSON.stringify({ ...said, ...more })}`;
const saw = (standing: Standing, output = '', statusDetails = 'Details'): Invocation => ({
  ...{ instance: 'i-1', standing, output, statusDetails },
});

describe('what became of an instance', () => {
  test('is what its own result line says', () => {
    expect(outcomeOf(saw('succeeded', line()), about)).toMatchObject({
      ...{
        instance: 'i-1',
        result: 'done',
        reason: 'deployed',
        sentence: 'Live.',
        met: true,
        wait_ms: 3,
        open: false,
      },
    });
  });

  test.each<[Standing, string, string, Outcome, Reason, boolean]>([
    ['failed', line({ result: 'reverted', reason: 'check-failed' }), '', 'reverted', 'check-failed', false],
    ['timed-out', line({ result: 'reverted', reason: 'timed-out' }), '', 'reverted', 'timed-out', false],
    ['failed', line({ result: 'refused', reason: 'no-room' }), '', 'refused', 'no-room', false],
    ['succeeded', '', 'Success', 'unknown', 'no-result', true],
    ['failed', '', 'Failed', 'unknown', 'no-result', true],
    ['timed-out', '', 'ExecutionTimedOut', 'unknown', 'no-result', true],
    ['cancelled', '', 'Cancelled', 'unknown', 'no-result', true],
    ['running', '', 'InProgress', 'unknown', 'unaccounted', true],
    ['pending', '', 'not listed', 'unknown', 'unaccounted', true],
    ['never-ran', '', 'Terminated', 'refused', 'never-ran', false],
    ['never-ran', '', 'Delivery Timed Out', 'failed', 'delivery-timed-out', false],
    ['never-ran', '', 'Undeliverable', 'failed', 'delivery-timed-out', false],
    ['never-ran', '', 'AccessDenied', 'refused', 'access-denied', false],
    ['succeeded', line({ operation: '42-99-1-deploy-staging' }), '', 'unknown', 'no-result', true],
    ['succeeded', line({ instance: 'i-2' }), '', 'unknown', 'no-result', true],
    ['succeeded', line({ healthy: false }), '', 'unknown', 'no-result', true],
    ['succeeded', line({ result: 'done', reason: 'check-failed' }), '', 'unknown', 'no-result', false],
  ])(
    '%s with %.60j (%s): %s, %s; the host may be at work: %s',
    (standing, output, details, result, reason, open) => {
      expect(outcomeOf(saw(standing, output, details), about)).toMatchObject({ result, reason, open });
    },
  );
});

function outcome(instance: string, result: Outcome, reason: Reason, met = false): InstanceOutcome {
  return {
    instance,
    result,
    reason,
    sentence: `${reason}.`,
    todo: 'Look.',
    met,
    release: '',
    previous: '',
    details: '',
    open: false,
  };
}

const done = (instance: string) => outcome(instance, 'done', 'deployed');
const unchanged = (instance: string) => outcome(instance, 'unchanged', 'already-live');
const back = (instance: string, met = false) => outcome(instance, 'reverted', 'check-failed', met);
const broken = (instance: string) => outcome(instance, 'failed', 'start-failed');
const refused = (instance: string) => outcome(instance, 'refused', 'no-room');
const stopped = (instance: string) => outcome(instance, 'refused', 'never-ran');
const lost = (instance: string) => outcome(instance, 'unknown', 'no-result');

describe('what it comes to for the environment', () => {
  test.each<[string, InstanceOutcome[], Outcome, Reason]>([
    ['one that is done', [done('i-1')], 'done', 'deployed'],
    ['all unchanged', [unchanged('i-1'), unchanged('i-2')], 'unchanged', 'already-live'],
    ['one done, one unchanged', [unchanged('i-1'), done('i-2')], 'done', 'deployed'],
    ['one reverted', [back('i-1')], 'reverted', 'check-failed'],
    ['one reverted, the rest never asked', [back('i-1'), stopped('i-2')], 'reverted', 'check-failed'],
    ['one refused', [refused('i-1'), stopped('i-2')], 'refused', 'no-room'],
    ['none asked', [stopped('i-1'), stopped('i-2')], 'refused', 'never-ran'],
    ['one failed', [broken('i-1'), back('i-2')], 'failed', 'start-failed'],
    ['one unknown', [lost('i-1'), broken('i-2'), done('i-3')], 'unknown', 'no-result'],
    ['one done before another was reverted', [done('i-1'), back('i-2')], 'failed', 'check-failed'],
    ['one done before another refused', [done('i-1'), refused('i-2')], 'failed', 'no-room'],
    ['none at all', [], 'unknown', 'unaccounted'],
  ])('%s', (_, outcomes, result, reason) => {
    expect(overall(outcomes, 'isso')).toMatchObject({ result, reason });
  });

  test('says on how many, and that two releases run now', () => {
    const took = { ...done('i-1'), release: 'abcdef012345' };
    const { sentence } = overall([took, back('i-2'), stopped('i-3')], 'isso');
    expect(sentence).toBe(
      'i-2: check-failed. Of 3 instances: 1 reverted, 1 refused, 1 done; the environment now runs two releases.',
    );
  });

  test('says nothing of releases where none was to be live', () => {
    expect(overall([done('i-1'), refused('i-2')], 'isso').sentence).toBe(
      'i-2: no-room. Of 2 instances: 1 refused, 1 done.',
    );
  });

  test.each([[back('i-1')], [refused('i-1')], [broken('i-1')], [lost('i-1')]])(
    'names the instance that is not well, of a fleet of one too: %j',
    (one) => {
      expect(overall([one], 'isso').sentence).toBe(`i-1: ${one.sentence}`);
    },
  );

  test('of a fleet that is well names no single instance', () => {
    expect(overall([done('i-1'), done('i-2')], 'isso').sentence).toBe('deployed. Of 2 instances: 2 done.');
  });

  test('says whether any user met the release that was taken back', () => {
    expect(overall([back('i-1'), back('i-2', true)], 'isso')).toMatchObject({ met: true });
    expect(overall([back('i-1'), back('i-2')], 'isso')).toMatchObject({ met: false });
  });
});
