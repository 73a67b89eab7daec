import { describe, expect, test } from '@jest/globals';
import { OperationError } from '../../../src/action/errors.ts';
import {
  isAccessDenied,
  isConflict,
  isNotFound,
  isPreconditionFailed,
  isThrottled,
  isUnclear,
} from '../../../src/aws/errors.ts';

function serviceError(name: string, status?: number): Error {
  const error = Object.assign(new Error('message'), { $metadata: status ? { httpStatusCode: status } : {} });
  error.name = name;
  return error;
}

const questions = { isAccessDenied, isConflict, isNotFound, isPreconditionFailed, isThrottled, isUnclear };

describe('an error of a service is', () => {
  test.each<[string, number | undefined, (keyof typeof questions)[]]>([
    ['NoSuchKey', 404, ['isNotFound']],
    ['NotFound', 404, ['isNotFound']],
    ['PreconditionFailed', 412, ['isPreconditionFailed']],
    ['ConditionalRequestConflict', 409, ['isConflict']],
    ['AccessDenied', 403, ['isAccessDenied']],
    ['AccessDeniedException', 400, ['isAccessDenied']],
    ['UnauthorizedOperation', 403, ['isAccessDenied']],
    ['ThrottlingException', 400, ['isThrottled']],
    ['SlowDown', 503, ['isThrottled', 'isUnclear']],
    ['InternalServerError', 500, ['isUnclear']],
    ['TimeoutError', undefined, ['isUnclear']],
    ['InvalidDocument', 400, []],
  ])('%s %p: %j', (name, status, expected) => {
    const error = serviceError(name, status);
    const held = Object.entries(questions).filter(([, holds]) => holds(error));
    expect(held.map(([question]) => question)).toEqual(expected);
  });

  test('unclear only when the service may have taken the request: not when we refused ourselves', () => {
    const refused = new OperationError({ reason: 'access-denied', happened: '', stateNow: '', todo: '' });
    expect(isUnclear(refused)).toBe(false);
    expect(isUnclear(new Error('socket hang up'))).toBe(true);
  });
});
