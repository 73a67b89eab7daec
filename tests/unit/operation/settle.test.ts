import { describe, expect, test } from '@jest/globals';
import { resultOf } from '../../../src/action/result.ts';
import { type HostState, readState } from '../../../src/command/result-line.ts';
import { instanceOutcome } from '../../../src/operation/outcome.ts';
import { settleOne } from '../../../src/operation/settle.ts';
import { operation } from './fleet.ts';

const open = instanceOutcome(
  'i-1',
  resultOf({ outcome: 'unknown', reason: 'no-result', sentence: 'No word.' }),
  true,
);

function stateWith(about: object, more: object = {}): HostState {
  const line = {
    schema: 1,
    action: 'probe',
    operation: 'probe-1',
    result: 'done',
    reason: 'probed',
    instance: 'i-1',
  };
  const state = readState(`UNDERSTUDY_RESULT ${JSON.stringify({ ...line, ...more, about })}`);
  if (!state) throw new Error('The test told no state.');
  return state;
}

const result = {
  ...{
    schema: 1,
    action: 'deploy',
    operation: operation.id,
    result: 'reverted',
    reason: 'interrupted',
    instance: 'i-1',
  },
  ...{ sentence: 'Put back.', details: 'd'.repeat(64) },
};

describe('an instance that gave no result is asked by probe', () => {
  test('and its journal says what became of the operation', () => {
    const settled = settleOne(open, stateWith({ state: 'ended', result }), {
      operation,
      neverStarted: 'cancelled',
    });
    expect(settled).toMatchObject({
      result: 'reverted',
      reason: 'interrupted',
      sentence: 'Put back.',
      open: false,
    });
    expect(settled.details).toBe('d'.repeat(64));
  });

  test.each([
    ['cancelled', 'refused', 'cancelled'],
    ['command-failed', 'failed', 'command-failed'],
  ] as const)('one that never began it, %s: %s', (neverStarted, outcome, reason) => {
    const settled = settleOne(open, stateWith({ state: 'unknown' }), { operation, neverStarted });
    expect(settled).toMatchObject({ result: outcome, reason, open: false });
    expect(settled.sentence).toContain('nothing was changed');
  });

  test.each([
    ['running', 'migrate'],
    ['interrupted', 'switch'],
  ])('one that is %s stays unknown, with the step that it is in', (state, step) => {
    const told = stateWith({ state, step }, { live: '012345678901', healthy: true });
    const settled = settleOne(open, told, { operation, neverStarted: 'cancelled' });
    expect(settled).toMatchObject({ result: 'unknown', open: true });
    expect(settled.sentence).toBe(
      `The operation is ${state} in step ${step} on the host. Live is 012345678901, and healthy.`,
    );
  });

  test('one that does not answer, or answers nothing that we read, stays as it was', () => {
    const asking = { operation, neverStarted: 'cancelled' } as const;
    expect(settleOne(open, undefined, asking)).toBe(open);
    expect(settleOne(open, stateWith({ state: 'ended', result: 'x' }), asking)).toMatchObject({ open: true });
  });
});
