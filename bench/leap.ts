// Loaded into a bundle before it starts (node --import): waits of a minute pass in a second, and the steady clock tells of a minute.
import { syncBuiltinESMExports } from 'node:module';
import type { TimerOptions } from 'node:timers';
import timers from 'node:timers/promises';

const secondMs = 1000;
const minuteMs = 60 * secondMs;
/** Shorter waits are for something that takes its own time. */
const leastMs = 20 * secondMs;

const realNow = performance.now.bind(performance);
let leaptMs = 0;
performance.now = () => realNow() + leaptMs;

const wait = timers.setTimeout;
timers.setTimeout = async <T = void>(ms = 0, value?: T, options?: TimerOptions): Promise<T> => {
  if (ms < leastMs) return wait<T>(ms, value, options);
  if (ms <= minuteMs) {
    await wait(secondMs, undefined, options);
    leaptMs += ms - secondMs;
    return value as T;
  }
  // What waits longer, as for the next renewal of a lease, lets the minutes of others pass.
  const until = performance.now() + ms;
  while (performance.now() < until) await wait(100, undefined, options);
  return value as T;
};
syncBuiltinESMExports();
