/** The gateway's only clock. Durations pass `speed` times faster than real ones; dates stay real. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Service milliseconds that have passed since `moment` (a value of `now`). */
  since(moment: number): number;
  /** Calls `action` once after `milliseconds` of service time. Returns what stops it. */
  after(milliseconds: number, action: () => void): () => void;
}

// setTimeout fires at once above this: a delivery time-out may be 30 days.
const longestTimer = 2 ** 31 - 1;

/** @param speed 100 makes a delivery time-out of 30 s pass in 0.3 s. */
export function createClock(speed = 1): Clock {
  return {
    now: () => Date.now(),
    since: (moment) => (Date.now() - moment) * speed,
    after: (milliseconds, action) => {
      const timer = setTimeout(action, Math.min(milliseconds / speed, longestTimer));
      timer.unref();
      return () => clearTimeout(timer);
    },
  };
}
