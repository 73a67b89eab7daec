import type { Written } from './schema.ts';

/** How a new release takes over from the old one. */
export type Switch = Written['service']['switch'];

/** A request that a healthy app answers. */
export interface Check {
  readonly path: string;
  readonly status: number;
  /** The media type that the answer must have, without parameters. */
  readonly type?: string;
  /** Fields that the answer must hold at its top level, as JSON. */
  readonly json?: Readonly<Record<string, string | number | boolean | null>>;
  readonly timeoutMs: number;
}

/** How a fleet takes a release. */
export interface Rollout {
  /** How many instances at once. */
  readonly concurrency: number;
  /** How many instances may fail. */
  readonly errors: number;
  /** What the others do with a release that more than `errors` did not take. */
  readonly partial: WhenPartial;
  /** How long the agent of an instance may take to take a command. */
  readonly deliveryMs: number;
  /** How long one instance may take; absent where its checks and its start decide. */
  readonly timeoutMs?: number;
}

/** What becomes of a release that only a part of a fleet took. */
export type WhenPartial = Written['environments'][string]['rollout']['partial'];

/** The instances with the tags `App` and `Environment`, and how a release comes to them. */
export interface Environment {
  readonly name: string;
  /** The state bucket. */
  readonly bucket: string;
  /** The backup bucket; absent where there are no backups. */
  readonly backups?: string;
  /** Without it the job's own credentials are used. */
  readonly roleArn?: string;
  /** The role that a promotion from here takes; absent where nothing is promoted from here. */
  readonly promoterArn?: string;
  readonly url?: string;
  readonly rollout: Rollout;
  readonly soakMs: number;
  readonly bakeMs: number;
  readonly proofMs: number;
}

/** understudy.yml, checked, with every default in its place and durations in milliseconds. */
export interface Config {
  readonly app: string;
  readonly region: string;
  readonly environments: ReadonlyMap<string, Environment>;
  readonly service: {
    readonly listen: number;
    readonly user: string;
    readonly switch: Switch;
    readonly notify: boolean;
    readonly startTimeoutMs: number;
  };
  readonly workers: readonly string[];
  readonly checks: readonly Check[];
  /** Paths below the shared folder. */
  readonly data: {
    readonly databases: readonly string[];
    readonly include: readonly string[];
    readonly exclude: readonly string[];
    /** By database: the columns, as `table.column`, whose greatest value tells when the newest row was written. */
    readonly newest: Readonly<Record<string, readonly string[]>>;
    /** How long the app itself waits for a locked database. */
    readonly busyTimeoutMs: number;
  };
  readonly backup: {
    /** How long the host keeps copies of its backups; the newest always stays. */
    readonly localMs: number;
    /** How old the newest row that `data.newest` names may be in a backup. */
    readonly staleMs: number;
  };
  /** How many releases stay on a host. */
  readonly keep: number;
}

/** The keys of the file become the names of the code. */
export function toConfig(written: Written): Config {
  const { app, region, service, workers, checks, backup, keep } = written;
  const { 'busy-timeout': busyTimeoutMs, ...data } = written.data;
  return {
    app,
    region,
    environments: new Map(
      Object.entries(written.environments).map(([name, environment]) => [
        name,
        toEnvironment(name, environment),
      ]),
    ),
    service: {
      listen: service.listen,
      user: service.user ?? app,
      switch: service.switch,
      notify: service.notify,
      startTimeoutMs: service['start-timeout'],
    },
    workers,
    checks: checks.map(({ path, status, type, json, timeout }) => ({
      path,
      status,
      ...(type !== undefined && { type }),
      ...(json !== undefined && { json }),
      timeoutMs: timeout,
    })),
    data: { ...data, busyTimeoutMs },
    backup: { localMs: backup.local, staleMs: backup.stale },
    keep,
  };
}

function toEnvironment(name: string, written: Written['environments'][string]): Environment {
  const { bucket, backups, 'role-arn': roleArn, url, rollout, soak, bake, proof } = written;
  const promoterArn = written['promoter-arn'];
  return {
    name,
    bucket,
    ...(backups !== undefined && { backups }),
    ...(roleArn !== undefined && { roleArn }),
    ...(promoterArn !== undefined && { promoterArn }),
    ...(url !== undefined && { url }),
    rollout: toRollout(rollout),
    soakMs: soak,
    bakeMs: bake,
    proofMs: proof,
  };
}

function toRollout(written: Written['environments'][string]['rollout']): Rollout {
  const { delivery, timeout, ...rest } = written;
  return { ...rest, deliveryMs: delivery, ...(timeout !== undefined && { timeoutMs: timeout }) };
}
