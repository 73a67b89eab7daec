import * as core from '@actions/core';
import { CancelledError, ConfigurationError, causeChain, OperationError } from './errors.ts';
import { withoutMasked } from './log.ts';
import { type Result, resultOf, succeeded } from './result.ts';
import { state } from './state.ts';

/** A part of an action. It may give its result; a failed one fails the step. The signal fires on cancellation. */
export type Part = (signal: AbortSignal) => Promise<Result | undefined> | Promise<void>;

/**
 * The one wrapper around every action: catches, fails the step once and at the cause, and tells main from post.
 * GitHub starts the same file for both; state that main saved tells them apart.
 */
export async function run(main: Part, post?: Part): Promise<void> {
  if (state.isPost.read() === '') {
    state.isPost.save('true');
    await play(main);
  } else if (post) {
    await play(post);
  }
}

async function play(part: Part): Promise<void> {
  const cancellation = new AbortController();
  const cancel = (): void =>
    cancellation.abort(new CancelledError('The job was cancelled; its post step sees to what still runs.'));
  // GitHub sends SIGINT, then SIGTERM 7.5 s later, then kills 2.5 s after that.
  process.on('SIGINT', cancel);
  process.on('SIGTERM', cancel);
  try {
    const result = await part(cancellation.signal);
    if (result && !succeeded(result)) fail(result);
  } catch (error) {
    tellCauses(error);
    fail(resultOfError(error));
  } finally {
    process.off('SIGINT', cancel);
    process.off('SIGTERM', cancel);
  }
}

/** Tells a debug run the whole chain of causes. */
export function tellCauses(error: unknown): void {
  for (const message of causeChain(error)) core.debug(message);
  if (error instanceof Error && error.stack) core.debug(error.stack);
}

function fail({ result, reason, sentence, todo }: Result): void {
  core.setFailed(withoutMasked(`${result} (${reason}): ${sentence} What to do: ${todo}`));
  // As the host scripts do: that something failed, and that we cannot tell, are two exits.
  if (result === 'unknown') process.exitCode = 4;
}

/** The result that an error stands for. */
export function resultOfError(error: unknown): Result {
  if (error instanceof ConfigurationError) {
    const sentence = `${error.where}: ${error.what}`;
    return resultOf({ outcome: 'refused', reason: error.reason, sentence, todo: error.how });
  }
  if (error instanceof OperationError) {
    const { outcome, reason, message, todo } = error;
    return resultOf({ outcome, reason, sentence: message, todo });
  }
  if (error instanceof CancelledError) {
    return resultOf({ outcome: 'unknown', reason: 'cancelled', sentence: error.message });
  }
  const sentence = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return resultOf({ outcome: 'unknown', reason: 'unexpected-error', sentence });
}
