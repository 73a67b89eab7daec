import type { Manifest } from './manifest.ts';

/** The rows of a table, now and in an earlier backup; undefined where it was not there. */
export interface TableGrowth {
  readonly database: string;
  readonly table: string;
  readonly rows: number | undefined;
  readonly before: number | undefined;
}

/** Every table of two backups, in the order of databases and names. */
export function compareTables(now: Manifest, before: Manifest | undefined): TableGrowth[] {
  const names = new Set([...now.databases, ...(before?.databases ?? [])].map(({ name }) => name));
  return [...names].flatMap((name) => {
    const [tables, earlier] = [tablesOf(now, name), tablesOf(before, name)];
    const all = [...new Set([...tables.keys(), ...earlier.keys()])].sort();
    return all.map((table) => ({
      ...{ database: name, table, rows: tables.get(table), before: earlier.get(table) },
    }));
  });
}

function tablesOf(backup: Manifest | undefined, name: string): Map<string, number> {
  return new Map(Object.entries(backup?.databases.find((one) => one.name === name)?.tables ?? {}));
}

/** `+12`, `-3`, `same`, `new` or `gone`. */
export function describeGrowth({ rows, before }: Pick<TableGrowth, 'rows' | 'before'>): string {
  if (rows === undefined) return 'gone';
  if (before === undefined) return 'new';
  if (rows === before) return 'same';
  const change = rows - before;
  return `${change > 0 ? '+' : '−'}${Math.abs(change).toLocaleString('en')}`;
}
