import { expect, test } from '@jest/globals';
import { noteIn, tellsOf } from '../../../src/promotion/notes.ts';

const told = {
  ...{ environment: 'production', result: 'done', sentence: 'It is live.', release: 'a'.repeat(64) },
  ...{ runUrl: 'https://github.com/acme/isso/actions/runs/1', time: '2026-11-23T12:00:00.000Z' },
};

test('the notes of a release tell of its promotion once, however often it was tried, and keep all else', () => {
  const refused = noteIn('What is new.\r\n', { ...told, result: 'reverted', sentence: 'It was sick.' });
  const done = noteIn(refused, told);
  expect(refused).toContain('**production: reverted**');
  expect(done).toBe(
    'What is new.\n\n<!-- understudy: production -->\n**production: done**, 2026-11-23T12:00:00.000Z: It is live. Release `aaaaaaaaaaaa`, [run](https://github.com/acme/isso/actions/runs/1).\n<!-- /understudy -->\n',
  );
  expect([refused, done].map((notes) => tellsOf(notes, 'production'))).toEqual([false, true]);
  expect(tellsOf(done, 'europe')).toBe(false);
  const two = noteIn(done, { ...told, environment: 'europe' });
  expect(two.match(/<!-- understudy: /g)).toHaveLength(2);
  expect(noteIn('', told)).toMatch(/^<!-- understudy: production -->/);
});
