import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Policy } from './foundation.ts';

/** May this be done? */
export interface Question {
  /** `<service>:<Action>`, as IAM names it. */
  readonly action: string;
  /** An ARN, or `*`. */
  readonly resource: string;
  /**
   * What the request's conditions are judged by, such as `aws:ResourceTag/App`; a key that is not given is not there.
   * Without any context, nothing is known of it: what some context would allow is allowed.
   */
  readonly context?: Readonly<Record<string, string | readonly string[]>>;
  readonly policies: readonly Policy[];
  /** The trust policy, when the question is whether somebody may become the role that is the resource. */
  readonly trust?: Policy;
  /** Who asks, when that is not the holder of the policies: the ARN of an identity provider. */
  readonly provider?: string;
}

export interface Verdict {
  readonly allowed: boolean;
  /** Why not: the engine's own word. Empty when it is allowed. */
  readonly because: string;
}

/** Puts questions to the engine, in a process of its own; the answers come in the same order. */
export async function ask(questions: readonly Question[]): Promise<Verdict[]> {
  const program = fileURLToPath(new URL('main.ts', import.meta.url));
  const judging = promisify(execFile)(process.execPath, [program], { maxBuffer: 64 * 1024 * 1024 });
  judging.child.stdin?.end(JSON.stringify(questions));
  return JSON.parse((await judging).stdout) as Verdict[];
}
