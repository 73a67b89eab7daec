import { describe, expect, test } from '@jest/globals';
import type { Met } from '../../../bench/load.ts';
import { peers } from '../../../bench/peers/host.ts';
import { countCalls, secondsUntilKnown } from '../../../bench/rows/deploy.ts';
import { type Exchanged, lossFigure, waitFigure } from '../../../bench/rows/losses.ts';
import type { RecordedCall } from '../../../rehearsal/gateway/record.ts';

const call = (second: number, action: string, resource = '*'): RecordedCall => ({
  ...{ time: new Date(second * 1000).toISOString(), service: 'ssm', action, resource },
  ...{ principal: 'role/bench-staging-ci', status: 200 },
});

describe('the calls of a deploy', () => {
  const calls = [
    call(0, 'SendCommand', 'document/bench-probe'),
    call(1, 'ListCommandInvocations'),
    call(2, 'DescribeDocument'),
    call(2.2, 'SendCommand', 'document/bench-deploy'),
    call(3, 'ListCommandInvocations'),
    call(9, 'ListCommandInvocations'),
    call(10, 'PutObject'),
  ];

  test('its time is from before it was sent until the poll that told its end', () => {
    expect(secondsUntilKnown(calls)).toBe(7);
  });

  test('are counted by name, the most frequent first', () => {
    expect(countCalls(calls)).toBe(
      'ListCommandInvocations 3, SendCommand 2, DescribeDocument 1, PutObject 1',
    );
  });
});

const met: Met = {
  ...{ samples: [], requests: 6_000, perSecond: 220, lost: 0 },
  ...{ longestMs: 40, p99BeforeMs: 9, longestBeforeMs: 20 },
};

const exchanged = (more: Partial<Exchanged>, seen: Partial<Met> = {}): Exchanged => ({
  ...{ label: 'overlap, an app that loads in 5 s', switch: 'overlap', loadSeconds: 5, exchanges: 2 },
  ...{ exchanged: [0, 1], met: { ...met, ...seen } },
  ...more,
});

describe('losses', () => {
  const four = (seen: Partial<Met> = {}) => [
    exchanged({}),
    exchanged({}),
    exchanged({}),
    exchanged({}, seen),
  ];

  test('none of enough requests holds', () => {
    expect(lossFigure(four(), [])).toMatchObject({ measured: '0', holds: true });
  });

  test.each<[string, Partial<Met>]>([
    ['one request is lost', { lost: 1 }],
    ['too few were sent', { requests: 100 }],
    ['they were sent too slowly', { perSecond: 190 }],
  ])('do not hold where %s', (_, seen) => {
    expect(lossFigure(four(seen), []).holds).toBe(false);
  });

  test('are told of each exchange by others', () => {
    const [one] = peers;
    const label = one?.label ?? '';
    const others = [exchanged({ label, switch: 'peer', exchanges: 1 }, { lost: 1_200 })];
    expect(lossFigure(four(), others).bars.find((bar) => bar.label === label)).toMatchObject({
      value: 1_200,
      kind: 'peer',
    });
  });
});

describe('the longest wait', () => {
  test('by overlap is held against the p99 before', () => {
    expect(waitFigure(exchanged({}), [])).toMatchObject({ must: '≤ 0.04 s', holds: true });
    expect(waitFigure(exchanged({}, { longestMs: 46 }), []).holds).toBe(false);
  });

  test('by pause is held against the load time, and says what is in it', () => {
    const figure = waitFigure(exchanged({ switch: 'pause' }, { longestMs: 12_000 }), []);
    expect(figure).toMatchObject({ must: '≤ 6.00 s', holds: false });
    expect(figure.note).toContain('let users in unchecked');
  });
});
