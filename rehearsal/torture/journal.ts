/** The lines of a deploy's journal, in their order: where a fault can strike, and what must come of a death there. */

export type Manner = 'pause' | 'overlap';

/** A line of the journal: a step that is about to be taken, or a fact that was kept in the middle of one. */
export interface Point {
  readonly step: string;
  readonly fact?: string;
}

const pausing = [
  ...['lock', 'room', 'download', 'unpack', 'prepare', 'backup', 'copy', 'rehearse-migrate', 'rehearse'],
  ...['schema', 'hold', 'hold:held', 'hold:kept', 'migrate', 'migrate:migrating', 'migrate:migrated'],
  ...['switch', 'switch:answered', 'switch:exposed', 'check', 'check:checked', 'current', 'watch', 'prune'],
];
const overlapping = pausing.filter((point) => !point.startsWith('hold') && point !== 'switch:answered');

/** All points of a deploy that switches so, first to last. */
export function pointsOf(manner: Manner): readonly Point[] {
  return (manner === 'pause' ? pausing : overlapping).map(pointOf);
}

export function pointOf(name: string): Point {
  const [step = '', fact] = name.split(':');
  return fact === undefined ? { step } : { step, fact };
}

/** Not a line, but all steps one after the other, in one deploy. */
export const eachInTurn: Point = { step: 'each step in turn' };

export function nameOf({ step, fact }: Point): string {
  return fact === undefined ? step : `${step}, ${fact}`;
}

/** Whether a deploy that has come to `point` has come to `other`. */
function isPast(point: Point, other: string): boolean {
  const order = pausing.map((name) => nameOf(pointOf(name)));
  return order.indexOf(nameOf(point)) >= order.indexOf(nameOf(pointOf(other)));
}

/** What must stand on a host in the end, and what must be told of it. */
export interface Expected {
  readonly result: string;
  readonly reason: string | RegExp;
  readonly live: 'old' | 'new';
  /** Whether a user may have met the new release. */
  readonly met: boolean;
  /** Whose migration the database has seen. */
  readonly data: 'old' | 'new';
  readonly says: string | RegExp;
}

export const deployed: Expected = {
  ...{ result: 'done', reason: 'deployed', live: 'new', met: true, data: 'new' },
  says: / is live in place of /,
};

/** Nothing was changed: it was refused in time. */
export function refused(reason: string, says: Expected['says']): Expected {
  return { result: 'refused', reason, live: 'old', met: false, data: 'old', says };
}

/** What must come of an operation that ended at a point without a chance to do anything about it. */
export function afterDeath(manner: Manner, point: Point, reason = 'interrupted'): Expected {
  if (isPast(point, 'watch')) return { ...deployed, says: 'finished by recovery' };
  const met = isPast(point, 'switch:exposed');
  // By pause the data goes back as long as no user can have met the new release; by overlap it never does.
  const stays = manner === 'pause' ? met : isPast(point, 'migrate:migrated');
  const says = `The operation died in step ${point.step}.`;
  return { result: 'reverted', reason, live: 'old', met, data: stays ? 'new' : 'old', says };
}

/** A request to stop, while a step is about to be taken: heard before the switch, and never after it. */
export function afterCancel(_: Manner, point: Point): Expected {
  if (isPast(point, 'switch')) return deployed;
  const says = /^Cancelled on request/;
  return { result: 'reverted', reason: 'cancelled', live: 'old', met: false, data: 'old', says };
}
