import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { type HostState, readState } from '../../../src/command/result-line.ts';
import { afterTakingBack, isRefused, partByAgents, readFleet } from '../../../src/operation/fleet.ts';
import type { Held } from '../../../src/operation/hold.ts';
import { conclude, type Judged } from '../../../src/operation/judge.ts';
import { fromHost, type InstanceOutcome } from '../../../src/operation/outcome.ts';
import type { Report } from '../../../src/operation/report.ts';
import type { Told } from '../../../src/operation/summary.ts';
import { takeBackWhenPartial } from '../../../src/operation/take-back.ts';
import { Fleet, operation } from './fleet.ts';

beforeEach(() => {
  delete process.env['GITHUB_STATE'];
  jest.spyOn(process.stdout, 'write').mockReturnValue(true);
});
afterEach(() => {
  jest.restoreAllMocks();
});

const line = { schema: 1, action: 'deploy', operation: operation.id } as const;

function outcome(instance: string, result: string, reason: string, more: object = {}): Told {
  const told = { ...line, result, reason, sentence: `${reason}.`, release: 'n'.repeat(12), ...more };
  return { ...fromHost(told as Parameters<typeof fromHost>[0], instance, 'isso'), more: undefined };
}
const took = outcome('i-1', 'done', 'deployed');
const broken = outcome('i-2', 'reverted', 'check-failed');
const atWork: InstanceOutcome = { ...outcome('i-3', 'unknown', 'no-result'), open: true };

describe('who takes part', () => {
  const target = (id: string, online = true) => ({
    ...{ id, tags: {} },
    agent: { online, status: online ? 'Online' : 'ConnectionLost', version: '' },
  });
  const state = readState(
    `UNDERSTUDY_RESULT ${JSON.stringify({ ...line, result: 'done', reason: 'probed' })}`,
  ) as HostState;
  const states = new Map([['i-1', state]]);

  test('are those that told their state; the others are accounted for, as many as may fail', () => {
    const fleet = readFleet([target('i-1'), target('i-2', false), target('i-3')], states, 'isso', 2);
    expect(fleet.present).toEqual(['i-1']);
    expect(fleet.absent).toMatchObject([
      { instance: 'i-2', result: 'refused', reason: 'offline', open: false },
      { instance: 'i-3', result: 'refused', reason: 'offline' },
    ]);
    expect(fleet.absent.map(({ sentence }) => sentence)).toEqual([
      expect.stringContaining('not connected (ConnectionLost), so nothing was sent to it'),
      expect.stringContaining('did not tell its state, so nothing was sent to it'),
    ]);
  });

  test('are, where nobody is asked, those whose agents are connected', () => {
    const fleet = partByAgents([target('i-1'), target('i-2', false)], 'isso');
    expect(fleet.present).toEqual(['i-1']);
    expect(fleet.absent).toMatchObject([
      { instance: 'i-2', result: 'refused', reason: 'offline', open: false },
    ]);
  });

  test.each([
    ['more are silent than may fail', [target('i-1'), target('i-2')], states, 0],
    ['nobody answers', [target('i-2')], new Map<string, HostState>(), 5],
  ])('is nobody where %s', (_, targets, told, mayFail) => {
    expect(() => readFleet(targets, told, 'isso', mayFail)).toThrow(
      expect.objectContaining({ reason: 'never-ran', outcome: 'refused', instance: 'i-2' }),
    );
  });
});

describe('a fleet refuses a release', () => {
  test.each([
    ['when more did not take it than may fail', [took, broken], 0, true],
    ['not when fewer did not', [took, broken], 1, false],
    ['not for one that may still be at work', [took, atWork], 0, false],
    ['by what cannot be told any more, too', [took, { ...atWork, open: false }], 0, true],
    ['not when it was live already', [took, outcome('i-2', 'unchanged', 'already-live')], 0, false],
  ])('%s', (_, outcomes, mayFail, refused) => {
    expect(isRefused(outcomes, mayFail)).toBe(refused);
  });
});

describe('an instance that was to go back', () => {
  test.each([
    ['went', outcome('i-1', 'done', 'deployed', { release: 'o'.repeat(12) }), 'reverted', 'fleet-refused'],
    ['stays, its data having changed', outcome('i-1', 'refused', 'data-changed'), 'done', 'deployed'],
    ['stays, the one before not starting', outcome('i-1', 'reverted', 'start-failed'), 'done', 'deployed'],
    ['failed on the way', outcome('i-1', 'failed', 'start-failed'), 'failed', 'start-failed'],
    ['cannot be told of', { ...outcome('i-1', 'unknown', 'no-result'), open: true }, 'unknown', 'no-result'],
  ])('%s', (_, back, result, reason) => {
    const after = afterTakingBack(took, back, 'isso');
    expect(after).toMatchObject({ result, reason, open: back.open });
    expect(after.sentence).toContain(back.sentence);
  });
});

