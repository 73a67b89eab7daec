import * as core from '@actions/core';
import type { OutputDeclaration } from './declaration.ts';

/** Sets some of the declared outputs; one that is undefined stays unset. */
export function writeOutputs<Declared extends Readonly<Record<string, OutputDeclaration>>>(
  _declared: Declared,
  values: { readonly [Name in keyof Declared]?: string | undefined },
): void {
  for (const [name, value] of Object.entries<string | undefined>(values)) {
    if (value !== undefined) core.setOutput(name, value);
  }
}
