import { inSpan, say, warn } from '../action/log.ts';
import type { HostState } from '../command/result-line.ts';
import { probe } from '../operation/command.ts';
import type { Operation, Services } from '../operation/operation.ts';

interface Baking {
  readonly services: Services;
  readonly operation: Operation;
  readonly instances: readonly string[];
  /** The whole id of the release that is live there. */
  readonly release: string;
  readonly bakeMs: number;
  readonly signal: AbortSignal;
}

/** What the time of watching came to: well, or what is wrong where. */
export type Baked =
  | { readonly well: true; readonly watchedMs: number }
  | { readonly well: false; readonly watchedMs: number; readonly problems: ReadonlyMap<string, string> };

const minuteMs = 60_000;
/** What is seen twice, so far apart, is no accident. */
const againMs = 5_000;

/**
 * Watches a release that went live: each minute, and at the end, its hosts are asked. What is wrong twice in a row ends it.
 * A host that does not answer is asked again the next time; at the end it counts.
 */
export async function bake(baking: Baking): Promise<Baked> {
  const { services, bakeMs, signal } = baking;
  const started = services.now();
  const spent = (): number => services.now() - started;
  for (;;) {
    await services.sleep(Math.min(minuteMs, Math.max(0, bakeMs - spent())), signal);
    const last = spent() >= bakeMs;
    const first = await look(baking, last);
    if (first.size > 0) {
      await services.sleep(againMs, signal);
      const again = await look(baking, true);
      if (again.size > 0) return { well: false, watchedMs: spent(), problems: again };
    }
    if (last) return { well: true, watchedMs: spent() };
    say(`well after ${inSpan(spent())} of ${inSpan(bakeMs)}`);
  }
}

/** What is wrong, by instance. */
async function look(
  { services, operation, instances, release, signal }: Baking,
  silenceCounts: boolean,
): Promise<Map<string, string>> {
  const states = await probe(services, operation, instances, { ask: release }, signal).catch(
    (error: unknown) => {
      signal.throwIfAborted();
      if (silenceCounts) throw error;
      return new Map<string, HostState>();
    },
  );
  const problems = new Map<string, string>();
  for (const instance of instances) {
    const state = states.get(instance);
    const problem = state ? degradation(state, release) : silenceCounts && 'it does not answer';
    if (problem) problems.set(instance, problem);
    if (problem || !state) warn(`${instance}: ${problem || 'it does not answer, and is asked again'}`);
  }
  return problems;
}

/** What is wrong with a host where a release went live healthy; undefined when nothing is. */
export function degradation(
  { digest, live, healthy, soak }: Pick<HostState, 'digest' | 'live' | 'healthy' | 'soak'>,
  release: string,
): string | undefined {
  if (digest !== release) return `release ${live || 'none'} is live there, not ${release.slice(0, 12)}`;
  if (!healthy) return 'it does not answer its checks as promised';
  return soak?.ended === 'restart' ? 'it was restarted, by itself or by somebody' : undefined;
}
