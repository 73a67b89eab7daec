import * as z from 'zod/mini';

const sha256 = z.string().check(z.regex(/^[0-9a-f]{64}$/));
const count = z.int().check(z.minimum(0));

/** Bytes as they are stored, or as they were before they were packed. */
const bytes = z.object({ size: count, sha256 });

/** An archive of files: the shared ones, or the live release's. */
const archive = (name: string) =>
  z.nullable(
    z.object({
      object: z.string().check(z.regex(new RegExp(`^${name}\\.tar\\.(zst|gz)$`))),
      count,
      raw: bytes,
      packed: bytes,
    }),
  );

const database = z.object({
  /** As `data.databases` of understudy.yml names it. */
  name: z.string(),
  object: z.string().check(z.regex(/^database-\d+\.sqlite\.(zst|gz)$/)),
  journal_mode: z.string(),
  page_size: count,
  pages: count,
  user_version: z.int(),
  /** SHA-256 of its schema, as the host reckons it. */
  schema: z.string(),
  /** Rows by table. */
  tables: z.record(z.string(), count),
  /** The greatest value of each column that `data.newest` names, as `table.column`. */
  newest: z.prefault(z.record(z.string(), z.union([z.string(), z.number(), z.null()])), {}),
  /** Null where a key points at no table: of such keys sqlite3 cannot tell. */
  foreign_key_violations: z.nullable(count),
  raw: bytes,
  packed: bytes,
});

const manifest = z.object({
  schema: z.literal(1),
  app: z.string(),
  environment: z.string(),
  tier: z.enum(['daily', 'weekly', 'monthly']),
  operation: z.string(),
  instance: z.string(),
  /** The live release and its commit; empty when none was live. */
  release: z.string(),
  commit: z.string(),
  /** ms since the epoch, by the host's clock; `copied`: the state of the data is that of this moment. */
  started: z.number(),
  copied: z.number(),
  ended: z.number(),
  sqlite: z.string(),
  databases: z.array(database),
  files: z.prefault(archive('files'), null),
  code: z.prefault(archive('code'), null),
  /** The longest time that the copying may have kept a writer waiting. */
  hold_ms: z.number(),
  phases: z.prefault(z.array(z.object({ name: z.string(), ms: z.number() })), []),
});

/** What a backup says of itself, all of it taken from the copy; written last, it commits the backup. */
export type Manifest = z.infer<typeof manifest>;

/** @throws Error whose message says what is not as it should be */
export function parseManifest(text: string): Manifest {
  const parsed = z.safeParse(manifest, JSON.parse(text));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Error(
    `${issue?.path.join('.') || 'the manifest'}: ${issue?.message ?? 'is not as it should be'}`,
  );
}

/** An object that a manifest promises, with its bytes as they are stored. */
export interface Promised {
  readonly object: string;
  readonly size: number;
  readonly sha256: string;
}

export function promisedBy({ databases, files, code }: Manifest): Promised[] {
  const parts = [...databases, files, code].filter((part) => part !== null);
  return parts.map(({ object, packed }) => ({ object, ...packed }));
}

/** Sizes in bytes and rows, all databases together. */
export function totalsOf(backup: Manifest): { raw: number; packed: number; rows: number } {
  const parts = [...backup.databases, backup.files, backup.code].filter((part) => part !== null);
  return {
    raw: parts.reduce((sum, { raw }) => sum + raw.size, 0),
    packed: parts.reduce((sum, { packed }) => sum + packed.size, 0),
    rows: backup.databases
      .flatMap(({ tables }) => Object.values(tables))
      .reduce((sum, rows) => sum + rows, 0),
  };
}
