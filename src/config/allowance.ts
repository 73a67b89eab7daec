import type { Config, Environment } from './config.ts';

/**
 * Seconds that one instance may take over a deploy. The rehearsal, the switch and the way back may each take a start and every
 * check; the rest, downloading, unpacking and copying, gets ten minutes.
 */
export function secondsOfDeploy(
  { service, checks }: Pick<Config, 'service' | 'checks'>,
  { rollout }: Environment,
): number {
  if (rollout.timeoutMs !== undefined) return Math.ceil(rollout.timeoutMs / 1000);
  const once = service.startTimeoutMs + checks.reduce((sum, { timeoutMs }) => sum + timeoutMs, 0);
  return 600 + Math.ceil((3 * once) / 1000);
}
