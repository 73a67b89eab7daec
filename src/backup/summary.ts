import { inBytes, inSeconds } from '../action/log.ts';
import { amounts, code, escapeMarkdown, table } from '../action/summary.ts';
import { compareTables, describeGrowth } from './growth.ts';
import { type Manifest, totalsOf } from './manifest.ts';
import type { ListedBackup } from './place.ts';

/** A backup to compare with. */
export interface Earlier {
  readonly key: string;
  /** Whether a drill has proven it. */
  readonly verified: boolean;
  readonly manifest: Manifest;
}

interface Stored {
  readonly key: string;
  readonly manifest: Manifest;
}

interface History {
  /** Every committed backup, the newest first. */
  readonly listed: readonly ListedBackup[];
  readonly earlier: Earlier | undefined;
}

/** What a confirmed backup holds, and how it stands to those before it, in Markdown. */
export function describeBackup({ key, manifest }: Stored, { listed, earlier }: History): string {
  const parts = [factsOf(key, manifest), databaseTable(manifest), rowTable(manifest, earlier)];
  const chart = growthChart(key, listed, earlier);
  if (chart) parts.push(`**Growth**, in packed bytes\n\n${chart}`);
  return parts.join('\n\n');
}

function factsOf(key: string, manifest: Manifest): string {
  const { raw, packed, rows } = totalsOf(manifest);
  const { files, code: release } = manifest;
  const held = [
    `${manifest.databases.length} ${manifest.databases.length === 1 ? 'database' : 'databases'}`,
    ...(files ? [`${files.count} shared files`] : []),
    ...(release ? [`the live release's ${release.count} files`] : []),
  ];
  const facts: [string, string][] = [
    ['Manifest', code(key)],
    ['State of', escapeMarkdown(new Date(manifest.copied).toISOString())],
    ['Holds', held.join(', ')],
    ['Size', `${inBytes(raw)}, packed ${inBytes(packed)}`],
    ['Rows', rows.toLocaleString('en')],
    ['Longest hold of a writer', inSeconds(manifest.hold_ms)],
  ];
  const [head = ['', ''], ...rest] = facts.map(([name, value]) => [`**${name}**`, value]);
  return table(head, rest);
}

function databaseTable({ databases }: Manifest): string {
  return table(
    ['Database', 'Size', 'Packed', 'Journal', 'Tables', 'Newest', 'Broken foreign keys'],
    databases.map((one) => [
      code(one.name),
      inBytes(one.raw.size),
      inBytes(one.packed.size),
      escapeMarkdown(one.journal_mode),
      String(Object.keys(one.tables).length),
      Object.entries(one.newest)
        .map(([column, value]) => escapeMarkdown(`${column} ${value ?? 'empty'}`))
        .join('<br>'),
      String(one.foreign_key_violations ?? 'cannot be told'),
    ]),
  );
}

function rowTable(manifest: Manifest, earlier: Earlier | undefined): string {
  const rows = compareTables(manifest, earlier?.manifest);
  const several = manifest.databases.length > 1;
  const lines = rows.map((one) => [
    code(several ? `${one.database}: ${one.table}` : one.table),
    one.rows?.toLocaleString('en') ?? '',
    ...(earlier ? [one.before?.toLocaleString('en') ?? '', describeGrowth(one)] : []),
  ]);
  const head = earlier ? ['Table', 'Rows', 'Then', 'Growth'] : ['Table', 'Rows'];
  const against = earlier
    ? `, against ${nameOf(earlier)} of ${new Date(earlier.manifest.copied).toISOString()}`
    : ': there is no earlier backup to compare with';
  return `**Rows**${escapeMarkdown(against)}\n\n${table(head, lines)}`;
}

const nameOf = ({ verified }: Earlier): string =>
  verified ? 'the last verified backup' : 'the backup before (none is verified yet)';

/** So many backups are drawn. */
const drawn = 14;

function growthChart(key: string, listed: readonly ListedBackup[], earlier: Earlier | undefined): string {
  const latest = listed.slice(0, drawn).toReversed();
  return amounts(
    latest.map((one) => ({
      name: `${new Date(one.committed).toISOString().slice(0, 16).replace('T', ' ')} ${one.tier.padEnd(7)}`,
      value: one.size,
      told: inBytes(one.size),
      ...(noteOf(one, key, earlier) && { note: noteOf(one, key, earlier) }),
    })),
  );
}

function noteOf(one: ListedBackup, key: string, earlier: Earlier | undefined): string {
  if (one.key === key) return 'this one';
  const compared = earlier?.manifest.operation === one.operation;
  return compared ? (earlier.verified ? 'verified' : 'the one before') : '';
}
