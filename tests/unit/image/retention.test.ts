import { describe, expect, test } from '@jest/globals';
import type { ImageFacts } from '../../../src/image/image.ts';
import { findOrphans, planRetention, type Rules } from '../../../src/image/retention.ts';

const now = Date.parse('2026-11-23T12:00:00Z');

/** An image by its day, with `*` where it is golden, and its state where that is not available: `2026-11-20* failed`. */
function imageOf(text: string): ImageFacts {
  const [, day = '', star = '', state = 'available'] = /^(\S{10})(\*?)(?: (\w+))?$/.exec(text) ?? [];
  const created = Date.parse(`${day}T00:00:00Z`);
  return {
    ...{ id: `ami-${day}`, name: day, state, why: '', created, instance: '', release: '', operation: '' },
    ...{ golden: star === '*', snapshots: [], tags: {} },
    root: { device: '/dev/xvda', sizeGiB: 20 },
  };
}

interface Case {
  readonly images: readonly string[];
  readonly rules?: Partial<Rules>;
  readonly used?: Readonly<Record<string, string>>;
  readonly untold?: readonly string[];
}

function fatesOf({ images, rules, used = {}, untold = [] }: Case): Record<string, string> {
  const users = new Map(Object.entries(used).map(([day, by]) => [`ami-${day}`, by]));
  const known = { images: images.map(imageOf), usage: { users, untold }, now };
  const fates = planRetention({ ...known, rules: { last: 1, months: 0, ...rules } });
  return Object.fromEntries(
    fates.map(({ image, stays, why }) => [image.name, `${stays ? 'stays' : 'goes'}: ${why}`]),
  );
}

const goes = 'goes: it is older than the last 1, and not the one of its month';

describe('of the images of an environment', () => {
  test.each<[string, Case, Record<string, string>]>([
    [
      'the last ones stay, however they were listed',
      { images: ['2026-11-20', '2026-11-22', '2026-11-21'], rules: { last: 2 } },
      {
        '2026-11-22': 'stays: it is one of the last 2',
        '2026-11-21': 'stays: it is one of the last 2',
        '2026-11-20': 'goes: it is older than the last 2, and not the one of its month',
      },
    ],
    [
      'the last golden one stays, and an earlier one does not for that',
      { images: ['2026-11-22', '2026-11-02*', '2026-11-01*'] },
      {
        '2026-11-22': 'stays: it is one of the last 1',
        '2026-11-02': 'stays: it is the last golden one',
        '2026-11-01': goes,
      },
    ],
    [
      'one of each month stays, a golden one before a newer one, and none of before the months',
      {
        images: ['2026-11-22*', '2026-10-30', '2026-10-03*', '2026-09-30', '2026-09-29', '2026-08-30'],
        rules: { months: 3 },
      },
      {
        '2026-11-22': 'stays: it is the last golden one',
        '2026-10-30': goes,
        '2026-10-03': 'stays: it is the one of 2026-10',
        '2026-09-30': 'stays: it is the one of 2026-09',
        '2026-09-29': goes,
        '2026-08-30': goes,
      },
    ],
    [
      'months are counted over the turn of the year',
      { images: ['2026-11-22*', '2025-12-31', '2025-11-30'], rules: { months: 12 } },
      {
        '2026-11-22': 'stays: it is the last golden one',
        '2025-12-31': 'stays: it is the one of 2025-12',
        '2025-11-30': goes,
      },
    ],
    [
      'what is used stays, whatever it is',
      {
        images: ['2026-11-22*', '2026-10-02', '2026-10-01 disabled'],
        used: { '2026-10-02': 'the instance i-1', '2026-10-01': 'the launch template web, version 3' },
      },
      {
        '2026-11-22': 'stays: it is the last golden one',
        '2026-10-02': 'stays: the instance i-1 uses it',
        '2026-10-01': 'stays: the launch template web, version 3 uses it',
      },
    ],
    [
      'what came to nothing goes, and counts for none; what is being made stays',
      { images: ['2026-11-23 pending', '2026-11-22 failed', '2026-11-21', '2026-11-20 invalid'] },
      {
        '2026-11-23': 'stays: it is being made',
        '2026-11-22': 'goes: it is failed',
        '2026-11-21': 'stays: it is one of the last 1',
        '2026-11-20': 'goes: it is invalid',
      },
    ],
    [
      'none goes where a launch template may use it',
      { images: ['2026-11-22', '2026-11-21'], untold: ['the launch template web, version 1'] },
      {
        '2026-11-22': 'stays: it is one of the last 1',
        '2026-11-21':
          'stays: the launch template web, version 1 may use it: it names its image by a parameter',
      },
    ],
    [
      'a golden one that failed is no last golden one',
      {
        images: ['2026-11-22', '2026-11-21* failed', '2026-11-20*'],
      },
      {
        '2026-11-22': 'stays: it is one of the last 1',
        '2026-11-21': 'goes: it is failed',
        '2026-11-20': 'stays: it is the last golden one',
      },
    ],
  ])('%s', (_, given, expected) => {
    expect(fatesOf(given)).toEqual(expected);
  });
});

test('a snapshot that no image stands on goes once it is an hour old', () => {
  const snapshot = (id: string, age: number) => ({ id, started: now - age, tags: {} });
  const found = findOrphans([snapshot('old', 3_600_000), snapshot('young', 3_599_999)], now);
  expect(found.map(({ id }) => id)).toEqual(['old']);
});
