import type { MiddlewareStack } from '@smithy/types';
import { OperationError, sentenceOf } from '../action/errors.ts';
import { explain } from '../action/reasons.ts';

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

/** Whether a call was refused for our clock, which the SDK has set right by now. */
export function isSkewed(error: unknown): boolean {
  const { $metadata } = (error ?? {}) as { $metadata?: { clockSkewCorrected?: boolean } };
  return $metadata?.clockSkewCorrected === true;
}

/** Whether an error has this name, as the service's model gives it. */
export function isNamed(error: unknown, ...names: readonly string[]): boolean {
  return names.includes(read(error).name);
}

/** The calls that errors came of, for people: `SSM SendCommand of isso-deploy`. */
const calls = new WeakMap<object, string>();

/**
 * An error of a call to AWS, or one that it caused, as one that names the call; anything else as it is. It says that
 * nothing was changed: whoever has changed something by then says so first.
 */
export function tellFailedCall(error: unknown): unknown {
  const failed = findFailedCall(error);
  if (!failed || error instanceof OperationError) return error;
  return new OperationError({
    reason: 'aws-failed',
    happened: sentenceOf(
      `AWS did not do the call ${failed.call}: ${failed.error.name}: ${failed.error.message}`,
    ),
    stateNow: 'No host was asked to change anything.',
    todo: explain('aws-failed').todo,
    cause: error,
  });
}

function findFailedCall(error: unknown): { error: Error; call: string } | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const call = calls.get(at);
    if (call !== undefined) return { error: at, call };
  }
  return undefined;
}

/**
 * Makes a refusal by IAM an error that names the action and what to compare. It is final: nobody retries it. Of any
 * other error, it notes which call it came of.
 */
export function tellRefusals(client: { readonly middlewareStack: unknown }): void {
  // The stack's type differs by client; a middleware of the first step sees only input and output.
  const stack = client.middlewareStack as MiddlewareStack<object, object>;
  stack.add(
    (next, context) => async (args) => {
      try {
        return await next(args);
      } catch (error) {
        if (isAccessDenied(error) && !(error instanceof OperationError))
          throw refusedCall(nameCall(context, args.input), args.input, error);
        if (error instanceof Error) calls.set(error, nameCall(context, args.input));
        throw error;
      }
    },
    { step: 'initialize', name: 'tellRefusals', priority: 'high' },
  );
}

/** A call in words: service, action, and what it is about. */
function nameCall(context: object, input: object): string {
  const { clientName = '', commandName = '' } = context as { clientName?: string; commandName?: string };
  const { Key, DocumentName, Bucket } = input as { Key?: string; DocumentName?: string; Bucket?: string };
  const what = Key ?? DocumentName ?? Bucket;
  return `${clientName.replace(/Client$/, '')} ${commandName.replace(/Command$/, '')}${what ? ` of ${what}` : ''}`;
}

function refusedCall(call: string, input: object, cause: unknown): OperationError {
  const missing =
    'Key' in input ? ' Without s3:ListBucket, S3 says so of an object that is not there too.' : '';
  return new OperationError({
    reason: 'access-denied',
    happened: `AWS refused the call ${call}: ${read(cause).message}${missing}`,
    stateNow: 'This call changed nothing.',
    todo: "Compare the role's policies with the templates of infra that made it.",
    cause,
  });
}
