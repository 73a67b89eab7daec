/** `StatusDetails` of an invocation: only they tell delivery from execution, and a person's cancel from the system's. */
export type Details =
  | 'Pending'
  | 'Delayed'
  | 'InProgress'
  | 'Cancelling'
  | 'Success'
  | 'Failed'
  | 'Cancelled'
  | 'Terminated'
  | 'Undeliverable'
  | 'DeliveryTimedOut'
  | 'ExecutionTimedOut';

export type Status =
  | 'Pending'
  | 'Delayed'
  | 'InProgress'
  | 'Cancelling'
  | 'Success'
  | 'Failed'
  | 'Cancelled'
  | 'TimedOut';

/** `Status` of an invocation. Undeliverable was seen as Failed by users; Terminated as Cancelled is assumed. */
const statuses: Record<Details, Status> = {
  Pending: 'Pending',
  Delayed: 'Delayed',
  InProgress: 'InProgress',
  Cancelling: 'Cancelling',
  Success: 'Success',
  Failed: 'Failed',
  Cancelled: 'Cancelled',
  Terminated: 'Cancelled',
  Undeliverable: 'Failed',
  DeliveryTimedOut: 'TimedOut',
  ExecutionTimedOut: 'TimedOut',
};

export function statusOf(details: Details): Status {
  return statuses[details];
}

const unfinished: readonly Details[] = ['Pending', 'Delayed', 'InProgress', 'Cancelling'];

export function isTerminal(details: Details): boolean {
  return !unfinished.includes(details);
}

/** Where an invocation goes when `wanted` is reported: a terminal status stays, and Cancelling only ends. */
export function nextDetails(now: Details, wanted: Details): Details {
  if (isTerminal(now)) return now;
  if (now === 'Cancelling' && !isTerminal(wanted)) return now;
  if (now === 'InProgress' && (wanted === 'Pending' || wanted === 'Delayed')) return now;
  return wanted;
}

/** What counts against MaxErrors: neither undeliverable ones nor delivery time-outs do. */
export function isError(details: Details): boolean {
  return details === 'Failed' || details === 'ExecutionTimedOut';
}

/** Status of a whole command. */
export interface CommandState {
  Status: 'Pending' | 'InProgress' | 'Success' | 'Cancelled' | 'Failed' | 'TimedOut' | 'Cancelling';
  StatusDetails: string;
}

/**
 * A command's status from its invocations', as the documents of `Command.StatusDetails` tell it.
 * It hides much: with 4 of 5 undeliverable it says Success.
 */
export function commandState(
  all: readonly Details[],
  options: { maxErrors: number; cancelAsked: boolean },
): CommandState {
  if (all.length === 0) return { Status: 'Success', StatusDetails: 'NoInstancesInTag' };
  const count = (wanted: Details) => all.filter((each) => each === wanted).length;
  if (!all.every(isTerminal)) {
    if (options.cancelAsked) return same('Cancelling');
    return same(all.every((each) => each === 'Pending') ? 'Pending' : 'InProgress');
  }
  if (options.cancelAsked && count('Cancelled') > 0) return same('Cancelled');
  const enough = Math.max(1, options.maxErrors);
  if (count('Failed') >= enough) return same('Failed');
  if (count('ExecutionTimedOut') >= enough) return { Status: 'TimedOut', StatusDetails: 'ExecutionTimedOut' };
  if (count('DeliveryTimedOut') >= enough) return { Status: 'TimedOut', StatusDetails: 'DeliveryTimedOut' };
  const counted = all.filter((each) => each !== 'Undeliverable');
  if (counted.length === 0) return same('Failed');
  if (counted.every((each) => each === 'Success')) return same('Success');
  // The enumeration of Status has no Incomplete: Failed is assumed.
  return { Status: 'Failed', StatusDetails: 'Incomplete' };
}

function same(status: CommandState['Status']): CommandState {
  return { Status: status, StatusDetails: status };
}
