import { describe, expect, test } from '@jest/globals';
import { readResultLine, readState, toHostResult } from '../../../src/command/result-line.ts';

const said = {
  ...{
    schema: 1,
    action: 'deploy',
    operation: '42-100-1-deploy-staging',
    result: 'done',
    reason: 'deployed',
  },
  ...{
    instance: 'i-1',
    release: '012345678901',
    previous: '',
    met: true,
    healthy: true,
    wait_ms: 3,
    down_ms: 0,
  },
  ...{ sentence: 'It is live.', details: 'a'.repeat(64) },
};
const line = (more: object = {}): string => `UNDERSTUDY_RESULT ${JSON.stringify({ ...said, ...more })}`;

describe('the result line', () => {
  test('is read from the first line', () => {
    expect(readResultLine(`${line()}\nmore\n`)).toEqual(said);
  });

  test('is found behind what a shell said before it', () => {
    expect(readResultLine(`warning: locale\n${line()}`)).toEqual(said);
  });

  test.each([
    ['no output', ''],
    ['another output', 'done'],
    ['a line that was cut at 2,500 characters', line({ sentence: 'x'.repeat(2400) }).slice(0, 2500)],
    ['a line in the middle of another', `echo ${line()}`],
    ['another schema', line({ schema: 2 })],
    ['a result that is not in the list', line({ result: 'great' })],
    ['a reason that is not in the list', line({ reason: 'because' })],
    ['a reason that every object has', line({ reason: 'constructor' })],
    ['a digest that is none', line({ details: '../../x' })],
    ['no JSON object', 'UNDERSTUDY_RESULT 7'],
    ['fields of other types', line({ met: 'yes' })],
  ])('is nothing when there is %s', (_, output) => {
    expect(readResultLine(output)).toBeUndefined();
  });

  test('may lack what a host without settings cannot tell', () => {
    const { schema, action, operation } = said;
    const told = { schema, action, operation, result: 'refused', reason: 'not-prepared', details: '' };
    expect(readResultLine(`UNDERSTUDY_RESULT ${JSON.stringify(told)}`)).toEqual(told);
  });
});

describe('the state that a probe tells', () => {
  const state = {
    live: '012345678901',
    commit: 'c'.repeat(40),
    healthy: true,
    fence: 7,
    socket: 'active',
    running: '',
  };

  test('is read with what it knows of an operation', () => {
    const about = { operation: said.operation, state: 'ended', step: 'prune', result: said };
    const read = readState(line({ action: 'probe', reason: 'probed', ...state, about }));
    expect(read).toMatchObject({
      live: '012345678901',
      commit: 'c'.repeat(40),
      running: '',
      about: { state: 'ended' },
    });
    expect(toHostResult(read?.about?.result)).toEqual(said);
  });

  test('may know of no operation', () => {
    expect(readState(line({ reason: 'probed', ...state, about: {} }))?.about).toEqual({});
  });

  test('is nothing when the operation is in a state that is not in the list', () => {
    expect(readState(line({ reason: 'probed', ...state, about: { state: 'fine' } }))).toBeUndefined();
  });
});
