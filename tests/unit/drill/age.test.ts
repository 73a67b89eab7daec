import { describe, expect, test } from '@jest/globals';
import { ageProblem, timeProblem } from '../../../src/drill/age.ts';
import { keyOf, manifestOf, night } from '../backup/stored.ts';

const hour = 3_600_000;
const promise = 36 * hour;
const good = { key: keyOf(manifestOf()), manifest: manifestOf(), committed: night() + 2000 };

describe('the times of a backup', () => {
  test('are right when S3, key and manifest agree', () => {
    expect(timeProblem(good, good.committed + 90 * 24 * hour)).toBeUndefined();
    expect(timeProblem(good, good.committed)).toBeUndefined();
  });

  test.each<[string, Partial<typeof good>, number, string]>([
    [
      'of an age below zero',
      {},
      good.committed - 2000,
      'S3 took its manifest at 2026-11-23T02:00:02.000Z, which is still to come.',
    ],
    [
      'named a day too early',
      { key: keyOf(manifestOf(), night(-1)) },
      good.committed,
      'Its key says 2026-11-22T02:00:00.000Z, and its manifest that it began at 2026-11-23T02:00:00.000Z: they are 24 h apart.',
    ],
    [
      'with data of tomorrow',
      { manifest: { ...manifestOf(), copied: night(1) } },
      good.committed,
      'Its data is of 2026-11-24T02:00:00.000Z, after S3 took it at 2026-11-23T02:00:02.000Z.',
    ],
    [
      'without a time',
      { key: 'backups/isso/staging/daily/x-1/manifest.json' },
      good.committed,
      'does not say',
    ],
  ])('are red: %s', (_, change, now, problem) => {
    expect(timeProblem({ ...good, ...change }, now)).toContain(problem);
  });
});

describe('the newest backup', () => {
  test('is as young as promised', () => {
    expect(ageProblem(good, good.committed + promise, promise)).toBeUndefined();
  });

  test('is older than promised', () => {
    expect(ageProblem(good, good.committed + promise + 1000, promise)).toBe(
      'The newest backup was committed 36 h ago, at 2026-11-23T02:00:02.000Z; understudy.yml promises one each 36 h (proof).',
    );
  });
});
