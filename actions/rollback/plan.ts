import { ConfigurationError } from '../../src/action/errors.ts';
import type { Job } from '../../src/action/job.ts';
import type { Config } from '../../src/config/config.ts';
import { findEnvironment } from '../../src/config/parse.ts';
import { describeOperation, type Operation } from '../../src/operation/operation.ts';
import { readWish, type Wish } from '../../src/rollback/backups.ts';

/** What will be done, decided before anything is. */
export interface Plan {
  readonly operation: Operation;
  /** The backup bucket. */
  readonly backups: string;
  readonly wish: Wish;
  /** Whether it is only told. */
  readonly dry: boolean;
  readonly service: Config['service'];
  /** Seconds that the agent of an instance may take to take a command. */
  readonly delivery: number;
}

interface Asked {
  readonly environment: string;
  readonly what: 'release' | 'data' | 'image';
  readonly to: string;
  readonly plan: 'true' | 'false';
  readonly 'role-arn': string | undefined;
}

/** Plans a rollback from values alone. */
export function planRollback(asked: Asked, job: Job, config: Config): Plan {
  if (asked.what !== 'data') throw notThere(asked.what);
  const { backups, ...environment } = findEnvironment(config, asked.environment);
  if (backups === undefined) {
    throw new ConfigurationError({
      where: `understudy.yml: environments.${environment.name}.backups`,
      what: 'is missing: there is no bucket with a backup to go back to.',
      how: `Name the backup bucket of infra/foundation.yaml; for example: backups: ${config.app}-understudy-backups`,
      reason: 'bad-config',
    });
  }
  const { app, region, service } = config;
  const described = { action: `rollback-${asked.what}`, document: 'restore', app, region } as const;
  const operation = describeOperation(job, {
    ...{ ...described, roleArn: asked['role-arn'] },
    environment: withoutRole({ ...environment, backups }),
  });
  return {
    operation: { ...operation, rollout: { concurrency: 1, errors: 0 } },
    backups,
    wish: readWish(asked.to === 'default' ? undefined : asked.to),
    dry: asked.plan === 'true',
    service,
    delivery: environment.rollout.deliveryMs / 1000,
  };
}

function notThere(what: string): ConfigurationError {
  return new ConfigurationError({
    where: 'input what',
    what: `Going back to an earlier ${what} comes with a later version. Nothing was changed.`,
    how: 'Example: what: data',
  });
}

/** The role in understudy.yml deploys, and may restore nothing. */
function withoutRole<Environment extends { readonly roleArn?: string }>(
  environment: Environment,
): Omit<Environment, 'roleArn'> {
  const { roleArn: _, ...rest } = environment;
  return rest;
}

/** The plan in lines, as it is printed. */
export function describePlan({ operation, backups, dry }: Plan): string[] {
  return [
    `operation   ${operation.id}`,
    `of          ${operation.app} in ${operation.environment}, region ${operation.region}`,
    `from        ${backups}`,
    ...(dry ? ['plan        it is told, and nothing is changed'] : []),
  ];
}
