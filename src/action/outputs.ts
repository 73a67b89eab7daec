import * as core from '@actions/core';
import type { OutputDeclaration } from './declaration.ts';
import { withoutMasked } from './log.ts';
import type { Result } from './result.ts';

/** Sets some of the declared outputs; one that is undefined stays unset. */
export function writeOutputs<Declared extends Readonly<Record<string, OutputDeclaration>>>(
  _declared: Declared,
  values: { readonly [Name in keyof Declared]?: string | undefined },
): void {
  for (const [name, value] of Object.entries<string | undefined>(values)) {
    if (value !== undefined) core.setOutput(name, withoutMasked(value));
  }
}

/** Sets the outputs `result`, as JSON with `more` beside it, and `reason`: every operation has them. */
export function writeResult(result: Result, more: Readonly<Record<string, unknown>> = {}): void {
  core.setOutput('result', withoutMasked(JSON.stringify({ schema: 1, ...result, ...more })));
  core.setOutput('reason', result.reason);
}
