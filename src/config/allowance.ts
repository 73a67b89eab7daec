import type { Config, Environment } from './config.ts';

/**
 * Seconds that one instance may take over a deploy. The rehearsal, the switch and the way back may each take a start and every
 * check; the rest, downloading, unpacking and copying, gets ten minutes.
 */
export function secondsOfDeploy(config: Allowed, environment: Pick<Environment, 'rollout'>): number {
  return secondsOf(3, config, environment);
}

/** The same over going back to a release, which is not rehearsed. */
export function secondsOfRollback(config: Allowed, environment: Pick<Environment, 'rollout'>): number {
  return secondsOf(2, config, environment);
}

type Allowed = Pick<Config, 'service' | 'checks'>;

function secondsOf(
  starts: number,
  { service, checks }: Allowed,
  { rollout }: Pick<Environment, 'rollout'>,
): number {
  if (rollout.timeoutMs !== undefined) return Math.ceil(rollout.timeoutMs / 1000);
  const once = service.startTimeoutMs + checks.reduce((sum, { timeoutMs }) => sum + timeoutMs, 0);
  return 600 + Math.ceil((starts * once) / 1000);
}
