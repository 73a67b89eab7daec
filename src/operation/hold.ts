import { messageOf, OperationError, sentenceOf } from '../action/errors.ts';
import { say, warn } from '../action/log.ts';
import { explain } from '../action/reasons.ts';
import { state } from '../action/state.ts';
import type { HostState } from '../command/result-line.ts';
import type { GitHub } from '../github/github.ts';
import { type Lease, takeLease, type Written } from '../lease/lease.ts';
import { probe } from './command.ts';
import { type Leftover, saveLeftover } from './leftover.ts';
import type { Operation, Services } from './operation.ts';
import { recordError } from './record.ts';

interface Hold extends Omit<Leftover, 'holder'> {
  readonly services: Services;
  readonly github: Pick<GitHub, 'attemptHasEnded'>;
  /** Fires when the job is cancelled. */
  readonly signal: AbortSignal;
}

/** What a piece of work came to, and whether a host may still be at it. */
interface Worked {
  readonly open: boolean;
}

/** What a piece of work has while the lease is held. */
export interface Held {
  /** The fencing number. */
  readonly fence: number;
  /** Fires when the job is cancelled, or the lease lost. */
  readonly signal: AbortSignal;
  /** Asked right before something is changed. @throws OperationError when the lease may be over before it is done */
  readonly requireTime: () => void;
  /** Reads the lease again, right before what cannot be taken back. @throws OperationError when it is not ours any more */
  readonly confirm: () => Promise<void>;
  /** To be told before another piece of work begins under the lease: what post would look after from then on. */
  readonly leave: (more: Partial<Pick<Leftover, 'operation' | 'instances' | 'release'>>) => void;
  /** To be told the command's id as soon as it is sent: from then on a host may be at work. */
  readonly onSent: (command: string) => void;
  /** To be told once every host has ended what it was sent, and more is to come: what goes wrong until then harms no host. */
  readonly settled: () => void;
}

/**
 * Does a piece of work under the lease of the environment. The lease is given back when the work has ended on every
 * host, however it ended; otherwise it stays held, for the post step to look after.
 */
export async function holdingLease<Value extends Worked>(
  hold: Hold,
  work: (held: Held) => Promise<Value>,
): Promise<Value> {
  const leave: Held['leave'] = (more) => saveLeftover({ ...hold, ...more, holder: hold.operation.id });
  leave({});
  const started = hold.services.now();
  const lease = await takeLeaseOf(hold).catch(async (error: unknown) => {
    // Refused, we hold nothing; after any other error we may, so post gives it back.
    state.ended.save(error instanceof OperationError ? 'all' : 'work');
    if (!hold.signal.aborted) await recordError({ ...hold, started }, error);
    throw error;
  });
  const signal = AbortSignal.any([hold.signal, lease.lost]);
  let sent = false;
  let open = false;
  const noteSent = (command: string): void => {
    sent = command !== '';
    state.command.save(command);
  };
  try {
    const value = await work({
      fence: lease.fence,
      signal,
      onSent: noteSent,
      settled: () => noteSent(''),
      leave,
      requireTime: () => lease.requireTime(),
      confirm: () => lease.confirm(),
    });
    open = value.open;
    return value;
  } catch (error) {
    open = signal.aborted || sent;
    if (sent) throw signal.aborted ? error : afterSending(error, hold.operation);
    const told = lease.lost.aborted && error === lease.lost.reason ? lostBeforeSending(error) : error;
    if (!open) await recordError({ ...hold, started }, told);
    throw told;
  } finally {
    await (open ? lease.leave() : giveBack(lease));
  }
}

/** Whatever went wrong here, the hosts go on with what they were sent: nothing but a probe can tell. */
function afterSending(error: unknown, { app }: Operation): OperationError {
  return new OperationError({
    reason: 'no-result',
    outcome: 'unknown',
    happened: `After the command was sent, this went wrong: ${sentenceOf(error)}`,
    stateNow: 'The hosts may be at work.',
    todo: explain('no-result', app).todo,
    cause: error,
  });
}

/** The lease went before anything was done under it. */
function lostBeforeSending(cause: unknown): OperationError {
  return new OperationError({
    reason: 'lease-lost',
    happened: cause instanceof OperationError ? cause.happened : sentenceOf(cause),
    stateNow: 'No command was sent to change anything.',
    todo: 'Run this job again.',
    cause,
  });
}

/** From here on there is nothing for post to do, unless the lease could not be given back. */
async function giveBack(lease: Lease): Promise<void> {
  state.ended.save('work');
  try {
    if ((await lease.release()) === 'not ours')
      warn('The lease was not ours any more when it was given back.');
    state.ended.save('all');
  } catch (error) {
    warn(`The lease could not be given back; the post step tries again: ${messageOf(error)}`);
  }
}

async function takeLeaseOf({ services, operation, github, instances }: Hold): Promise<Lease> {
  const { app, environment, repository, run, attempt, id } = operation;
  const lease = await takeLease({
    bucket: services.bucket,
    app,
    environment,
    holder: { repository, run, attempt, operation: id },
    sleep: services.sleep,
    mayTakeOver: (other) => mayTakeOver(other, { services, operation, github, instances }),
  });
  say(`the lease of ${environment} is ours, with fencing number ${lease.fence}`);
  return lease;
}

/** The holder in the way is gone only when its attempt has ended *and* no target runs an operation. */
async function mayTakeOver(
  other: Written,
  hold: Pick<Hold, 'services' | 'operation' | 'github' | 'instances'>,
): Promise<true | string> {
  const ended = await hold.github.attemptHasEnded(other.repository, other.run, other.attempt);
  if (ended === undefined)
    return 'GitHub does not tell whether that attempt has ended (the `github-token` needs actions: read).';
  if (!ended) return 'That attempt is still running.';
  // Where there is no instance yet, no instance runs anything.
  const states =
    hold.instances.length > 0
      ? await probe(hold.services, hold.operation, hold.instances)
      : new Map<string, HostState>();
  for (const instance of hold.instances) {
    const state = states.get(instance);
    if (!state)
      return `That attempt has ended, but ${instance} does not tell whether it still runs an operation.`;
    if (state.running) return `That attempt has ended, but ${instance} still runs ${state.running}.`;
  }
  say(
    `taking the lease over from ${other.operation}: its attempt has ended, and no instance runs an operation`,
  );
  return true;
}
