import { existsSync, readFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { actionFolders, pages, readManifest } from '../../scripts/tables.ts';
import type { ActionDeclaration } from '../../src/action/declaration.ts';

const root = join(import.meta.dirname, '../..');

/** What the code says in the words of action.yml. */
function asManifest({ inputs, outputs }: Pick<ActionDeclaration, 'inputs' | 'outputs'>): unknown {
  const said = Object.entries(inputs).map(([name, { description, required, default: value }]) => [
    name,
    { description, required, ...(value === undefined ? {} : { default: value }) },
  ]);
  const given = Object.entries(outputs).map(([name, { description }]) => [name, { description }]);
  return { inputs: Object.fromEntries(said), outputs: Object.fromEntries(given) };
}

describe('the actions', () => {
  test('are found', () => {
    expect(actionFolders().length).toBeGreaterThan(0);
  });
});

describe.each(actionFolders())('actions/%s', (name) => {
  const folder = join(root, 'actions', name);
  const manifest = readManifest(name);

  test('has what each action has', () => {
    const files = ['action.yml', 'README.md', 'main.ts', 'declaration.ts'];
    expect(files.filter((file) => !existsSync(join(folder, file)))).toEqual([]);
  });

  test('says the same in action.yml and in its code: inputs, defaults, outputs', async () => {
    const { declaration } = (await import(pathToFileURL(join(folder, 'declaration.ts')).href)) as {
      declaration: ActionDeclaration;
    };
    const { inputs = {}, outputs = {} } = manifest;
    expect({ inputs, outputs }).toEqual(asManifest(declaration));
    expect(manifest).toMatchObject({ name: declaration.name, description: declaration.description });
  });

  test('keeps the order of inputs and outputs, which readers see', async () => {
    const { declaration } = (await import(pathToFileURL(join(folder, 'declaration.ts')).href)) as {
      declaration: ActionDeclaration;
    };
    expect(Object.keys(manifest.inputs ?? {})).toEqual(Object.keys(declaration.inputs));
    expect(Object.keys(manifest.outputs ?? {})).toEqual(Object.keys(declaration.outputs));
  });

  test('has no input that is both required and defaulted', () => {
    const odd = Object.entries(manifest.inputs ?? {}).filter(
      ([, input]) => input.required && input.default !== undefined,
    );
    expect(odd).toEqual([]);
  });

  test('runs its own bundle on Node 24, main and post alike', () => {
    const { using, main, post = main } = manifest.runs;
    expect(using).toBe('node24');
    for (const path of [main, post]) {
      expect(normalize(join('actions', name, String(path)))).toBe(`dist/${name}/index.js`);
    }
    expect(existsSync(join(root, 'dist', name, 'index.js'))).toBe(true);
  });

  test('does nothing when its main is imported', () => {
    const main = readFileSync(join(folder, 'main.ts'), 'utf8');
    const floating = main.split('\n').filter((line) => /^(await\b|run\(|void\b|main\()/.test(line));
    expect(floating).toEqual([]);
    expect(main).toMatch(/^export (async )?(function|const) main\b/m);
  });
});

describe('the tables in the READMEs', () => {
  test.each(pages().map((page) => [page.path, page] as const))('are those of action.yml: %s', (_, page) => {
    expect(page.missing).toEqual([]);
    expect(page.now).toBe(page.wanted); // else: npm run tables
  });
});
