/**
 * Aborted when somebody asks this process to end, with what by; from then on it ends by itself. Not once: Ctrl-C comes
 * twice, from the terminal and from npm, and the second must not end the cleaning up.
 */
export function untilStopped(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => stop.abort(new Error(`stopped by ${signal}`)));
  }
  return stop.signal;
}
