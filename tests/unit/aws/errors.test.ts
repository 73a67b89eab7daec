import { SendCommandCommand, SSMClient } from '@aws-sdk/client-ssm';
import { describe, expect, test } from '@jest/globals';
import { OperationError } from '../../../src/action/errors.ts';
import {
  isAccessDenied,
  isConflict,
  isNotFound,
  isPreconditionFailed,
  isThrottled,
  isUnclear,
  tellFailedCall,
  tellRefusals,
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

describe('a call that failed is told with its name', () => {
  const credentials = { accessKeyId: 'a', secretAccessKey: 's' };

  async function failWith(failure: Error): Promise<unknown> {
    const requestHandler = { handle: () => Promise.reject(failure) };
    const ssm = new SSMClient({ region: 'us-east-2', credentials, maxAttempts: 1, requestHandler });
    tellRefusals(ssm);
    const call = ssm.send(new SendCommandCommand({ DocumentName: 'isso-deploy', InstanceIds: ['i-1'] }));
    return call.catch((error: unknown) => error);
  }

  test('as an operation that changed nothing', async () => {
    const error = await failWith(new Error('socket hang up'));
    expect(tellFailedCall(error)).toMatchObject({
      ...{ reason: 'aws-failed', outcome: 'refused' },
      happened: 'AWS did not do the call SSM SendCommand of isso-deploy: Error: socket hang up.',
    });
  });

  test('also where another error was made of it', async () => {
    const cause = await failWith(new Error('socket hang up'));
    const told = tellFailedCall(new Error('lost', { cause }));
    expect(told).toMatchObject({ happened: expect.stringContaining('SSM SendCommand of isso-deploy') });
  });

  test('what no call failed of stays what it is', () => {
    const bug = new TypeError('x is not a function');
    expect(tellFailedCall(bug)).toBe(bug);
  });
});
