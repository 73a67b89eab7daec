import { describe, expect, test } from '@jest/globals';
import type { DocumentContent } from '../../rehearsal/gateway/ssm/content.ts';
import { executionSeconds, resolveParameters } from '../../rehearsal/gateway/ssm/parameters.ts';
import { countToSend, readRate } from '../../rehearsal/gateway/ssm/rollout.ts';
import { commandState, type Details, nextDetails, statusOf } from '../../rehearsal/gateway/ssm/statuses.ts';

describe('how many are sent', () => {
  test.each([
    // total, sent, answered, active, MaxConcurrency, by targets → now
    [5, 0, 0, 0, 50, false, 5],
    [5, 0, 0, 0, 2, false, 2],
    [5, 2, 2, 1, 2, false, 1],
    [5, 0, 0, 0, 50, true, 1],
    [5, 1, 0, 1, 50, true, 0],
    [5, 1, 1, 1, 50, true, 2],
    [9, 3, 3, 0, 50, true, 4],
    [9, 3, 3, 0, 1, true, 1],
    [3, 3, 3, 3, 50, true, 0],
  ])(
    'of %d, %d sent, %d answered, %d active, at most %d, by targets %s: %d',
    (total, sent, answered, active, most, ramps, now) => {
      expect(countToSend({ total, sent, answered, active }, most, ramps)).toBe(now);
    },
  );

  test.each([
    ['10', 50, 10],
    ['10%', 50, 5],
    ['1%', 5, 1],
    ['100%', 3, 3],
  ])('a MaxConcurrency of %s of %d targets is %d', (text, targets, expected) => {
    expect(readRate('maxConcurrency', text, targets, 1)).toBe(expected);
  });

  test.each(['', '-1', '101%', 'all', '1.5', '0'])('a MaxConcurrency of "%s" is refused', (text) => {
    expect(() => readRate('maxConcurrency', text, 5, 1)).toThrow('neither a number nor a percentage');
  });
});

describe('the status of a command', () => {
  const state = (all: Details[], maxErrors = 0, cancelAsked = false) => {
    const { Status, StatusDetails } = commandState(all, { maxErrors, cancelAsked });
    return `${Status}/${StatusDetails}`;
  };

  test.each<[Details[], number, string]>([
    [[], 0, 'Success/NoInstancesInTag'],
    [['Pending', 'Pending'], 0, 'Pending/Pending'],
    [['Success', 'Pending'], 0, 'InProgress/InProgress'],
    [['Success', 'Success'], 0, 'Success/Success'],
    [['Success', 'Failed'], 0, 'Failed/Failed'],
    [['Success', 'Success', 'Failed'], 2, 'Failed/Incomplete'],
    [['Success', 'DeliveryTimedOut'], 0, 'TimedOut/DeliveryTimedOut'],
    [['Success', 'ExecutionTimedOut'], 0, 'TimedOut/ExecutionTimedOut'],
    [['Success', 'Undeliverable', 'Undeliverable', 'Undeliverable', 'Undeliverable'], 0, 'Success/Success'],
    [['Undeliverable', 'Undeliverable'], 0, 'Failed/Failed'],
  ])('of %j with MaxErrors %d is %s', (all, maxErrors, expected) => {
    expect(state(all, maxErrors)).toBe(expected);
  });

  test('is Cancelling while a cancelled one runs, and Cancelled when it has ended', () => {
    expect(state(['Cancelling', 'Success'], 0, true)).toBe('Cancelling/Cancelling');
    expect(state(['Cancelled', 'Success'], 0, true)).toBe('Cancelled/Cancelled');
    expect(state(['Success', 'Success'], 0, true)).toBe('Success/Success');
  });
});

describe('the status of an invocation', () => {
  test.each<[Details, Details, Details]>([
    ['Pending', 'InProgress', 'InProgress'],
    ['Delayed', 'InProgress', 'InProgress'],
    ['InProgress', 'Delayed', 'InProgress'],
    ['Success', 'InProgress', 'Success'],
    ['Cancelled', 'Success', 'Cancelled'],
    ['Cancelling', 'InProgress', 'Cancelling'],
    ['Cancelling', 'Success', 'Success'],
    ['Undeliverable', 'Success', 'Undeliverable'],
  ])('%s, told %s, is %s', (now, told, expected) => {
    expect(nextDetails(now, told)).toBe(expected);
  });

  test('only StatusDetails tell delivery from execution', () => {
    expect([statusOf('DeliveryTimedOut'), statusOf('ExecutionTimedOut')]).toEqual(['TimedOut', 'TimedOut']);
    expect([statusOf('Undeliverable'), statusOf('Failed')]).toEqual(['Failed', 'Failed']);
  });
});

describe('parameters', () => {
  const content = (parameters: DocumentContent['parameters'], timeoutSeconds?: string): DocumentContent => ({
    schemaVersion: '2.2',
    ...(parameters === undefined ? {} : { parameters }),
    mainSteps: [
      {
        action: 'aws:runShellScript',
        name: 'run',
        inputs: timeoutSeconds === undefined ? {} : { timeoutSeconds },
      },
    ],
  });

  test('defaults are filled in and checked like given values', () => {
    const wrong = content({ app: { type: 'String', default: 'A B', allowedPattern: '[a-z]+' } });
    expect(() => resolveParameters(wrong, {})).toThrow('allowed pattern');
    expect(resolveParameters(wrong, { app: ['isso'] })).toEqual({ app: 'isso' });
    expect(() => resolveParameters(content({ app: { type: 'String' } }), {})).toThrow('is required');
  });

  test('come to the agent in their types', () => {
    const all = content({
      list: { type: 'StringList' },
      yes: { type: 'Boolean' },
      many: { type: 'Integer' },
      map: { type: 'StringMap' },
    });
    expect(
      resolveParameters(all, { list: ['a', 'b'], yes: ['true'], many: ['7'], map: ['{"a":"b"}'] }),
    ).toEqual({
      list: ['a', 'b'],
      yes: true,
      many: 7,
      map: { a: 'b' },
    });
  });

  test.each([
    ['600', 600],
    ['{{ limit }}', 900],
    ['5.9', 5],
    ['3', 3600],
    ['-1', 3600],
    ['abc', 3600],
    ['172801', 3600],
    [undefined, 3600],
  ])('a timeoutSeconds of %s is %d seconds: an invalid one is 3600 without a word', (text, expected) => {
    expect(executionSeconds(content(undefined, text), { limit: '900' })).toBe(expected);
  });
});