describe('an instance whose release degraded while it was watched', () => {
  const cause = { reason: 'degraded', why: 'after 2 min it was not well any more' } as const;

  test.each([
    ['went back', outcome('i-1', 'done', 'deployed', { release: 'o'.repeat(12) }), 'reverted', 'degraded'],
    ['stays: never told as well', outcome('i-1', 'refused', 'data-changed'), 'failed', 'degraded'],
    ['cannot be told of', { ...outcome('i-1', 'unknown', 'no-result'), open: true }, 'unknown', 'no-result'],
  ])('%s', (_, back, result, reason) => {
    const after = afterTakingBack(took, back, 'isso', cause);
    expect(after).toMatchObject({ result, reason, met: true });
    expect(after.sentence).toContain(back.sentence);
  });
});

describe('taking back', () => {
  const release = (digit: string) => digit.repeat(64);
  const report = (): Report => ({ title: '', started: 0, facts: [], instances: [], known: {} });
  const live = [
    { instance: 'i-1', commit: '', release: release('a') },
    { instance: 'i-2', commit: '', release: release('b') },
  ];
  const order = {
    parameters: { release: release('c'), fence: '1', excerpts: 'off' },
    delivery: 120,
    timeout: 900,
  };

  async function takeBack(
    instances: readonly Told[],
    {
      partial = 'take-back' as const,
      before = live,
      fleet = new Fleet(),
    }: {
      partial?: 'take-back' | 'keep';
      before?: typeof live;
      fleet?: Fleet;
    } = {},
  ): Promise<{ judged: Judged; asked: readonly string[]; left: readonly object[] }> {
    const left: object[] = [];
    const work = {
      ...{ services: fleet.services, operation, checks: [] },
      ...{ instances: instances.map(({ instance }) => instance), release: { id: release('c'), commit: '' } },
    };
    const { signal } = new AbortController();
    const leave: Held['leave'] = (more) => left.push(more);
    const held: Held = {
      fence: 1,
      signal,
      onSent: () => {},
      settled: () => {},
      confirm: async () => {},
      requireTime: () => {},
      leave,
    };
    const first = conclude(instances, 'isso', report());
    const judged = await takeBackWhenPartial(work, first, { live: before, partial, order }, report(), held);
    return { judged, asked: fleet.asked, left };
  }

  test('is an operation of its own, which post would look after, under the lease of the first', async () => {
    const fleet = new Fleet();
    const id = '42-100-1-take-back-staging';
    fleet.answers.set('deploy', () => ({ operation: id, result: 'done', reason: 'deployed', healthy: true }));
    const { judged, asked, left } = await takeBack([took, broken], { fleet });
    expect(asked).toEqual(['send deploy']);
    expect(left).toMatchObject([{ operation: { id }, instances: ['i-1'] }]);
    expect(judged.tookBack).toBe(true);
    expect(judged.result).toMatchObject({ result: 'reverted', reason: 'check-failed', met: true });
    expect(judged.instances).toMatchObject([
      { instance: 'i-1', reason: 'fleet-refused' },
      { instance: 'i-2', reason: 'check-failed' },
    ]);
  });

  test('is not done where the configuration says keep: two releases run, and it is told', async () => {
    const { judged, asked } = await takeBack([took, broken], { partial: 'keep' });
    expect(asked).toEqual([]);
    expect(judged.result).toMatchObject({ result: 'failed', reason: 'check-failed' });
    expect(judged.result.sentence).toContain('the environment now runs two releases');
    expect(judged.instances[0]).toMatchObject({ result: 'done' });
    expect(judged.instances[0]?.sentence).toContain('`partial: keep`');
  });

  test('cannot be done where nothing was live before', async () => {
    const { judged, asked } = await takeBack([took, broken], { before: [] });
    expect(asked).toEqual([]);
    expect(judged.result).toMatchObject({ result: 'failed' });
    expect(judged.instances[0]?.sentence).toContain('no release was live here before');
  });

  test('that cannot even be sent leaves the release where it is', async () => {
    const fleet = new Fleet();
    const refusal = { name: 'AccessDeniedException', $metadata: { httpStatusCode: 400 } };
    fleet.refuses('deploy', Object.assign(new Error('not authorized'), refusal));
    const { judged } = await takeBack([took, broken], { fleet });
    expect(judged).toMatchObject({ result: { result: 'failed' }, open: false });
    expect(judged.instances[0]).toMatchObject({ result: 'done' });
    expect(judged.instances[0]?.sentence).toContain('could not be taken back. not authorized');
  });

  test('is nothing to do when all took it', async () => {
    const { judged, asked } = await takeBack([took, outcome('i-2', 'done', 'deployed')]);
    expect(asked).toEqual([]);
    expect(judged.result).toMatchObject({ result: 'done' });
  });
});
