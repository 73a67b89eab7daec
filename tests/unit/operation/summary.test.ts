import { describe, expect, test } from '@jest/globals';
import { resultOf } from '../../../src/action/result.ts';
import { instanceOutcome } from '../../../src/operation/outcome.ts';
import { describeUsers, summarise, type Told } from '../../../src/operation/summary.ts';

const reverted = resultOf({
  ...{
    outcome: 'reverted',
    reason: 'check-failed',
    sentence: 'rehearsal check /upload: content type is text/html.',
  },
});
const host: Told = {
  ...instanceOutcome('i-0abc', reverted, false),
  ...{ wait_ms: 0, down_ms: 0 },
  more: {
    steps: [
      { name: 'lock', started: 1000, ended: 1500, ok: true, note: '' },
      { name: 'rehearse', started: 1500, ended: null, ok: false, note: 'a note' },
    ],
    checks: [
      {
        ...{
          where: 'rehearsal',
          path: '/upload',
          ok: false,
          status: 500,
          type: 'text/html; charset=utf-8',
          ms: 9,
        },
        ...{ problem: 'content type is text/html, not application/json', body: '<!doctype html> | `x`' },
      },
    ],
    log: ['Traceback (most recent call last):', 'ValueError: ```'],
    parameters: { MAIL_KEY: 7, TOKEN: 2 },
  },
};
const account = { title: 'chatmrpt to staging', result: reverted, facts: [], instances: [host] };

describe('the summary of what was taken back', () => {
  const summary = summarise(account);

  test('names result, check, content type, first line of the body, and what to do next', () => {
    expect(summary).toContain(
      '## ↩️ chatmrpt to staging: reverted\n\n_the old state was put back, and seen healthy_',
    );
    expect(summary).toContain('/upload answered 500 text/html; charset=utf-8 in 9 ms');
    expect(summary).toContain('&lt;!doctype html&gt;');
    expect(summary).toContain('the rehearsal on a copy of the data, where no user meets it');
    expect(summary).toContain('**What to do next:** See what the check answered');
  });

  test('names the version of each parameter that it ran with', () => {
    expect(summary).toContain('**Versions of its parameters:** <code>MAIL&#95;KEY 7, TOKEN 2</code>');
  });

  test('shows each step as a bar, and one that never ended', () => {
    expect(summary).toMatch(/^✓ lock +█+/m);
    expect(summary).toMatch(/^✗ rehearse .+a note$/m);
  });

  test('shows the last lines of the log, which cannot leave their block', () => {
    expect(summary).toContain('````text\nTraceback (most recent call last):\nValueError: ```\n````');
  });

  test('keeps an answer inside its cell', () => {
    const row = summary.split('\n').find((line) => line.includes('/upload answered')) ?? '';
    expect(row.split('|')).toHaveLength(5);
    expect(row).not.toContain('`x`');
  });
});

test('a good summary shows no log, and nothing to do', () => {
  const done = resultOf({ outcome: 'done', reason: 'deployed' });
  const well: Told = {
    ...instanceOutcome('i-1', done, false),
    more: { steps: [], checks: [], log: ['x'], parameters: {} },
  };
  const summary = summarise({ ...account, result: done, instances: [well] });
  expect(summary).not.toContain('log');
  expect(summary).not.toContain('What to do');
});

describe('what users noticed', () => {
  const seen = (result: 'done' | 'reverted', more: object): Told => ({
    ...host,
    result,
    more: undefined,
    ...more,
  });
  test.each([
    [[seen('done', { wait_ms: 0, down_ms: 0 })], 'no request waited'],
    [[seen('done', { wait_ms: 14 }), seen('done', { wait_ms: 3400 })], 'requests waited at most 3.4 s'],
    [[seen('done', { down_ms: 900 })], 'the app was down for 900 ms'],
    [[seen('reverted', { wait_ms: 0, met: false })], 'no user met the new release; no request waited'],
    [
      [seen('reverted', { wait_ms: 20, met: true })],
      'users may have met the new release; requests waited at most 20 ms',
    ],
    [[instanceOutcome('i-1', reverted, false)], ''],
  ])('%#', (instances, words) => {
    expect(describeUsers(instances)).toBe(words);
  });
});
