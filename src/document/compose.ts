import { readFileSync } from 'node:fs';
import { link } from './link.ts';

/** Operations that have a host script, in the order of the documents. */
export const hostOperations = [
  'deploy',
  'probe',
  'cancel',
  'prepare-host',
  'backup',
  'restore',
  'rollback',
  'retire',
] as const;
export type HostOperation = (typeof hostOperations)[number];

/** Of SSM's 64 KB, which a document and the values of its parameters share: what its content may take, in bytes. */
export const documentLimit = 60 * 1024;

const hostFolder = new URL('../../host/', import.meta.url);
// A document has 64 KB; why things are so is read in host/, not on the instance.
const comment = /^\s*#(?! (include|embed|shellcheck) )/;
const includeLine = /^# include (\S+)$/;
const embedLine = /^# embed (\S+) as ([a-z_]+)$/;

/**
 * One self-contained bash script: the parameters, each assigned once in single quotes, then the operation. In a host
 * script, `# include FILE` stands for that part of `host/`, `# embed FILE as FUNCTION` for a function that prints it;
 * comments, and functions of the parts that the operation never comes to, stay behind.
 *
 * @param parameters values by name, in order: a document's template gives `{{ name }}`, a test the real values
 * @throws when a value could leave its quotes, or a host script holds what SSM would take for a parameter
 */
export function compose(operation: HostOperation, parameters: Record<string, string>): string {
  return [
    '#!/bin/bash',
    'set -euo pipefail',
    ...Object.entries(parameters).map(([name, value]) => `${name}=${quote(value)}`),
    ...link(`${bodyOf(`${operation}.sh`).join('\n')}\n`)
      .split('\n')
      .flatMap(fill),
  ].join('\n');
}

function quote(value: string): string {
  if (/['\\\n]/.test(value))
    throw new Error(`A parameter's value may not hold a quote or a line break: ${value}`);
  return `'${value}'`;
}

function bodyOf(file: string): string[] {
  const [shebang, ...lines] = linesOf(file);
  if (shebang !== '#!/bin/bash') throw new Error(`host/${file} does not begin with #!/bin/bash`);
  return lines.filter((line) => !comment.test(line)).flatMap(include);
}

function include(line: string): string[] {
  const [, part] = includeLine.exec(line) ?? [];
  return part === undefined ? [line] : bodyOf(part);
}

function fill(line: string): string[] {
  const [, file, name] = embedLine.exec(line) ?? [];
  if (file === undefined || name === undefined) return [line];
  const end = `end_of_${name}`;
  return [`${name}() {`, `  cat <<'${end}'`, ...programOf(file), end, '}'];
}

/** A program of the host's own: as it is, or, where it is made of parts, with them. */
function programOf(file: string): string[] {
  const lines = linesOf(file);
  if (!lines.some((line) => includeLine.test(line))) return lines;
  return [
    '#!/bin/bash',
    ...link(`${bodyOf(file).join('\n')}\n`)
      .trimEnd()
      .split('\n'),
  ];
}

function linesOf(file: string): string[] {
  const text = readFileSync(new URL(file, hostFolder), 'utf8');
  if (text.includes('{{')) throw new Error(`host/${file} holds "{{", which SSM would take for a parameter`);
  return text.trimEnd().split('\n');
}

/** Functions of parts of `host/` as a script for a machine that is no host: `bash SCRIPT FUNCTION WORDS…`. */
export function composeLibrary(parts: readonly string[], functions: readonly string[]): string {
  const choose = `case \${1-} in\n${functions.join(' | ')}) "$@" || exit $? ;;\n*) exit 64 ;;\nesac\n`;
  const text = ['#!/bin/bash', 'set -euo pipefail', ...parts.flatMap(bodyOf), choose].join('\n');
  return link(text);
}
