import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { jsonSchemaFile, jsonSchemaText } from '../../../src/config/json-schema.ts';

const root = join(import.meta.dirname, '../../..');

test('the schema for editors is the one that errors come from: npm run schema', () => {
  expect(readFileSync(join(root, jsonSchemaFile), 'utf8')).toBe(jsonSchemaText());
});

test('it says something of every key, and shows an example', () => {
  const keys = keysIn(JSON.parse(jsonSchemaText()) as Node);
  expect(keys.length).toBeGreaterThan(25);
  expect(keys.filter(({ schema }) => !schema.description || !schema.examples?.length)).toEqual([]);
});

test('it refuses what it does not know', () => {
  const maps = keysIn(JSON.parse(jsonSchemaText()) as Node).filter(({ schema }) => schema.properties);
  expect(maps.filter(({ schema }) => schema.additionalProperties !== false)).toEqual([]);
});

interface Node {
  readonly description?: string;
  readonly examples?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Node>>;
  readonly additionalProperties?: Node | false;
  readonly items?: Node;
}

function keysIn(schema: Node): { key: string; schema: Node }[] {
  const inner = [schema.additionalProperties || undefined, schema.items].flatMap((each) =>
    each ? keysIn(each) : [],
  );
  const own = Object.entries(schema.properties ?? {});
  return [...own.flatMap(([key, each]) => [{ key, schema: each }, ...keysIn(each)]), ...inner];
}
