import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import {
  CancelledError,
  ConfigurationError,
  causeChain,
  OperationError,
} from '../../../src/action/errors.ts';
import { resultOf } from '../../../src/action/result.ts';
import { resultOfError, run } from '../../../src/action/run.ts';

let printed = '';

beforeEach(() => {
  printed = '';
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
  delete process.env['GITHUB_STATE'];
});

afterEach(() => {
  jest.restoreAllMocks();
  delete process.env['STATE_is-post'];
  process.exitCode = 0;
});

const errors = (): string[] => printed.split('\n').filter((line) => line.startsWith('::error'));
const refuse = (): Promise<undefined> => Promise.reject(new Error('not to be called'));

describe('the wrapper', () => {
  test('plays main first, and marks what follows as post', async () => {
    await run(async () => undefined, refuse);
    expect(printed).toContain('::save-state name=is-post::true');
    expect(errors()).toEqual([]);
  });

  test('plays post alone when main has saved that it was there', async () => {
    process.env['STATE_is-post'] = 'true';
    const post = jest.fn(async () => undefined);
    await run(refuse, post);
    expect(post).toHaveBeenCalledTimes(1);
    expect(errors()).toEqual([]);
  });

  test('does nothing in post when the action has none', async () => {
    process.env['STATE_is-post'] = 'true';
    await run(refuse);
    expect(errors()).toEqual([]);
  });

  test('fails the step once, with the reason and what to do, by a result', async () => {
    await run(async () =>
      resultOf({ outcome: 'reverted', reason: 'check-failed', sentence: '/x answered HTML.' }),
    );
    expect(errors()).toHaveLength(1);
    expect(errors()[0]).toContain(
      'reverted (check-failed): /x answered HTML. What to do: See what the check',
    );
    expect(process.exitCode).toBe(1);
  });

  test('exits otherwise where it cannot tell than where something failed', async () => {
    await run(async () => resultOf({ outcome: 'unknown', reason: 'drill-could-not-run' }));
    expect(errors()[0]).toContain('unknown (drill-could-not-run): ');
    expect(process.exitCode).toBe(4);
  });

  test('does not fail the step by a good result', async () => {
    await run(async () => resultOf({ outcome: 'unchanged', reason: 'already-live' }));
    expect(errors()).toEqual([]);
    expect(process.exitCode).toBe(0);
  });

  test('fails the step once by an error, and tells its causes to a debug run only', async () => {
    await run(() => Promise.reject<undefined>(new Error('outer', { cause: new Error('inner') })));
    expect(errors()).toHaveLength(1);
    expect(errors()[0]).not.toContain('inner');
    expect(printed).toContain('::debug::Error: inner');
  });

  test('tells main when the job is cancelled, and takes its handlers away afterwards', async () => {
    const before = process.listenerCount('SIGINT');
    let reason: unknown;
    await run(async (signal): Promise<undefined> => {
      process.emit('SIGINT');
      reason = signal.reason;
      signal.throwIfAborted();
      return undefined;
    });
    expect(reason).toBeInstanceOf(CancelledError);
    expect(errors()[0]).toContain('unknown (cancelled)');
    expect(process.listenerCount('SIGINT')).toBe(before);
  });
});

describe('an error becomes a result', () => {
  test('one of configuration is refused: it says where, what and how', () => {
    const error = new ConfigurationError({
      where: 'input release',
      what: 'It is missing.',
      how: 'Example: x',
    });
    expect(resultOfError(error)).toMatchObject({
      result: 'refused',
      reason: 'bad-input',
      sentence: 'input release: It is missing.',
      todo: 'Example: x',
    });
  });

  test('one of operation says on which instance, and what its state is now', () => {
    const error = new OperationError({
      ...{
        reason: 'offline',
        happened: 'The agent is gone.',
        instance: 'i-1',
        stateNow: 'Nothing was changed.',
      },
      todo: 'Restart it.',
    });
    expect(resultOfError(error)).toMatchObject({
      result: 'refused',
      reason: 'offline',
      sentence: 'i-1: The agent is gone. Nothing was changed.',
      todo: 'Restart it.',
    });
  });

  test.each([new TypeError('x is not a function'), 'a text', undefined])(
    'another one is unknown: %p',
    (error) => {
      expect(resultOfError(error)).toMatchObject({ result: 'unknown', reason: 'unexpected-error' });
    },
  );

  test('the chain of causes ends, even when it turns in a circle', () => {
    const error = new Error('a');
    error.cause = error;
    expect(causeChain(error)).toHaveLength(10);
  });
});
