import type { Outcome } from './outcomes.ts';
import type { Reason } from './reasons.ts';

interface ConfigurationProblem {
  /** What is wrong. */
  readonly what: string;
  /** Where: an input's name, or a file with line and key. */
  readonly where: string;
  /** How to set it right, with an example. */
  readonly how: string;
  /** Default `bad-input`. */
  readonly reason?: Reason;
  readonly cause?: unknown;
}

/** You can mend it: it says what is wrong, where, and how to set it right. Nothing was changed. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
  readonly what: string;
  readonly where: string;
  readonly how: string;
  readonly reason: Reason;

  constructor({ what, where, how, reason = 'bad-input', cause }: ConfigurationProblem) {
    super(`${where}: ${what} ${how}`, cause === undefined ? undefined : { cause });
    this.what = what;
    this.where = where;
    this.how = how;
    this.reason = reason;
  }
}

interface OperationProblem {
  readonly reason: Reason;
  /** `refused` (the default) says that nothing was changed. */
  readonly outcome?: Outcome;
  /** What happened, in a sentence. */
  readonly happened: string;
  readonly instance?: string;
  /** What the state is now, in a sentence. */
  readonly stateNow: string;
  /** What to do next, in a sentence. */
  readonly todo: string;
  readonly cause?: unknown;
}

/** The world did not do as asked: it says what happened, on which instance, and what the state is now. */
export class OperationError extends Error {
  override readonly name = 'OperationError';
  readonly reason: Reason;
  readonly outcome: Outcome;
  readonly happened: string;
  readonly instance: string | undefined;
  readonly stateNow: string;
  readonly todo: string;

  constructor(problem: OperationProblem) {
    const { reason, outcome = 'refused', happened, instance, stateNow, todo, cause } = problem;
    const place = instance ? `${instance}: ` : '';
    super(`${place}${happened} ${stateNow}`, cause === undefined ? undefined : { cause });
    this.reason = reason;
    this.outcome = outcome;
    this.happened = happened;
    this.instance = instance;
    this.stateNow = stateNow;
    this.todo = todo;
  }
}

/** The job was cancelled while we worked; the post step looks after what still runs. */
export class CancelledError extends Error {
  override readonly name = 'CancelledError';
}

/** An error's own message and those of its causes, outermost first. */
export function causeChain(error: unknown): string[] {
  const messages: string[] = [];
  for (let at: unknown = error; at !== undefined && at !== null && messages.length < 10; ) {
    messages.push(at instanceof Error ? `${at.name}: ${at.message}` : String(at));
    at = at instanceof Error ? at.cause : undefined;
  }
  return messages;
}

/** What an error says of itself; anything may be thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The same, or a text, as a sentence: another may follow. */
export function sentenceOf(error: unknown): string {
  return messageOf(error).replace(/[^.!?]$/, '$&.');
}
