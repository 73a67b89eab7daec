import { inSpan } from '../action/log.ts';
import { code, table } from '../action/summary.ts';
import { compareTables } from '../backup/growth.ts';
import { type Manifest, totalsOf } from '../backup/manifest.ts';

interface Then {
  readonly manifest: Manifest;
  /** By S3's clock, ms since the epoch. */
  readonly now: number;
  /** Rows that there are now; undefined where that is not known. */
  readonly rows: number | undefined;
}

/** What going back to a backup would lose, in a sentence: minutes, and rows as far as they are known. */
export function describeLoss({ manifest, now, rows }: Then): string {
  const then = totalsOf(manifest).rows;
  const since = `Lost with it: what was written since ${iso(manifest.copied)}, ${inSpan(Math.max(0, now - manifest.copied))} ago`;
  const held = `the backup holds ${count(then)}`;
  if (rows === undefined) return `${since}; ${held}.`;
  return `${since}; ${held}, and there are ${rows.toLocaleString('en')} now (${change(then - rows)}).`;
}

const iso = (ms: number): string => `${new Date(ms).toISOString().slice(0, 16)}Z`;
const count = (rows: number): string => `${rows.toLocaleString('en')} ${rows === 1 ? 'row' : 'rows'}`;

function change(rows: number): string {
  if (rows === 0) return 'as many';
  return rows < 0 ? `${count(-rows)} fewer` : `${count(rows)} more`;
}

/** Rows of each table whose number going back changes, in Markdown; empty when none does. */
export function describeRows(now: Manifest, then: Manifest): string {
  const several = now.databases.length > 1;
  const changed = compareTables(then, now).filter(({ rows, before }) => rows !== before);
  if (changed.length === 0) return '';
  const shown = (rows: number | undefined): string => rows?.toLocaleString('en') ?? 'no such table';
  return table(
    ['Table', 'Rows before', 'In the backup'],
    changed.map((one) => [
      code(several ? `${one.database}: ${one.table}` : one.table),
      shown(one.before),
      shown(one.rows),
    ]),
  );
}

/** Whether two states of the data have the same schemas: whatever runs on the one runs on the other. */
export function sameSchemas(a: Manifest, b: Manifest): boolean {
  const schemas = ({ databases }: Manifest) =>
    databases.map(({ name, schema }) => `${name} ${schema}`).sort();
  return schemas(a).join('\n') === schemas(b).join('\n');
}
