// Loaded into a bundle before it starts (node --import): a runner's clock that is wrong, a lease's waits cut short, and a death.
import { syncBuiltinESMExports } from 'node:module';
import type { TimerOptions } from 'node:timers';
import timers from 'node:timers/promises';

const offMs = Number(process.env['WRONG_CLOCK_MS'] ?? 0);
const RealDate = Date;

globalThis.Date = class extends RealDate {
  constructor(...given: unknown[]) {
    super(...((given.length === 0 ? [RealDate.now() + offMs] : given) as [number]));
  }
  static override now(): number {
    return RealDate.now() + offMs;
  }
} as DateConstructor;

/** Waits of minutes pass so many times faster. */
const speed = Number(process.env['SPEED_OF_MINUTES'] ?? 1);
const wait = timers.setTimeout;
timers.setTimeout = <T = void>(ms = 0, value?: T, options?: TimerOptions): Promise<T> =>
  wait<T>(ms >= 20_000 ? ms / speed : ms, value, options);
syncBuiltinESMExports();

/** What the runner says when it dies, as by `kill -9`. */
const lastWords = process.env['DIE_AT'];
const write = process.stdout.write.bind(process.stdout);
process.stdout.write = (text: string | Uint8Array, ...rest: []) => {
  if (lastWords !== undefined && String(text).includes(lastWords)) process.kill(process.pid, 'SIGKILL');
  return write(text, ...rest);
};
