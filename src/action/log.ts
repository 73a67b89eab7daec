import * as core from '@actions/core';

/** Prints a line of progress. */
export const say = (line: string): void => core.info(withoutMasked(line));

/** A warning annotation: something is amiss, and the result stands. */
export const warn = (line: string): void => core.warning(withoutMasked(line));

const masked = new Set<string>();

/** Masks a value in everything printed from now on, line by line, for a mask covers one line. */
export function mask(value: string): void {
  for (const line of value.split(/\r?\n/).filter((text) => text.trim() !== '')) {
    core.setSecret(line);
    masked.add(line);
  }
}

/** Whose an ARN is: AWS's own messages name it, and other steps of the job may have masked it. */
const account = /(?<=\barn:aws[a-z-]*:[a-z0-9-]*:[a-z0-9-]*:)\d{12}(?=:)/g;

/**
 * Text without the masked values, and without the account in any ARN. GitHub masks the log alone, and drops an output
 * that holds a masked value.
 */
export function withoutMasked(text: string): string {
  const rest = text.replace(account, '***');
  return [...masked].reduce((left, value) => left.replaceAll(value, '***'), rest);
}

/** Runs one phase of the action's story in a group of its own, and tells how long it took. */
export async function phase<Value>(title: string, work: () => Promise<Value>): Promise<Value> {
  const started = performance.now();
  core.startGroup(title);
  let outcome = 'failed after';
  try {
    const value = await work();
    outcome = 'took';
    return value;
  } finally {
    core.endGroup();
    core.info(`  ${title}: ${outcome} ${inSeconds(performance.now() - started)}`);
  }
}

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** Bytes for people: `812 B`, `3.4 MiB`. */
export function inBytes(bytes: number): string {
  const power = bytes < 1024 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  return `${power === 0 ? bytes : (bytes / 1024 ** power).toFixed(1)} ${units[power]}`;
}

/** Milliseconds for people: `12 ms`, `3.4 s`, `2 min 5 s`. */
export function inSeconds(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** A longer time for people: `12 min`, `36 h`, `9 days`. */
export function inSpan(ms: number): string {
  if (ms < 60_000) return inSeconds(ms);
  if (ms < 100 * 60_000) return `${Math.round(ms / 60_000)} min`;
  return ms < 72 * 3_600_000 ? `${Math.round(ms / 3_600_000)} h` : `${Math.round(ms / 86_400_000)} days`;
}
