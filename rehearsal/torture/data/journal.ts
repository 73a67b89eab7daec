/** The lines of the journal of a backup and of a restore, in their order, and what must come of a death at each. */
import { nameOf, type Point, pointOf } from '../journal.ts';

export type Operation = 'backup' | 'restore';
export const operations: readonly Operation[] = ['backup', 'restore'];

const lines: Readonly<Record<Operation, readonly string[]>> = {
  backup: [
    ...[
      'lock',
      'lock:tier',
      'sources',
      'room',
      'hold',
      'copy',
      'copy:copied',
      'copy:hold-0',
      'pack',
      'manifest',
    ],
    ...['upload', 'upload:put', 'commit', 'commit:committing', 'commit:committed', 'keep', 'prune'],
  ],
  restore: [
    ...['lock', 'request', 'fits', 'room', 'fetch', 'integrity', 'content', 'code', 'ready'],
    ...['copy', 'copy:tier', 'copy:hold-0', 'stop', 'stop:workers-stopped', 'stop:held'],
    ...['exchange', 'exchange:aside', 'exchange:migrating', 'exchange:moved', 'exchange:installed'],
    ...['start', 'start:answered', 'start:exposed', 'check', 'check:checked', 'settle'],
  ],
};

/** Facts that a restore keeps while it puts the old set back, because the app did not start on the backup. */
export const undoing = ['start:data-back', 'start:undoing', 'start:cleared'].map(pointOf);

/** All points of one, first to last, but `first` before them. */
export function eachPoint(operation: Operation, first: string): readonly Point[] {
  return [first, ...lines[operation].filter((name) => name !== first)].map(pointOf);
}

export function eachStep(operation: Operation, first: string): readonly Point[] {
  return eachPoint(operation, first).filter(({ fact }) => fact === undefined);
}

/** What must be told in the end. */
export interface Outcome {
  readonly result: string;
  readonly reason: string;
  /** Whether it came to its end: a backup is committed, or the restored one is in place. Else nothing of it is there. */
  readonly done: boolean;
  readonly says: string | RegExp;
}

export const wellEnded: Readonly<Record<Operation, Outcome>> = {
  backup: { result: 'done', reason: 'backed-up', done: true, says: / stored in shop-backups/ },
  restore: { result: 'done', reason: 'restored', done: true, says: / is in place: / },
};

/** From here on it is carried to its end. */
const carried: Readonly<Record<Operation, string>> = {
  backup: 'commit:committing',
  restore: 'exchange:installed',
};

function isPast(operation: Operation, point: Point, other: string): boolean {
  const order = lines[operation].map((name) => nameOf(pointOf(name)));
  return order.indexOf(nameOf(point)) >= order.indexOf(nameOf(pointOf(other)));
}

/** What must come of one that ended at a point without a chance to do anything about it. */
export function afterDeath(operation: Operation, point: Point): Outcome {
  if (isPast(operation, point, carried[operation]))
    return { ...wellEnded[operation], says: 'finished by recovery' };
  const died = { reason: 'interrupted', done: false };
  if (operation === 'backup')
    return { ...died, result: 'failed', says: `died in step ${point.step}, and nothing` };
  if (!isPast(operation, point, 'stop:held'))
    return { ...died, result: 'failed', says: `died in step ${point.step}. Nothing was changed.` };
  return { ...died, result: 'reverted', says: / serves and is healthy\.$/ };
}
