import { wildcard } from '../ground/wildcard.ts';

/** How a call may be made to go wrong. */
export const kinds = {
  throttle: 'refused as one too many, before anything is done',
  error: 'answered with a 500, before anything is done',
  denied: 'refused for lack of permission',
  lost: 'done, and the connection closed without an answer',
  delay: 'done, and answered so many seconds later',
  missing: 'InvocationDoesNotExist, for so many seconds from the first question',
  undeliverable: 'the command is taken, and cannot be delivered to the instance',
  date: 'answered with a Date so many seconds off, until it is cleared',
  slow: 'the image that the call makes is pending for so many seconds, and its snapshots tell how far they are',
  aged: 'the image that the call makes, and its snapshots, are told to be so many seconds old',
  ends: 'the image that the call makes comes to another state than available',
} as const;

export type Kind = keyof typeof kinds;

/** What is asked for: the calls that are meant, and what becomes of them. */
export interface Wish {
  /** The action, such as `PutObject` or `s3:PutObject`; `*` and `?` stand for what they do in IAM. */
  readonly action: string;
  readonly kind: Kind;
  /** ARN of what the call is about; any when absent. */
  readonly resource?: string;
  /** Who calls, such as `role/isso-staging-ci`; anybody when absent. */
  readonly principal?: string;
  /** Calls that go wrong: 1 when absent, `always` until it is cleared. */
  readonly times?: number | 'always';
  /** Calls that go well before. */
  readonly after?: number;
  /** Of `delay`, `missing`, `date`, `slow` and `aged`. */
  readonly seconds?: number;
  /** Of `ends`: failed, error, invalid, …; `gone` for none at all. */
  readonly state?: string;
}

/** A wish on the book, and how often it is to come still. */
export interface Fault extends Wish {
  readonly id: number;
  readonly left: number | 'always';
  /** Calls that went wrong by it. */
  readonly met: number;
}

/** A call that may go wrong. */
export interface Meeting {
  readonly service: string;
  readonly action: string;
  readonly resources: readonly string[];
  readonly principal: string;
}

interface Entry {
  fault: Fault;
  /** Of `missing`: ms since the epoch, from the first question. */
  until?: number;
}

/** The book of faults of one program: what is to go wrong, how often, and for whom. */
export class Faults {
  readonly #now: () => number;
  #entries: Entry[] = [];
  #last = 0;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** @throws Error in a sentence when the wish is not one. */
  add(wish: unknown): Fault {
    const read = readWish(wish);
    const lasting = read.kind === 'missing' || read.kind === 'date';
    this.#last += 1;
    const left = read.times ?? (lasting ? 'always' : 1);
    const fault: Fault = { id: this.#last, ...read, left, met: 0 };
    this.#entries.push({ fault });
    return fault;
  }

  list(): Fault[] {
    return this.#entries.map(({ fault }) => fault);
  }

  clear(): void {
    this.#entries = [];
  }

  /** The first fault that is meant for a call, counted as met; only of these kinds. */
  meet(call: Meeting, among: readonly Kind[]): Fault | undefined {
    for (const entry of this.#entries) {
      if (!among.includes(entry.fault.kind) || !isMeant(entry.fault, call)) continue;
      if (this.#isDue(entry)) return entry.fault;
    }
    return undefined;
  }

  #isDue(entry: Entry): boolean {
    const { kind, after = 0, left, seconds = 0, met } = entry.fault;
    if (after > 0) {
      entry.fault = { ...entry.fault, after: after - 1 };
      return false;
    }
    if (left === 0) return false;
    if (kind === 'missing') {
      entry.until ??= this.#now() + seconds * 1000;
      if (this.#now() >= entry.until) return false;
    }
    entry.fault = { ...entry.fault, left: left === 'always' ? left : left - 1, met: met + 1 };
    return true;
  }
}

/** Answers `/_cloud/fault`: POST adds a fault, GET lists them, DELETE clears all. */
export function answerFaults(faults: Faults, method: string, text: string): { status: number; body: object } {
  try {
    if (method === 'POST') return { status: 201, body: faults.add(JSON.parse(text)) };
  } catch (cause) {
    return { status: 400, body: { message: cause instanceof Error ? cause.message : String(cause) } };
  }
  if (method === 'DELETE') faults.clear();
  return { status: 200, body: faults.list() };
}

function isMeant({ action, resource = '*', principal = '*' }: Wish, call: Meeting): boolean {
  const actions = [call.action, `${call.service}:${call.action}`];
  return (
    actions.some((name) => wildcard(action).test(name)) &&
    call.resources.some((name) => wildcard(resource).test(name)) &&
    wildcard(principal).test(call.principal)
  );
}

const timed: readonly Kind[] = ['delay', 'missing', 'date', 'slow', 'aged'];

function readWish(given: unknown): Wish {
  const wish = (given ?? {}) as Record<string, unknown>;
  const unknown = Object.keys(wish).filter((name) => !(name in readers));
  if (unknown.length > 0) throw new Error(`a fault has no ${unknown.join(', ')}: ${Object.keys(readers)}`);
  for (const [name, isFine] of Object.entries(readers)) {
    const given = JSON.stringify(wish[name]) ?? 'missing';
    const among = name === 'kind' ? `: it is ${Object.keys(kinds).join(', ')}` : '';
    if (!isFine(wish[name])) throw new Error(`${name} of a fault cannot be ${given}${among}`);
  }
  const { kind, seconds, state } = wish as unknown as Wish;
  if ((kind === 'ends') !== (state !== undefined)) throw new Error('state belongs to ends, which needs it');
  if (timed.includes(kind) !== (seconds !== undefined)) {
    throw new Error(`seconds belong to ${timed.join(', ')}, each of which needs them, and to no other kind`);
  }
  return wish as unknown as Wish;
}

const isText = (value: unknown): boolean => typeof value === 'string' && value !== '';
const isAbsentOr =
  (isFine: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    value === undefined || isFine(value);

const readers: Readonly<Record<keyof Wish, (value: unknown) => boolean>> = {
  action: isText,
  kind: (value) => typeof value === 'string' && Object.hasOwn(kinds, value),
  resource: isAbsentOr(isText),
  principal: isAbsentOr(isText),
  times: isAbsentOr((value) => value === 'always' || (Number.isSafeInteger(value) && (value as number) > 0)),
  after: isAbsentOr((value) => Number.isSafeInteger(value) && (value as number) >= 0),
  seconds: isAbsentOr(Number.isFinite),
  state: isAbsentOr(isText),
};
