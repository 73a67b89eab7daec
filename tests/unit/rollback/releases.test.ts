import { describe, expect, test } from '@jest/globals';
import type { HostState } from '../../../src/command/result-line.ts';
import type { Told } from '../../../src/ledger/read.ts';
import { chooseEarlier, leftBehind, listEarlier, readReleaseWish } from '../../../src/rollback/releases.ts';

const id = (digit: string): string => digit.repeat(64);
const short = (digit: string): string => digit.repeat(12);

const entry = (action: string, release: string | undefined, previous: string, result = 'done'): Told => ({
  ...{
    action,
    result,
    run: '',
    time: '',
    seconds: 1,
    steps: {},
    instances: previous === '' ? [] : [{ previous: short(previous) }],
  },
  ...(release !== undefined && { release: id(release) }),
});

const host = (...kept: readonly (readonly [string, boolean])[]): HostState =>
  ({
    kept: kept.map(([digit, fits], index) => ({
      release: id(digit),
      commit: 'c',
      deployed: 100 - index,
      fits,
    })),
  }) as unknown as HostState;

test.each<[string, readonly Told[], readonly string[]]>([
  [
    'a release that was gone back from is left',
    [entry('deploy', 'b', 'a'), entry('rollback-release', 'a', 'b')],
    ['b'],
  ],
  ['not when that failed', [entry('rollback-release', 'a', 'b', 'reverted')], []],
  ['deployed again, it is no more', [entry('rollback-release', 'a', 'b'), entry('deploy', 'b', 'a')], []],
  [
    'gone to by name, it is no more',
    [entry('rollback-release', 'a', 'b'), entry('rollback-release', 'b', 'a')],
    ['a'],
  ],
  ['a re-run that finds it done says so, too', [entry('rollback-release', 'a', 'b', 'unchanged')], ['b']],
  ['data alone leaves no release', [entry('rollback-data', undefined, 'a')], []],
  ['data with its code leaves the one that was live', [entry('rollback-data', 'a', 'b')], ['b']],
])('%s', (_, oldestFirst, left) => {
  expect([...leftBehind(oldestFirst.toReversed(), new Map())]).toEqual(left.map(short));
});

test('a host that went back last says so where the ledger does not: its run died', () => {
  const line = { schema: 1, action: 'rollback', operation: 'x', result: 'done', reason: 'rolled-back' };
  const state = {
    about: { state: 'ended', result: { ...line, previous: short('b') } },
  } as unknown as HostState;
  expect([...leftBehind([], new Map([['i-1', state]]))]).toEqual([short('b')]);
});

describe('of what the hosts keep', () => {
  const left = new Set([short('c')]);
  const states = new Map([['i-1', host(['c', true], ['b', true], ['a', true])]]);

  test.each([
    [undefined, 'b'],
    ['previous', 'b'],
    ['previous-2', 'a'],
    ['previous-3', undefined],
    [short('c'), 'c'],
    [id('a'), 'a'],
    [short('d'), undefined],
  ])('%s is %s', (to, wanted) => {
    const chosen = chooseEarlier(listEarlier(states, left), readReleaseWish(to));
    expect(chosen?.release).toBe(wanted && id(wanted));
  });

  test('only what all keep is there, and fits only where it fits on all', () => {
    const two = new Map([...states, ['i-2', host(['a', false], ['c', true])]]);
    expect(listEarlier(two, left).map(({ release, fits }) => [release, fits])).toEqual([
      [id('c'), true],
      [id('a'), false],
    ]);
  });
});

test.each(['previous-1', 'previous-5', 'latest', 'ABCDEF012345', 'a'.repeat(13)])('%s is refused', (to) => {
  expect(() => readReleaseWish(to)).toThrow('It must be previous');
});
