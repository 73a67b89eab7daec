import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { hostOperations } from '../../src/document/compose.ts';

const host = join(import.meta.dirname, '../../host');

/** The functions of a script by name, each with its body, and what stands outside of them. */
function partsOf(file: string): { functions: Map<string, string>; rest: string } {
  const functions = new Map<string, string>();
  const text = readFileSync(join(host, file), 'utf8').replaceAll(/^\s*#(?! include).*$/gm, '');
  const rest = text.replaceAll(
    /^([a-z_]+)\(\) (\{.*\}$|[{(][^\n]*\n[\s\S]*?^[})])/gm,
    (_, name: string, body: string) => {
      functions.set(name, body);
      return '';
    },
  );
  return { functions, rest };
}

const library = readdirSync(join(host, 'library')).map((file) => `library/${file}`);
const home = new Map(
  library.flatMap((file) => [...partsOf(file).functions.keys()].map((name) => [name, file] as const)),
);

/** Where bash looks for a command: at a line's start, behind an operator or a keyword, and as the work of a step. */
const command = String.raw`(?:^\s*|[;&|!{]\s+|\(\s*|\b(?:if|while|until|then|do|else|step \S+|safely)\s+)`;

function called(text: string, known: Iterable<string>): string[] {
  return [...known].filter((name) => new RegExp(`${command}${name}(?=[\\s;)&|]|$)`, 'm').test(text));
}

/** Functions of the library that an operation can come to, and that none of its parts defines. */
function missing(operation: string): string[] {
  const own = partsOf(`${operation}.sh`);
  const included = [...own.rest.matchAll(/^# include (\S+)$/gm)].map(([, file = '']) => file);
  const bodies = new Map([...included.flatMap((file) => [...partsOf(file).functions]), ...own.functions]);
  const reached = new Set<string>();
  const open = [own.rest, ...own.functions.values()];
  for (let text = open.pop(); text !== undefined; text = open.pop()) {
    for (const name of called(text, home.keys())) {
      if (reached.has(name)) continue;
      reached.add(name);
      open.push(bodies.get(name) ?? '');
    }
  }
  return [...reached].filter((name) => !bodies.has(name)).map((name) => `${name} of ${home.get(name)}`);
}

// Bash has no linker: a part that was not included is a "command not found" on the host.
describe('a host operation includes each part of the library that it comes to', () => {
  test.each([...hostOperations, 'units/boot', 'units/check'])('%s', (operation) => {
    expect(home.size).toBeGreaterThan(50);
    expect(missing(operation)).toEqual([]);
  });
});
