import { describe, expect, test } from '@jest/globals';
import { hostOperations } from '../../../src/document/compose.ts';
import { documentParameters, faultsInParameters } from '../../../src/document/parameters.ts';

const everywhere = {
  app: 'isso',
  environment: 'staging',
  operation: '42-1001-1-deploy-staging',
  timeout: '600',
};
const deploy = { ...everywhere, release: 'a'.repeat(64), fence: '7', excerpts: 'on' };

test('there are parameters for each host operation, and for no other', () => {
  expect(Object.keys(documentParameters).sort()).toEqual([...hostOperations].sort());
});

describe('what is sent', () => {
  test('may be what the document takes', () => {
    expect(faultsInParameters('deploy', deploy)).toEqual([]);
  });

  test('may leave out what has a default', () => {
    const { excerpts: _, timeout: __, ...rest } = deploy;
    expect(faultsInParameters('deploy', rest)).toEqual([]);
  });

  test('may not leave out what has none', () => {
    const { fence: _, ...rest } = deploy;
    expect(faultsInParameters('deploy', rest)).toEqual(['the parameter "fence" is missing']);
  });

  test('may hold nothing that the document does not know', () => {
    expect(faultsInParameters('probe', { ...everywhere, release: 'x', toString: 'y' })).toEqual([
      'probe takes no parameter "release"',
      'probe takes no parameter "toString"',
    ]);
  });

  test.each([
    ['app', "isso'; reboot; '"],
    ['app', 'isso\n'],
    ['app', '-rf'],
    ['release', 'A'.repeat(64)],
    ['release', `${'a'.repeat(64)}\n`],
    ['fence', '-1'],
    ['excerpts', 'off; on'],
    ['timeout', '0600'],
    ['operation', '../../etc/passwd'],
  ])('has no %s like %p', (key, value) => {
    expect(faultsInParameters('deploy', { ...deploy, [key]: value })).toEqual([
      expect.stringContaining(`the parameter "${key}" is ${JSON.stringify(value)}, which does not match`),
    ]);
  });
});
