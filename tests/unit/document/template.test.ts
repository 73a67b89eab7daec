import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { hostOperations } from '../../../src/document/compose.ts';
import { unpack } from '../../../src/document/pack.ts';
import { content, templateFile, templateText } from '../../../src/document/template.ts';

const root = join(import.meta.dirname, '../../..');

/** As CloudFormation reads it: YAML 1.1, in which a bare `off` is false. */
const template = parse(templateText(), { version: '1.1', logLevel: 'error' });

test('the template of the documents is fresh: npm run documents', () => {
  expect(unpack(readFileSync(join(root, templateFile), 'utf8')) === unpack(templateText())).toBe(true);
});

describe.each([...hostOperations])('the document of %s', (operation) => {
  const resources: { Type: string; Properties: Record<string, unknown> }[] = Object.values(
    template.Resources,
  );
  const found = resources.filter(({ Properties }) => Properties['Name'] === `\${App}-${operation}`);

  test('is named after the app and the operation, and replaced by a new version', () => {
    expect(found.map(({ Type, Properties: { Content: _, ...rest } }) => [Type, rest])).toEqual([
      [
        'AWS::SSM::Document',
        {
          Name: `\${App}-${operation}`,
          DocumentType: 'Command',
          DocumentFormat: 'JSON',
          TargetType: '/AWS::EC2::Instance',
          UpdateMethod: 'NewVersion',
          Tags: [{ Key: 'App', Value: { Ref: 'App' } }],
        },
      ],
    ]);
  });

  test('leaves room in the 64 KB of SSM for the values of its parameters', () => {
    const { parameters } = content(operation);
    const longest = 300; // more than any pattern admits
    const values = Object.keys(parameters).length * longest;
    expect(Buffer.byteLength(JSON.stringify(content(operation))) + values).toBeLessThanOrEqual(64 * 1024);
  });

  test('reaches CloudFormation as it was composed, byte for byte', () => {
    expect(found[0]?.Properties['Content']).toEqual(content(operation));
  });
});

test('nothing but the names is substituted', () => {
  const tagged = templateText()
    .split('\n')
    .filter((line) => /^\s+\w+: !/.test(line));
  expect(tagged.map((line) => line.trim())).toEqual(
    hostOperations.map((operation) => `Name: !Sub \${App}-${operation}`),
  );
});
