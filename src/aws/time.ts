import { setTimeout as delay } from 'node:timers/promises';
import type { MiddlewareStack } from '@smithy/types';

/** Waits; injected, so that tests need not. The signal ends the wait with its reason. */
export type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>;

export const sleep: Sleep = async (ms, signal) => {
  try {
    await delay(ms, undefined, signal ? { signal } : {});
  } catch (error) {
    throw signal?.aborted ? signal.reason : error;
  }
};

/** A clock in ms since the epoch; injected. */
export type Clock = () => number;

/** Spreads many waiters: between 75 % and 125 % of a time. */
export function jitter(ms: number, random: () => number = Math.random): number {
  return Math.round(ms * (0.75 + random() / 2));
}

/** A service's own time: read from the `Date` of its answers, refusals too, and carried on by our steady clock. */
export function watchClock(client: { readonly middlewareStack: unknown }): Clock {
  let offset = Date.now() - performance.now();
  const stack = client.middlewareStack as MiddlewareStack<object, object>;
  stack.add(
    (next) => async (args) => {
      const answer = await next(args);
      const { headers } = (answer.response ?? {}) as { headers?: { date?: string } };
      const date = Date.parse(headers?.date ?? '');
      if (!Number.isNaN(date)) offset = date - performance.now();
      return answer;
    },
    // Nearer to the wire than the deserializer, which throws on a refusal.
    { step: 'deserialize', name: 'watchClock', priority: 'low' },
  );
  return () => Math.floor(performance.now() + offset);
}

/** `20261123T024500Z`: sorts, and needs no escaping in a key. */
export function compactTime(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d+/g, '');
}
