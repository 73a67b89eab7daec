import { describe, expect, test } from '@jest/globals';
import type { InputDeclaration } from '../../../src/action/declaration.ts';
import { parsers, readInputs } from '../../../src/action/inputs.ts';

const given = (values: Record<string, string>) => (name: string) => values[name] ?? '';
const input = (more: Partial<InputDeclaration<string>> = {}): InputDeclaration<string> => ({
  description: 'An input.',
  required: false,
  example: 'an example',
  parse: parsers.line,
  ...more,
});

describe('reading inputs', () => {
  test('gives each value by its parser, trimmed', () => {
    const declared = { archive: input({ required: true }), environment: input({ parse: parsers.name }) };
    expect(readInputs(declared, given({ archive: ' a.tar.gz\n', environment: 'staging' }))).toEqual({
      archive: 'a.tar.gz',
      environment: 'staging',
    });
  });

  test('refuses a required one that is missing, with its name and an example', () => {
    const read = () => readInputs({ archive: input({ required: true }) }, given({}));
    expect(read).toThrow('input archive: It is missing. Example: archive: an example');
  });

  test('takes the default when there is nothing, and leaves the others out', () => {
    const declared = { environment: input({ default: 'staging' }), 'role-arn': input() };
    expect(readInputs(declared, given({}))).toEqual({ environment: 'staging', 'role-arn': undefined });
  });

  test('never takes an expression that only the runner can fill for a value', () => {
    const declared = { token: input({ default: '${{ github.token }}' }) };
    expect(readInputs(declared, given({}))).toEqual({ token: undefined });
  });

  test('refuses garbage rather than taking the default', () => {
    const declared = { excerpts: input({ default: 'auto', parse: parsers.oneOf('auto', 'on', 'off') }) };
    const read = () => readInputs(declared, given({ excerpts: 'yes' }));
    expect(read).toThrow(
      'input excerpts: It must be one of auto, on, off, not "yes". Example: excerpts: an example',
    );
  });
});

describe('the parsers', () => {
  const digest = '0'.repeat(64);
  test.each([
    ['line', 'a b', true],
    ['line', 'a\nb', false],
    ['name', 'staging', true],
    ['name', 'Staging', false],
    ['name', 'a', false],
    ['name', `a${'b'.repeat(20)}`, false],
    ['name', '-x', false],
    ['digest', digest, true],
    ['digest', digest.slice(1), false],
    ['digest', `${digest.slice(1)}G`, false],
    ['digest', `${digest}\n`, false],
    ['role', 'arn:aws:iam::111122223333:role/isso-staging-ci', true],
    ['role', 'arn:aws-us-gov:iam::111122223333:role/path/x', true],
    ['role', 'arn:aws:iam::111122223333:user/x', false],
    ['role', 'isso-staging-ci', false],
  ] as const)('%s: %j is right: %s', (parser, text, right) => {
    const parse = () => parsers[parser](text);
    if (right) expect(parse()).toBe(text);
    else expect(parse).toThrow(/^It must be .+, not ".+"\.$/);
  });

  test.each([
    ['60s', 60],
    ['30m', 1800],
    ['24h', 86_400],
    ['59s', undefined],
    ['25h', undefined],
    ['60', undefined],
    ['1.5h', undefined],
    ['-1h', undefined],
  ])('duration: %j is %p seconds', (text, seconds) => {
    const parse = () => parsers.duration(text);
    if (seconds !== undefined) expect(parse()).toBe(seconds);
    else expect(parse).toThrow(/^It must be a duration from 60s to 24h, not ".+"\.$/);
  });

  test.each([
    ['count', '0', 0],
    ['count', '100', 100],
    ['count', '101', undefined],
    ['count', '007', undefined],
    ['countOrAll', 'all', 'all'],
    ['countOrAll', '1', 1],
    ['countOrAll', '0', undefined],
    ['days', '3650', 3650],
    ['days', '1e2', undefined],
  ] as const)('%s: %j is %p', (parser, text, number) => {
    const parse = () => parsers[parser](text);
    if (number !== undefined) expect(parse()).toBe(number);
    else expect(parse).toThrow(/^It must be a whole number from \d to \d+, not ".+"\.$/);
  });

  test('show no more than the beginning of a long value', () => {
    expect(() => parsers.digest('x'.repeat(5000))).toThrow(/^.{0,200}$/);
  });
});
