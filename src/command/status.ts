import type { CommandInvocation } from '@aws-sdk/client-ssm';

/**
 * Where one instance stands with a command.
 *
 * - `pending`: not handed to the agent yet; `delivered`: the agent has it; `running`: our step runs
 * - `succeeded`, `failed`, `timed-out`, `cancelled`: our step ended so
 * - `never-ran`: it ended without our script having started
 * - `unknown`: a status that this version does not know
 */
export type Standing =
  | 'pending'
  | 'delivered'
  | 'running'
  | 'succeeded'
  | 'failed'
  | 'timed-out'
  | 'cancelled'
  | 'never-ran'
  | 'unknown';

const underway: readonly Standing[] = ['pending', 'delivered', 'running', 'unknown'];

/** Whether nothing more is to come: SSM never takes a terminal status back. */
export function hasEnded(standing: Standing): boolean {
  return !underway.includes(standing);
}

type Seen = Pick<CommandInvocation, 'Status' | 'StatusDetails' | 'CommandPlugins'>;

/** Only StatusDetails tells undeliverable from failed, and delivery from execution time-outs. */
const byDetails: Readonly<Record<string, Standing>> = {
  Pending: 'pending',
  Delayed: 'pending',
  Success: 'succeeded',
  Failed: 'failed',
  Cancelled: 'cancelled',
  Cancelling: 'running',
  ExecutionTimedOut: 'timed-out',
  DeliveryTimedOut: 'never-ran',
  Undeliverable: 'never-ran',
  Terminated: 'never-ran',
  AccessDenied: 'never-ran',
  InvalidPlatform: 'never-ran',
  LimitExceeded: 'never-ran',
  RateExceeded: 'never-ran',
};

const byStatus: Readonly<Record<string, Standing>> = {
  Pending: 'pending',
  Delayed: 'pending',
  Success: 'succeeded',
  Cancelled: 'cancelled',
  Cancelling: 'running',
  Failed: 'failed',
  TimedOut: 'timed-out',
};

/** Where an invocation stands, by what SSM says of it. */
export function standingOf({ Status, StatusDetails = '', CommandPlugins = [] }: Seen): Standing {
  // The documents write "In Progress" where the API says "InProgress".
  const details = StatusDetails.replaceAll(' ', '');
  if (Status === 'InProgress' || details === 'InProgress') {
    const started = CommandPlugins.some(
      (plugin) => plugin.Status !== undefined && plugin.Status !== 'Pending',
    );
    return started ? 'running' : 'delivered';
  }
  return byDetails[details] ?? byStatus[Status ?? ''] ?? 'unknown';
}

const parentEnded = ['Success', 'Cancelled', 'Failed', 'TimedOut'];

/** Whether SSM hands a command to no further instance. Its status says nothing of the single ones. */
export function commandHasEnded(status: string | undefined): boolean {
  return status !== undefined && parentEnded.includes(status);
}
