import * as z from 'zod/mini';
import { type Bucket, toJson } from '../aws/bucket.ts';
import { compactTime } from '../aws/time.ts';
import { level } from '../command/details.ts';

const receipt = z.object({
  schema: z.literal(1),
  app: z.string(),
  environment: z.string(),
  operation: z.string(),
  run: z.string(),
  /** ISO 8601, by S3's clock. */
  drilled: z.string(),
  verdict: z.enum(['verified', 'backup-bad', 'drill-could-not-run', 'control-passed']),
  where: z.enum(['runner', 'drill-host']),
  /** How far the drill was to come, and how far it came; -1 where not even level 0 passed. */
  level: z.object({ asked: z.int(), reached: z.int() }),
  /** The key of the newest manifest; null where there was none. */
  backup: z.nullable(z.string()),
  /** The key of the newest manifest that passed, which may be an older one; null where none did. */
  restorable: z.nullable(z.string()),
  levels: z.array(level),
  control: z.nullable(z.enum(['refused', 'passed', 'could-not-run'])),
  /** What would be lost if the app were lost now: the age of the newest data, and of what that is made, in ms. */
  rpo: z.nullable(
    z.object({ ms: z.number(), phases: z.array(z.object({ name: z.string(), ms: z.number() })) }),
  ),
  /** What bringing it back takes, as far as the drill went, in ms. */
  rto: z.object({ ms: z.number(), phases: z.array(z.object({ name: z.string(), ms: z.number() })) }),
  /** Bytes of the backup, unpacked and packed. */
  size: z.nullable(z.object({ raw: z.number(), packed: z.number() })),
});

/** A proof that is never changed: what a drill saw of a backup. */
export type DrillReceipt = z.infer<typeof receipt>;

const folderOf = ({ app, environment }: Pick<DrillReceipt, 'app' | 'environment'>): string =>
  `drills/${app}/${environment}/`;

/** Writes the receipt of a drill, which nothing overwrites. Gives its key. */
export async function writeDrill(
  bucket: Pick<Bucket, 'create' | 'read'>,
  drill: DrillReceipt,
): Promise<string> {
  const bytes = toJson(drill);
  for (let time = Date.parse(drill.drilled); ; time += 1000) {
    const key = `${folderOf(drill)}${compactTime(time)}.json`;
    if ((await bucket.create(key, bytes)) !== undefined) return key;
    // Taken by us, an answer lost; or by another drill in the same second.
    const there = await bucket.read(key);
    if (there?.bytes.equals(bytes)) return key;
  }
}

/** The newest receipts, the oldest of them first; one that cannot be read is left out. */
export async function readDrills(
  bucket: Pick<Bucket, 'list' | 'read'>,
  place: Pick<DrillReceipt, 'app' | 'environment'>,
  most = 30,
): Promise<DrillReceipt[]> {
  const listed = await bucket.list(folderOf(place));
  const keys = listed.map(({ key }) => key).filter((key) => key.endsWith('.json'));
  const stored = await Promise.all(keys.slice(-most).map((key) => bucket.read(key)));
  return stored.flatMap((one) => {
    const parsed = z.safeParse(receipt, parseJson(one?.bytes.toString('utf8') ?? ''));
    return parsed.success ? [parsed.data] : [];
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
