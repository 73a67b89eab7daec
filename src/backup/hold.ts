import { sentenceOf } from '../action/errors.ts';
import { inBytes, inSeconds } from '../action/log.ts';
import type { Bucket } from '../aws/bucket.ts';
import { readCommitted } from './confirm.ts';
import type { Manifest } from './manifest.ts';
import { listBackups, type Place } from './place.ts';

/** As the host's own trial does, half as much again: what holds a writer varies with the disk's other work. */
const margin = 1.5;

const later = 'the host measures it before it copies, and refuses what is too long';

/** How long a backup may keep writers waiting, in one line, before it begins. That it cannot be told keeps nobody from it. */
export async function foretellHold(
  bucket: Pick<Bucket, 'name' | 'list' | 'read' | 'describe'>,
  { app, environment }: Pick<Place, 'app' | 'environment'>,
): Promise<string> {
  try {
    const [newest] = await listBackups(bucket, app, environment);
    if (!newest) return `not known before the first backup: ${later}`;
    const found = await readCommitted(bucket, newest.key, newest);
    return found.confirmed ? describeHold(found.manifest) : `not known, ${later}: ${found.problem}`;
  } catch (error) {
    return `not known, ${later}: ${sentenceOf(error)}`;
  }
}

/** By the newest backup: how long it held writers, and of which databases. */
export function describeHold({ databases, hold_ms: held }: Manifest): string {
  const waited = databases.filter(({ journal_mode }) => journal_mode !== 'wal');
  if (waited.length === 0) return 'nobody waits: in the newest backup every database has a WAL';
  const names = waited.map(({ name, raw }) => `${name} (${inBytes(raw.size)})`).join(', ');
  return `writers of ${names} wait for up to about ${inSeconds(held * margin)}, for it has a rollback journal; in the newest backup it was ${inSeconds(held)}`;
}
