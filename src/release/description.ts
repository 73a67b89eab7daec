import type { Config } from '../config/config.ts';

/** Where a release keeps what is said of it. */
export const configFile = 'understudy.yml';
export const descriptionFile = '.understudy/release.json';

/** The app's git commit and its time; nothing of the run that packed it, so that equal sources give equal bytes. */
export interface Source {
  /** 40 hexadecimal digits. */
  readonly commit: string;
  readonly committed: Date;
}

/**
 * `.understudy/release.json`: what a host must know of a release, and all that it reads of its configuration.
 * Times are in milliseconds; the names are those of the host scripts.
 */
export interface Description {
  readonly schema: 1;
  readonly app: string;
  readonly commit: string;
  /** To the second, in UTC. */
  readonly committed: string;
  readonly service: {
    readonly listen: number;
    readonly user: string;
    readonly switch: string;
    readonly notify: boolean;
    readonly start_timeout_ms: number;
  };
  readonly workers: readonly string[];
  readonly checks: readonly {
    readonly path: string;
    readonly status: number;
    readonly type?: string;
    readonly json?: Readonly<Record<string, string | number | boolean | null>>;
    readonly timeout_ms: number;
  }[];
  readonly data: Omit<Config['data'], 'busyTimeoutMs'> & { readonly busy_timeout_ms: number };
  readonly backup: { readonly local_ms: number };
  readonly keep: number;
}

export function describeRelease(config: Config, { commit, committed }: Source): Description {
  const { app, service, workers, checks, backup, keep } = config;
  const { busyTimeoutMs, ...data } = config.data;
  const { startTimeoutMs, ...unit } = service;
  return {
    schema: 1,
    app,
    commit,
    committed: committed.toISOString().replace(/\.\d+Z$/, 'Z'),
    service: { ...unit, start_timeout_ms: startTimeoutMs },
    workers,
    checks: checks.map(({ timeoutMs, ...check }) => ({ ...check, timeout_ms: timeoutMs })),
    data: { ...data, busy_timeout_ms: busyTimeoutMs },
    backup: { local_ms: backup.localMs },
    keep,
  };
}

/** The description as the file holds it. */
export function toText(description: Description): string {
  return `${JSON.stringify(description, null, 2)}\n`;
}
