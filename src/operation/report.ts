import { messageOf } from '../action/errors.ts';
import { warn } from '../action/log.ts';
import { writeResult } from '../action/outputs.ts';
import type { Result } from '../action/result.ts';
import { resultOfError, tellCauses } from '../action/run.ts';
import { writeSummary } from '../action/summary.ts';
import { tellFailedCall } from '../aws/errors.ts';
import { summarise, type Told } from './summary.ts';

/** What is known of an operation so far; its parts fill in as the story goes on, so that a failure tells them too. */
export interface Report {
  /** Such as `Deploy to staging`. */
  title: string;
  /** By the steady clock, ms. */
  readonly started: number;
  facts: [string, string][];
  instances: readonly Told[];
  /** What there is to say beside instances, in Markdown. */
  account?: string;
  /** What the output `result` holds beside the result itself. */
  known: Record<string, string>;
}

/** Tells a story to its end: whatever happens in it becomes a result, and is published once. */
export async function concluding(title: string, story: (report: Report) => Promise<Result>): Promise<Result> {
  const report: Report = { title, started: performance.now(), facts: [], instances: [], known: {} };
  let result: Result;
  try {
    result = await story(report);
  } catch (error) {
    tellCauses(error);
    result = resultOfError(tellFailedCall(error));
  }
  await publish(report, result);
  return result;
}

async function publish(report: Report, result: Result): Promise<void> {
  const { title, facts, instances, known, account } = report;
  writeResult(result, { ...known, instances: instances.map(toOutput) });
  try {
    await writeSummary(
      summarise({ title, result, facts, instances, ...(account !== undefined && { account }) }),
    );
  } catch (error) {
    warn(`The summary could not be written: ${messageOf(error)}`);
  }
}

/** What others may rely on; the rest is for post, or stands in the summary. */
function toOutput(told: Told): object {
  const { instance, result, reason, sentence, met, release, previous, wait_ms, down_ms, manifest } = told;
  return { instance, result, reason, sentence, met, release, previous, wait_ms, down_ms, manifest };
}
