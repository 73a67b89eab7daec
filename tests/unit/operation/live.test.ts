import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Reason } from '../../../src/action/reasons.ts';
import { type HostState, readState } from '../../../src/command/result-line.ts';
import { readBefore, readLive } from '../../../src/operation/live.ts';

beforeEach(() => {
  jest.spyOn(process.stdout, 'write').mockReturnValue(true);
});
afterEach(() => {
  jest.restoreAllMocks();
});

function told(instance: string, more: object): ReadonlyMap<string, HostState> {
  const line = { schema: 1, action: 'probe', operation: 'probe-1', instance };
  const state = readState(`UNDERSTUDY_RESULT ${JSON.stringify({ ...line, ...more })}`);
  if (!state) throw new Error('The test told no state.');
  return new Map([[instance, state]]);
}
const probed = { result: 'done', reason: 'probed' };

describe('what is live', () => {
  test('is what each host says', () => {
    const states = told('i-1', {
      ...probed,
      live: '012345678901',
      commit: 'c'.repeat(40),
      digest: 'd'.repeat(64),
      healthy: true,
    });
    expect(readLive(states, 'isso')).toEqual([
      { instance: 'i-1', commit: 'c'.repeat(40), release: 'd'.repeat(64) },
    ]);
  });

  test('is nothing on a host that was prepared and never deployed to', () => {
    expect(readLive(told('i-1', { ...probed, live: '' }), 'isso')).toEqual([]);
  });

  test.each<[Reason, string]>([
    ['not-prepared', '`isso-prepare-host`'],
    ['wrong-host', 'correct its tags'],
    ['drift', '`isso-prepare-host` with the new settings'],
  ])('is not told by a host that refuses as %s: what to do is that of the reason', (reason, todo) => {
    const states = told('i-1', { result: 'refused', reason, sentence: 'It is another machine.' });
    expect(() => readLive(states, 'isso')).toThrow(
      expect.objectContaining({
        ...{ reason, outcome: 'refused', todo: expect.stringContaining(todo) },
        message: 'i-1: It is another machine. Nothing was changed.',
      }),
    );
  });
});

describe('how the last operation ended', () => {
  const about = (result: string, reason: string) => ({
    state: 'ended',
    result: {
      ...{ schema: 1, action: 'deploy', operation: '42-99-1-deploy-staging', result, reason },
      sentence: 'The operation died in step switch. Release 012345678901 serves and is healthy.',
    },
  });

  test('is told where it did not end well: its run may never have heard', () => {
    const states = told('i-1', { ...probed, about: about('reverted', 'interrupted') });
    expect(readBefore(states)).toEqual([
      'i-1: 42-99-1-deploy-staging ended as reverted (interrupted). The operation died in step switch. Release 012345678901 serves and is healthy.',
    ]);
  });

  test.each([
    ['it ended well', { about: about('done', 'deployed') }],
    ['it is not known', { about: { state: 'unknown' } }],
    ['there was none', { about: {} }],
  ])('is not told where %s', (_, more) => {
    expect(readBefore(told('i-1', { ...probed, ...more }))).toEqual([]);
  });
});
