import { describe, expect, test } from '@jest/globals';
import { compose, hostOperations } from '../../../src/document/compose.ts';
import { link } from '../../../src/document/link.ts';

describe('a script without what it never comes to', () => {
  test('keeps what its story calls, and what that calls', () => {
    const script = 'inner() { :; }\nouter() {\n  inner\n}\nnever() {\n  inner\n}\n\nouter\n';
    expect(link(script)).toBe('inner() { :; }\nouter() {\n  inner\n}\n\nouter\n');
  });

  test('keeps what is named in a variable, a trap or a test only', () => {
    const script = 'by_name() { :; }\nat_end() (\n  :\n)\nthen=by_name\ntrap at_end EXIT\n"$then"\n';
    expect(link(script)).toBe(script);
  });

  test('keeps no function that only calls itself', () => {
    expect(link('again() {\n  again\n}\n:\n')).toBe(':\n');
  });

  test('keeps each definition of a name, in order: the last one counts', () => {
    const script = 'refuse() { exit 1; }\nrefuse() { exit 2; }\nrefuse\n';
    expect(link(script)).toBe(script);
  });

  test('is refused where a function would take the next one along', () => {
    const script = 'one() { :; } # why\ntwo() {\n  :\n}\ntwo\n';
    expect(() => link(script)).toThrow('one of a host script does not end before two.');
  });

  test('leaves what stands outside of functions as it is', () => {
    const script = 'words="a\n  b"\ncat <<END\n}\nEND\ndeclare -A read=()\n';
    expect(link(script)).toBe(script);
  });
});

test.each(hostOperations)('%s has no function that nothing names', (operation) => {
  const script = compose(operation, {});
  const names = [...script.matchAll(/^([a-z_]+)\(\) /gm)].map(([, name = '']) => name);
  expect(names.length).toBeGreaterThan(5);
  expect(names.filter((name) => (script.match(new RegExp(`\\b${name}\\b`, 'g')) ?? []).length < 2)).toEqual(
    [],
  );
});
