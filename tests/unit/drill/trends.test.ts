import { describe, expect, test } from '@jest/globals';
import type { Manifest } from '../../../src/backup/manifest.ts';
import { findTrends, timeIn } from '../../../src/drill/trends.ts';
import { manifestOf, night } from '../backup/stored.ts';

type Database = Manifest['databases'][number];

const day = 86_400_000;
const before = manifestOf({}, night());

/** The backup of the next night, with this of its database. */
function nextNight(change: Partial<Database>): Manifest {
  const [database] = before.databases;
  if (!database) throw new Error('the manifest has no database');
  return manifestOf({ databases: [{ ...database, ...change }] }, night(1));
}

const rows = (comments: number) => ({ tables: { comments, threads: 7 } });
const trendsOf = (change: Partial<Database>, verified: Manifest | undefined = before) =>
  findTrends(nextNight(change), verified, 30 * day);

describe('what fails', () => {
  test.each<[string, Partial<Database>, string]>([
    ['a table that is gone', { tables: { comments: 1210 } }, 'comments.db: threads is gone; it had 7 rows.'],
    [
      'a table that is empty',
      { tables: { comments: 1210, threads: 0 } },
      'comments.db: threads is empty; it had 7 rows.',
    ],
    [
      'more than half of the rows lost',
      rows(599),
      'comments.db: comments has 599 rows, 50 % less than 1,200.',
    ],
    [
      'a newest row that is too old',
      { newest: { 'comments.created': '2026-10-20' } },
      'comments.db: the newest comments.created is 35 days older than the backup; 30 days are allowed (stale).',
    ],
    [
      'a newest row that went back',
      { newest: { 'comments.created': '2026-11-22 23:00:00' } },
      'comments.db: the newest comments.created is of 2026-11-22T23:00:00.000Z, and was of 2026-11-23T00:00:00.000Z in the last verified backup.',
    ],
  ])('%s', (_, change, what) => {
    expect(trendsOf({ raw: { size: 1, sha256: 'e'.repeat(64) }, ...change })).toContainEqual({
      ...{ fails: true, what },
    });
  });

  test('a database that is gone, by its tables', () => {
    const trends = findTrends({ ...nextNight({}), databases: [] }, before, 30 * day);
    expect(trends).toEqual([
      { fails: true, what: 'comments.db: comments is gone; it had 1,200 rows.' },
      { fails: true, what: 'comments.db: threads is gone; it had 7 rows.' },
    ]);
  });

  test('a newest row that is too old, also where nothing is there to compare with', () => {
    const trends = findTrends(
      nextNight({ newest: { 'comments.created': 1_500_000_000 } }),
      undefined,
      30 * day,
    );
    expect(trends).toMatchObject([{ fails: true }]);
  });
});

describe('what is told, and fails nothing', () => {
  test.each<[string, Partial<Database>, string]>([
    ['a fifth of the rows lost', rows(950), 'comments.db: comments has 950 rows, 21 % less than 1,200.'],
    ['half of the rows lost', rows(600), 'comments.db: comments has 600 rows, 50 % less than 1,200.'],
    [
      'nothing changed in a day',
      {},
      'comments.db has not changed in 24 h: the same size, rows and newest row.',
    ],
    [
      'another schema with the same user_version',
      { ...rows(1210), schema: '9'.repeat(64) },
      'comments.db has another schema than in the last verified backup, and the same user_version (3).',
    ],
    [
      'a newest row that tells no time',
      { ...rows(1210), newest: { 'comments.created': 'last Tuesday' } },
      'comments.db: comments.created is "last Tuesday", which tells no time.',
    ],
  ])('%s', (_, change, what) => {
    expect(trendsOf(change)).toEqual([{ fails: false, what }]);
  });
});

describe('what is as it should be', () => {
  test.each<[string, Partial<Database>]>([
    ['more rows', rows(1210)],
    ['a few rows less', rows(961)],
    ['another schema with another user_version', { ...rows(1210), schema: '9'.repeat(64), user_version: 4 }],
    ['a new table', { tables: { comments: 1210, threads: 7, votes: 0 } }],
    ['a newer row', { newest: { 'comments.created': '2026-11-24' } }],
    ['a table whose newest row is not known', { ...rows(1210), newest: { 'comments.created': null } }],
  ])('%s', (_, change) => {
    expect(trendsOf(change)).toEqual([]);
  });

  test('nothing changed within an hour', () => {
    expect(findTrends({ ...before, copied: before.copied + 3_600_000 }, before, 30 * day)).toEqual([]);
  });

  test('the first backup of all', () => {
    expect(findTrends(before, undefined, 30 * day)).toEqual([]);
  });

  test('a table that was empty before', () => {
    const empty = manifestOf(
      { databases: nextNight({ tables: { comments: 0, threads: 7 } }).databases },
      night(),
    );
    expect(findTrends(nextNight({ tables: { comments: 0, threads: 8 } }), empty, 30 * day)).toEqual([]);
  });
});

test.each<[string | number | null, number | undefined]>([
  [1_795_392_000.25, 1_795_392_000_250],
  ['1795392000', 1_795_392_000_000],
  [1_795_392_000_000, 1_795_392_000_000],
  ['2026-11-23', Date.UTC(2026, 10, 23)],
  ['2026-11-23 01:02:03', Date.UTC(2026, 10, 23, 1, 2, 3)],
  ['2026-11-23T01:02:03.5', Date.UTC(2026, 10, 23, 1, 2, 3, 500)],
  ['2026-11-23T01:02:03+01:00', Date.UTC(2026, 10, 23, 0, 2, 3)],
  [2026, undefined],
  ['never', undefined],
  ['', undefined],
  [null, undefined],
])('the time in %j', (value, time) => {
  expect(timeIn(value)).toBe(time);
});
