/**
 * The result of every operation: one union, one closed list of reasons, the same in the output `result`, the
 * summary, the ledger and the exit.
 */

import type { Outcome } from './outcomes.ts';
import { explain, type Reason, reasons } from './reasons.ts';

/** The reasons that may come with an outcome. */
export type ReasonOf<O extends Outcome> = {
  [R in Reason]: O extends (typeof reasons)[R]['of'][number] ? R : never;
}[Reason];

interface Explained<O extends Outcome> {
  readonly result: O;
  readonly reason: ReasonOf<O>;
  /** What happened, in one sentence with the names of this case. */
  readonly sentence: string;
  /** What to do next. */
  readonly todo: string;
}

/** `met`: whether any user request may have reached the release that was taken back. */
interface Met {
  readonly met: boolean;
}

export type Done = Explained<'done'>;
export type Unchanged = Explained<'unchanged'>;
export type Reverted = Explained<'reverted'> & Met;
export type Refused = Explained<'refused'>;
export type Failed = Explained<'failed'> & Met;
export type Unknown = Explained<'unknown'>;

export type Result = Done | Unchanged | Reverted | Refused | Failed | Unknown;

/** Whether it is a success: of the run, or of one instance. */
export function succeeded({ result }: Pick<Result, 'result'>): boolean {
  return result === 'done' || result === 'unchanged';
}

interface ResultAtRunTime {
  readonly outcome: Outcome;
  readonly reason: Reason;
  readonly sentence?: string;
  readonly todo?: string;
  readonly met?: boolean;
  readonly app?: string;
}

/**
 * A result from values that are only known at run time. A pair that the list does not allow is a bug or a host of
 * another version: it becomes `unknown`, never a success.
 */
export function resultOf({ outcome, reason, sentence, todo, met = false, app }: ResultAtRunTime): Result {
  const meaning = explain(reason, app);
  const told = { sentence: sentence ?? meaning.sentence, todo: todo ?? meaning.todo };
  const allowed: readonly Outcome[] = reasons[reason].of;
  if (!allowed.includes(outcome)) {
    const { todo: ask } = explain('no-result', app);
    const sentence = `The result "${outcome}: ${reason}" is not one that this version knows. ${told.sentence}`;
    return { result: 'unknown', reason: 'no-result', sentence, todo: ask };
  }
  return { result: outcome, reason, ...told, met } as Result;
}
