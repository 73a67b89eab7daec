import { describe, expect, test } from '@jest/globals';
import type { CheckAnswer } from '../../../src/health/answer.ts';
import { describeAnswer, placeOf } from '../../../src/health/verdict.ts';

describe('what a check answered, in words', () => {
  test.each<[CheckAnswer, string]>([
    [
      { where: 'public', path: '/health', ok: true, status: 200, type: 'application/json', ms: 12 },
      '/health answered 200 application/json in 12 ms.',
    ],
    [
      {
        ...{
          where: 'rehearsal',
          path: '/upload',
          ok: false,
          status: 500,
          type: 'text/html; charset=utf-8',
          ms: 9,
        },
        ...{ problem: 'content type is text/html, not application/json', body: '<!doctype html>' },
      },
      '/upload answered 500 text/html; charset=utf-8 in 9 ms: content type is text/html, not application/json. It began: <!doctype html>',
    ],
    [
      { where: 'public', path: '/', ok: false, status: null, type: null, problem: 'no answer in 5 s' },
      '/ did not answer: no answer in 5 s.',
    ],
    [
      { where: 'public', path: '/', ok: false, status: 204, type: '' },
      '/ answered 204 without a content type: not as promised.',
    ],
  ])('%j', (answer, words) => {
    expect(describeAnswer(answer)).toBe(words);
  });

  test.each(['rehearsal', 'probe', 'public', 'old'])('%s is told as a place', (where) => {
    expect(placeOf(where)).toMatch(/^the /);
  });

  test('a place that is not known is told as it is', () => {
    expect(placeOf('moon')).toBe('moon');
  });
});
