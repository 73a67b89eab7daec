import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';

const root = join(import.meta.dirname, '../..');
const rows = readFileSync(join(root, 'docs/attacks.md'), 'utf8')
  .split('\n')
  .filter((line) => /^\| \d+ \|/.test(line))
  .map((line) => line.split('|').map((cell) => cell.trim()));

/** What a row names: files and titles of tests, as `[file, title]`. */
function testsOf(cell: string): [string, string][] {
  return cell.split('<br>').flatMap((part) => {
    const [file = '', titles = ''] = part.split(' › ');
    return titles.split('; ').map((title): [string, string] => [file.replaceAll('`', ''), title]);
  });
}

describe('each rule of docs/attacks.md is shown by tests that are there', () => {
  test('they are numbered without a gap', () => {
    expect(rows.length).toBeGreaterThanOrEqual(11);
    expect(rows.map(([, number]) => Number(number))).toEqual(rows.map((_, index) => index + 1));
  });

  test.each(rows.map(([, number = '', , shown = '']) => [number, shown]))('%s', (_, shown) => {
    const missing = testsOf(shown).filter(([file, title]) => {
      const text = readFileSync(join(root, file), 'utf8').replaceAll("\\'", "'");
      return title === '' || !['"', "'", '`'].some((quote) => text.includes(`${quote}${title}${quote}`));
    });
    expect(missing).toEqual([]);
  });
});
