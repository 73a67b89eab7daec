import type { Job } from '../../src/action/job.ts';
import type { Config } from '../../src/config/config.ts';
import { findBackedUp } from '../../src/config/parse.ts';
import { describeOperation, type Operation } from '../../src/operation/operation.ts';

/** What will be done, decided before anything is. */
export interface Plan {
  readonly operation: Operation;
  /** The backup bucket. */
  readonly backups: string;
  readonly tier: string;
  readonly databases: readonly string[];
  /** Seconds that the agent of an instance may take to take the command. */
  readonly delivery: number;
  /** Seconds that one instance may take. */
  readonly timeout: number;
}

interface Asked {
  readonly environment: string;
  readonly tier: string;
  readonly timeout: number;
  readonly 'role-arn': string | undefined;
}

/** Each instance makes its own, whatever becomes of the others: also where some are out of reach from the start. */
const rollout = { concurrency: 1, errors: 50 } as const;

/** Plans a backup from values alone. */
export function planBackup(asked: Asked, job: Job, config: Config): Plan {
  const environment = findBackedUp(config, asked.environment, 'to back up to');
  const { app, region, data } = config;
  const { backups } = environment;
  const described = {
    action: 'backup',
    document: 'backup',
    app,
    region,
    roleArn: asked['role-arn'],
  } as const;
  return {
    operation: { ...describeOperation(job, { ...described, environment }), rollout },
    backups,
    tier: asked.tier,
    databases: data.databases,
    delivery: environment.rollout.deliveryMs / 1000,
    timeout: asked.timeout,
  };
}

/** The plan in lines, as it is printed. */
export function describePlan({ operation, backups, tier, databases, delivery, timeout }: Plan): string[] {
  return [
    `operation   ${operation.id}`,
    `of          ${operation.app} in ${operation.environment}, region ${operation.region}`,
    `to          ${backups}, tier ${tier}`,
    `databases   ${databases.join(', ') || 'none in understudy.yml here; the live release says'}`,
    `time        ${delivery} s to take the command, ${timeout} s each`,
  ];
}
