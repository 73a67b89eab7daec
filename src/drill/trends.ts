import { inSpan } from '../action/log.ts';
import { compareTables, type TableGrowth } from '../backup/growth.ts';
import type { Manifest } from '../backup/manifest.ts';

/** Something that one would not expect of a backup's data. */
export interface Trend {
  readonly fails: boolean;
  /** In a sentence. */
  readonly what: string;
}

type Database = Manifest['databases'][number];

/** From these parts of a table's rows on, that it shrank is odd, and then too odd. */
const odd = 0.2;
const tooOdd = 0.5;

/** Two backups further apart than this are of two days: something should have changed. */
const dayMs = 20 * 3_600_000;

/**
 * What is odd about a backup's data (level 5): by itself, and against the last verified one. What was made of what is
 * there passes every level below; that it is not what should be there shows only here.
 * @param staleMs how old the newest row may be, where a column tells
 */
export function findTrends(now: Manifest, verified: Manifest | undefined, staleMs: number): Trend[] {
  const trends = now.databases.flatMap((database) => rowsTooOld(database, now.copied, staleMs));
  if (!verified) return trends;
  return [
    ...trends,
    ...compareTables(now, verified).flatMap(shrinking),
    ...now.databases.flatMap((database) => {
      const before = verified.databases.find(({ name }) => name === database.name);
      if (!before) return [];
      return [
        ...goneBack(database, before),
        ...standingStill(database, before, now.copied - verified.copied),
        ...otherSchema(database, before),
      ];
    }),
  ];
}

const failing = (what: string): Trend => ({ fails: true, what });
const warning = (what: string): Trend => ({ fails: false, what });

function shrinking({ database, table, rows, before = 0 }: TableGrowth): Trend[] {
  const name = `${database}: ${table}`;
  if (rows === undefined) return [failing(`${name} is gone; it had ${count(before)}.`)];
  if (before === 0) return [];
  if (rows === 0) return [failing(`${name} is empty; it had ${count(before)}.`)];
  const lost = (before - rows) / before;
  if (lost <= odd) return [];
  const what = `${name} has ${count(rows)}, ${Math.round(lost * 100)} % less than ${before.toLocaleString('en')}.`;
  return [lost > tooOdd ? failing(what) : warning(what)];
}

function rowsTooOld({ name, newest }: Database, copied: number, staleMs: number): Trend[] {
  const known = Object.entries(newest).flatMap(([column, value]): Trend[] => {
    if (value === null) return [];
    const time = timeIn(value);
    if (time === undefined)
      return [warning(`${name}: ${column} is ${JSON.stringify(value)}, which tells no time.`)];
    if (copied - time <= staleMs) return [];
    const age = `${inSpan(copied - time)} older than the backup`;
    return [failing(`${name}: the newest ${column} is ${age}; ${inSpan(staleMs)} are allowed (stale).`)];
  });
  return known;
}

/** A newest row that is older than it was: rows were lost, or an old file came back. */
function goneBack({ name, newest }: Database, before: Database): Trend[] {
  return Object.entries(newest).flatMap(([column, value]): Trend[] => {
    const [time, earlier] = [timeIn(value), timeIn(before.newest[column] ?? null)];
    if (time === undefined || earlier === undefined || time >= earlier) return [];
    return [
      failing(
        `${name}: the newest ${column} is of ${iso(time)}, and was of ${iso(earlier)} in the last verified backup.`,
      ),
    ];
  });
}

function standingStill(database: Database, before: Database, apartMs: number): Trend[] {
  const same = database.raw.size === before.raw.size && sameText(contentOf(database), contentOf(before));
  if (!same || apartMs < dayMs) return [];
  return [
    warning(`${database.name} has not changed in ${inSpan(apartMs)}: the same size, rows and newest row.`),
  ];
}

const contentOf = ({ tables, newest }: Database): readonly (readonly [string, unknown])[] =>
  [...Object.entries(tables), ...Object.entries(newest)].sort(([a], [b]) => a.localeCompare(b));

function otherSchema(database: Database, before: Database): Trend[] {
  if (database.schema === before.schema || database.user_version !== before.user_version) return [];
  return [
    warning(
      `${database.name} has another schema than in the last verified backup, and the same user_version (${database.user_version}).`,
    ),
  ];
}

/** A time as databases write it: seconds or milliseconds since the epoch, ISO 8601, or SQLite's own text, in UTC. */
export function timeIn(value: string | number | null): number | undefined {
  if (value === null || value === '') return undefined;
  const number = Number(value);
  if (!Number.isNaN(number)) {
    // A year, or a counter, is no time: 1e8 seconds are 1973.
    if (number < 1e8) return undefined;
    return number < 1e11 ? number * 1000 : number;
  }
  const text = String(value).trim();
  const local = /^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?$/.test(text);
  const time = Date.parse(local && text.length > 10 ? `${text.replace(' ', 'T')}Z` : text);
  return Number.isNaN(time) ? undefined : time;
}

const iso = (ms: number): string => new Date(ms).toISOString();
const count = (rows: number): string => `${rows.toLocaleString('en')} ${rows === 1 ? 'row' : 'rows'}`;
const sameText = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);
