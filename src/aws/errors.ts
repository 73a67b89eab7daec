import type { MiddlewareStack } from '@smithy/types';
import { OperationError } from '../action/errors.ts';

interface ServiceError {
  readonly name: string;
  readonly message: string;
  readonly status: number | undefined;
}

function read(error: unknown): ServiceError {
  if (!(error instanceof Error)) return { name: '', message: String(error), status: undefined };
  const { $metadata } = error as { $metadata?: { httpStatusCode?: number } };
  return { name: error.name, message: error.message, status: $metadata?.httpStatusCode };
}

export function isNotFound(error: unknown): boolean {
  const { name, status } = read(error);
  return status === 404 || name === 'NoSuchKey' || name === 'NotFound';
}

/** S3's 412: somebody else was first, or we were, and the answer was lost. */
export function isPreconditionFailed(error: unknown): boolean {
  const { name, status } = read(error);
  return status === 412 || name === 'PreconditionFailed';
}

/** S3's 409 to a conditional write: two at once; try again. */
export function isConflict(error: unknown): boolean {
  return read(error).name === 'ConditionalRequestConflict' || read(error).status === 409;
}

export function isThrottled(error: unknown): boolean {
  return /Throttl|TooManyRequests|RequestLimitExceeded|SlowDown|RateExceeded/i.test(read(error).name);
}

export function isAccessDenied(error: unknown): boolean {
  const { name, status } = read(error);
  return (
    /^(AccessDenied|AccessDeniedException|UnauthorizedOperation|Forbidden)$/.test(name) || status === 403
  );
}

/** Whether we cannot tell if the service took the request: no answer, or a fault on its side. */
export function isUnclear(error: unknown): boolean {
  const { status } = read(error);
  return !(error instanceof OperationError) && (status === undefined || status >= 500);
}

/** Whether an error has this name, as the service's model gives it. */
export function isNamed(error: unknown, ...names: readonly string[]): boolean {
  return names.includes(read(error).name);
}

/** Makes a refusal by IAM an error that names the action and what to compare. It is final: nobody retries it. */
export function tellRefusals(client: { readonly middlewareStack: unknown }): void {
  // The stack's type differs by client; a middleware of the first step sees only input and output.
  const stack = client.middlewareStack as MiddlewareStack<object, object>;
  stack.add(
    (next, context) => async (args) => {
      try {
        return await next(args);
      } catch (error) {
        if (isAccessDenied(error) && !(error instanceof OperationError))
          throw refusedCall(context, args.input, error);
        throw error;
      }
    },
    { step: 'initialize', name: 'tellRefusals', priority: 'high' },
  );
}

function refusedCall(context: object, input: object, cause: unknown): OperationError {
  const { clientName = '', commandName = '' } = context as { clientName?: string; commandName?: string };
  const call = `${clientName.replace(/Client$/, '')} ${commandName.replace(/Command$/, '')}`;
  const { Key, DocumentName } = input as { Key?: string; DocumentName?: string };
  const what = Key ?? DocumentName;
  const missing = Key ? ' Without s3:ListBucket, S3 says so of an object that is not there too.' : '';
  return new OperationError({
    reason: 'access-denied',
    happened: `AWS refused the call ${call}${what ? ` of ${what}` : ''}: ${read(cause).message}${missing}`,
    stateNow: 'This call changed nothing.',
    todo: "Compare the role's policy with infra/foundation.yaml.",
    cause,
  });
}
