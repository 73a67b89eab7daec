import * as core from '@actions/core';

interface StateKey {
  /** The saved text, or empty. */
  readonly read: () => string;
  readonly save: (value: string) => void;
}

function key(name: string): StateKey {
  return { read: () => core.getState(name), save: (value) => core.saveState(name, value) };
}

/** What main leaves for post. GitHub keeps it in plain text: never a secret. */
export const state = {
  /** Saved by main; so whoever reads it is post. */
  isPost: key('is-post'),
  /** JSON that lets post take up the operation: see the action's own post. */
  operation: key('operation'),
  /** The SSM command, once SendCommand has answered. */
  command: key('command'),
  /** JSON of the stack of a drill, which post removes where main could not; empty once it is gone. */
  stack: key('stack'),
  /** A folder that post removes where main could not. */
  scratch: key('scratch'),
  /** `work` once main has told what became of the operation; `all` once the lease is given back, too. */
  ended: key('ended'),
} as const;
