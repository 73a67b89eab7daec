import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from '@jest/globals';

const root = join(import.meta.dirname, '../..');
const sources = globSync('{src,actions,bench,scripts,rehearsal,tests}/**/*.ts', { cwd: root });

/** What a file imports: relative ones as paths below the root, packages by name. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  const found = text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'(?<what>[^']+)'/g);
  return [...found].map(({ groups }) => {
    const what = groups?.['what'] ?? '';
    return what.startsWith('.') ? normalize(join(dirname(file), what)) : what;
  });
}

/** The imports of files below one folder that lead to what the pattern names, as `file → import`. */
function arrows(from: RegExp, to: RegExp): string[] {
  const files = sources.filter((file) => from.test(file));
  return files.flatMap((file) =>
    importsOf(file)
      .filter((what) => to.test(what))
      .map((what) => `${file} → ${what}`),
  );
}

describe('arrows point one way: actions → src/<concept> → src/aws | src/github | src/action', () => {
  test('the imports are read', () => {
    expect(arrows(/^src\/action\/run\.ts$/, /^@actions\/core$/)).toHaveLength(1);
    expect(arrows(/^src\//, /^src\//).length).toBeGreaterThan(10);
  });

  test('a concept never imports an action', () => {
    expect(arrows(/^src\//, /^actions\//)).toEqual([]);
  });

  test('what is shipped never imports the rehearsal, the scripts or the tests', () => {
    expect(arrows(/^(src|actions)\//, /^(bench|rehearsal|scripts|tests)\//)).toEqual([]);
  });

  test.each(['aws', 'github', 'action'])('src/%s never imports a concept', (name) => {
    const concept = /^src\/(?!aws\/|github\/|action\/)/;
    expect(arrows(new RegExp(`^src/${name}/`), concept)).toEqual([]);
  });

  test('an action never imports another', () => {
    const strays = arrows(/^actions\//, /^actions\//).filter((arrow) => {
      const [from, to] = arrow.split(' → ').map((file) => file.split('/')[1]);
      return from !== to;
    });
    expect(strays).toEqual([]);
  });

  test('src/action alone knows @actions/core', () => {
    expect(arrows(/^(src\/(?!action\/)|actions\/)/, /^@actions\/core$/)).toEqual([]);
  });

  test('src/github alone knows @actions/github', () => {
    expect(arrows(/^(src\/(?!github\/)|actions\/)/, /^@actions\/github$/)).toEqual([]);
  });
});

test('no room is called utils, helpers, common or misc', () => {
  const rooms = globSync('**/{utils,helpers,common,misc}{,.*}', {
    cwd: root,
    exclude: (path) => /(^|\/)(node_modules|\.git|dist)(\/|$)/.test(path),
  });
  expect(rooms).toEqual([]);
});
