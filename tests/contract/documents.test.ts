import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parse } from 'yaml';
import { parseConfig } from '../../src/config/parse.ts';

const infra = join(import.meta.dirname, '../../infra');

interface Parameter {
  readonly type: string;
  readonly allowedPattern?: string;
  readonly default?: string;
}

interface Content {
  readonly schemaVersion: string;
  readonly parameters: Readonly<Record<string, Parameter>>;
  readonly mainSteps: readonly {
    readonly action: string;
    readonly inputs: { readonly runCommand: readonly string[]; readonly timeoutSeconds?: string };
  }[];
}

interface Template {
  readonly Resources: Readonly<
    Record<string, { readonly Type: string; readonly Properties: { readonly Content: Content } }>
  >;
}

const template = parse(readFileSync(join(infra, 'documents.yaml'), 'utf8'), {
  logLevel: 'error',
}) as Template;
const documents = Object.entries(template.Resources)
  .filter(([, { Type }]) => Type === 'AWS::SSM::Document')
  .map(([name, { Properties }]) => [name, Properties.Content] as const);
const parameters = documents.flatMap(([name, { parameters: all }]) =>
  Object.entries(all).map(([key, parameter]) => [`${name}.${key}`, parameter] as const),
);

/** All that a shell reads, and all that it splits words at, and what no ASCII reader expects. */
const readByShells = `'"\`$\\;&|<>(){}[]*?~!#%=^ \t\n\r\0\u00a0\u2028é`.split('');

describe('the host documents', () => {
  test('are found', () => {
    expect(documents.length).toBeGreaterThanOrEqual(3);
    expect(parameters.length).toBeGreaterThan(12);
  });

  test.each(documents)('%s is below the 64 KB of SSM', (_, content) => {
    expect(Buffer.byteLength(JSON.stringify(content))).toBeLessThan(65_536);
  });

  test.each(documents)(
    '%s pastes each parameter once, in single quotes, before anything else',
    (_, content) => {
      const lines = content.mainSteps
        .flatMap(({ inputs }) => inputs.runCommand)
        .join('\n')
        .split('\n');
      const names = Object.keys(content.parameters);
      expect(lines.slice(0, 2)).toEqual(['#!/bin/bash', 'set -euo pipefail']);
      expect(lines.slice(2, 2 + names.length).sort()).toEqual(
        names.map((name) => `${name}='{{ ${name} }}'`).sort(),
      );
      expect(lines.slice(2 + names.length).filter((line) => /\{\{/.test(line))).toEqual([]);
    },
  );

  test.each(documents)('%s is one bash step of schema 2.2', (_, content) => {
    expect(content.schemaVersion).toBe('2.2');
    expect(content.mainSteps.map(({ action }) => action)).toEqual(['aws:runShellScript']);
  });
});

describe('no parameter can say anything to a shell', () => {
  const shapes = parameters.map(
    ([where, { allowedPattern = '' }]) => [where, new RegExp(allowedPattern)] as const,
  );

  test.each(parameters)('%s is a String whose pattern is anchored and admits its default', (_, parameter) => {
    expect(parameter.type).toBe('String');
    expect(parameter.allowedPattern).toMatch(/^\^.+\$$/);
    // An anchor binds tighter than a bar: ^a|b$ lets anything start with a, and end with b.
    expect(parameter.allowedPattern?.replaceAll(/\([^()]*(\([^()]*\)[^()]*)*\)/g, '')).not.toContain('|');
    if (parameter.default !== undefined) {
      expect(parameter.default).toMatch(new RegExp(parameter.allowedPattern ?? '$.'));
    }
  });

  test.each(shapes)('%s admits no character that a shell reads, wherever it stands', (_, shape) => {
    const spoilt = fc
      .tuple(fc.stringMatching(shape), fc.constantFrom(...readByShells), fc.nat())
      .map(
        ([value, bad, at]) =>
          value.slice(0, at % (value.length + 1)) + bad + value.slice(at % (value.length + 1)),
      );
    fc.assert(
      fc.property(spoilt, (value) => !shape.test(value)),
      { numRuns: 500 },
    );
  });

  test.each(shapes)('%s admits no leading dash and no ..', (_, shape) => {
    fc.assert(
      fc.property(fc.stringMatching(shape), fc.nat(), (value, at) => {
        const middle = at % (value.length + 1);
        const dotted = `${value.slice(0, middle)}..${value.slice(middle)}`;
        return (
          !shape.test(`-${value}`) && !shape.test(dotted) && !value.startsWith('-') && !value.includes('..')
        );
      }),
      { numRuns: 200 },
    );
  });

  test.each(shapes)('%s admits plain words only, whatever it is asked', (_, shape) => {
    const anything = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: 'grapheme' }),
      fc.stringMatching(shape),
    );
    fc.assert(
      fc.property(anything, (value) => !shape.test(value) || /^[A-Za-z0-9][A-Za-z0-9,.-]*$/.test(value)),
      { numRuns: 500 },
    );
  });
});

describe('the templates', () => {
  const files = readdirSync(infra).filter((file) => file.endsWith('.yaml'));

  test('foundation.yaml is below the 51,200 bytes that CreateStack takes inline', () => {
    expect(statSync(join(infra, 'foundation.yaml')).size).toBeLessThanOrEqual(51_200);
  });

  test.each(files)('%s is below the 1 MB that CreateStack takes by URL', (file) => {
    expect(statSync(join(infra, file)).size).toBeLessThanOrEqual(1_000_000);
  });

  test('there is no template that nobody names', () => {
    expect(existsSync(join(infra, 'README.md'))).toBe(true);
    const readme = readFileSync(join(infra, 'README.md'), 'utf8');
    expect(files.filter((file) => !readme.includes(file))).toEqual([]);
  });
});

describe('the names of apps that prepare-host refuses', () => {
  const script = readFileSync(join(infra, '../host/prepare-host.sh'), 'utf8');
  const [, refused = ''] = /\$app =~ (\S+) \]\]/.exec(script) ?? [];
  const config = (app: string) => `app: ${app}
region: us-east-2
environments: {staging: {bucket: shop-understudy}}
service: {listen: 8080, user: shop}
checks: [{path: /}]
`;
  const words = [
    'shop',
    'understudy',
    'under',
    'alone',
    'probe',
    'rehearse',
    'worker',
    'pause',
    'env',
    'studyworker',
  ];
  const names = words.flatMap((word) => [word, ...words.map((other) => `${word}-${other}`)]);
  const legal = names.filter((name) => name.length <= 20);

  test.each(legal)('%s is one for both, or for neither', (name) => {
    const read = () => parseConfig(config(name), 'understudy.yml');
    if (new RegExp(refused).test(name)) expect(read).toThrow('The name of the app');
    else expect(read().app).toBe(name);
  });

  test('are some, and not all', () => {
    const some = legal.filter((name) => new RegExp(refused).test(name));
    expect(some.length).toBeGreaterThan(20);
    expect(some.length).toBeLessThan(legal.length);
  });
});
