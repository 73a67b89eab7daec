import { OperationError } from '../action/errors.ts';
import { say, warn } from '../action/log.ts';
import { state } from '../action/state.ts';
import type { GitHub } from '../github/github.ts';
import { type Lease, takeLease, type Written } from '../lease/lease.ts';
import { probe } from './command.ts';
import { saveLeftover } from './leftover.ts';
import type { Operation, Services } from './operation.ts';

interface Hold {
  readonly services: Services;
  readonly operation: Operation;
  readonly github: Pick<GitHub, 'attemptHasEnded'>;
  /** The instances of the environment. */
  readonly instances: readonly string[];
  /** Fires when the job is cancelled. */
  readonly signal: AbortSignal;
}

/** What a piece of work came to, and whether a host may still be at it. */
interface Worked {
  readonly open: boolean;
}

/**
 * Does a piece of work under the lease of the environment. The lease is given back when the work has ended on every
 * host, however it ended; otherwise it stays held, for the post step to look after.
 */
export async function holdingLease<Value extends Worked>(
  hold: Hold,
  work: (lease: Lease, signal: AbortSignal) => Promise<Value>,
): Promise<Value> {
  saveLeftover(hold.operation, hold.instances);
  const lease = await takeLeaseOf(hold).catch((error: unknown) => {
    // Refused, we hold nothing; after any other error we may, so post will look.
    if (error instanceof OperationError) state.ended.save('true');
    throw error;
  });
  const signal = AbortSignal.any([hold.signal, lease.lost]);
  let open = false;
  try {
    const value = await work(lease, signal);
    open = value.open;
    return value;
  } catch (error) {
    open = signal.aborted;
    throw error;
  } finally {
    await (open ? lease.leave() : giveBack(lease));
  }
}

/** From here on there is nothing for post to do. */
async function giveBack(lease: Lease): Promise<void> {
  if ((await lease.release()) === 'not ours') warn('The lease was not ours any more when it was given back.');
  state.ended.save('true');
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
async function mayTakeOver(other: Written, hold: Omit<Hold, 'signal'>): Promise<true | string> {
  const ended = await hold.github.attemptHasEnded(other.repository, other.run, other.attempt);
  if (ended === undefined)
    return 'GitHub does not tell whether that attempt has ended (the job needs actions: read).';
  if (!ended) return 'That attempt is still running.';
  const states = await probe(hold.services, hold.operation, hold.instances);
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
