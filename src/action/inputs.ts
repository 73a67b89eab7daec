import * as core from '@actions/core';
import type { InputDeclaration, InputsOf } from './declaration.ts';
import { ConfigurationError, messageOf } from './errors.ts';

/** Reads every declared input once, strictly: a wrong one is refused with its name and an example. */
export function readInputs<const Declared extends Readonly<Record<string, InputDeclaration>>>(
  declared: Declared,
  read: (name: string) => string = core.getInput,
): InputsOf<Declared> {
  const values = Object.entries(declared).map(([name, input]) => [name, readInput(name, input, read(name))]);
  return Object.fromEntries(values) as InputsOf<Declared>;
}

function readInput(name: string, input: InputDeclaration, given: string): unknown {
  const text = given.trim() || defaultOf(input);
  const how = `Example: ${name}: ${input.example}`;
  if (text === '') {
    if (input.required) throw new ConfigurationError({ where: `input ${name}`, what: 'It is missing.', how });
    return undefined;
  }
  try {
    return input.parse(text);
  } catch (cause) {
    throw new ConfigurationError({ where: `input ${name}`, what: messageOf(cause), how, cause });
  }
}

/** A default such as `${{ github.token }}` is filled by the runner; without a runner there is none. */
function defaultOf({ default: text = '' }: InputDeclaration): string {
  return text.includes('${{') ? '' : text;
}

/** A shown value: short, in quotes, on one line. */
function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

function matching(pattern: RegExp, expected: string): (text: string) => string {
  return (text) => {
    if (!pattern.test(text)) throw new Error(`It must be ${expected}, not ${quote(text)}.`);
    return text;
  };
}

function wholeNumber(text: string, least: number, most: number): number {
  const number = /^(0|[1-9]\d{0,5})$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw new Error(`It must be a whole number from ${least} to ${most}, not ${quote(text)}.`);
}

/** The strict parsers. Each takes a text that is not empty, and throws what it expected. */
export const parsers = {
  line: matching(/^[^\r\n]+$/, 'one line'),
  name: matching(/^[a-z][a-z0-9-]{1,19}$/, '2 to 20 small letters, digits or hyphens, a letter first'),
  digest: matching(/^[0-9a-f]{64}$/, 'a SHA-256 in 64 small hexadecimal digits'),
  role: matching(/^arn:aws(-[a-z]+)*:iam::\d{12}:role\/[\w+=,.@/-]+$/, 'the ARN of a role'),
  instance: matching(/^i-[0-9a-f]{8,17}$/, 'the id of an instance'),
  tag: matching(
    /^(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$/,
    'the name of a tag: letters, digits, dots, hyphens and slashes',
  ),
  image: matching(/^ami-[0-9a-f]{8,17}$/, 'the id of an AMI'),
  count: (text: string): number => wholeNumber(text, 0, 100),
  countOrAll: (text: string): number | 'all' => (text === 'all' ? text : wholeNumber(text, 1, 100)),
  days: (text: string): number => wholeNumber(text, 1, 3650),
  /** In seconds. */
  duration: (text: string): number => {
    const [, count = '', unit = ''] = /^([1-9]\d{0,4})([smh])$/.exec(text) ?? [];
    const seconds = Number(count) * ({ s: 1, m: 60, h: 3600 }[unit] ?? Number.NaN);
    if (seconds >= 60 && seconds <= 86_400) return seconds;
    throw new Error(`It must be a duration from 60s to 24h, not ${quote(text)}.`);
  },
  oneOf<const Choice extends string>(...choices: readonly Choice[]): (text: string) => Choice {
    return (text) => {
      const found = choices.find((choice) => choice === text);
      if (found === undefined)
        throw new Error(`It must be one of ${choices.join(', ')}, not ${quote(text)}.`);
      return found;
    };
  },
} as const;
