import { expect, test } from '@jest/globals';
import { degradation } from '../../../src/promotion/bake.ts';

const release = 'a'.repeat(64);
const span = { release, from: 1, until: 61, seconds: 60, minutes: 1 };
const well = {
  live: 'a'.repeat(12),
  digest: release,
  healthy: true,
  soak: { ...span, ended: 'live' as const },
};

test.each([
  ['well', {}, undefined],
  ['well, and not yet in the log', { soak: { ...span, ended: 'none' as const } }, undefined],
  ['sick', { healthy: false }, 'it does not answer its checks as promised'],
  [
    'restarted',
    { soak: { ...span, ended: 'restart' as const } },
    'it was restarted, by itself or by somebody',
  ],
  [
    'another',
    { live: 'b'.repeat(12), digest: 'b'.repeat(64) },
    'release bbbbbbbbbbbb is live there, not aaaaaaaaaaaa',
  ],
])('a release that is watched: %s', (_, change, expected) => {
  expect(degradation({ ...well, ...change }, release)).toBe(expected);
});
