import { ConfigurationError } from '../../src/action/errors.ts';
import type { Job } from '../../src/action/job.ts';
import type { Config } from '../../src/config/config.ts';
import { findEnvironment } from '../../src/config/parse.ts';
import { describeOperation, type Operation } from '../../src/operation/operation.ts';

/** What will be done, decided before anything is. */
export interface Plan {
  readonly operation: Operation;
  /** The environment whose image it is launched from. */
  readonly from: string;
  /** An AMI; empty for the newest golden one. */
  readonly image: string;
  /** The stack that it will be. */
  readonly stack: string;
  /** GiB. */
  readonly disk: number;
  /** In ms; absent for one that stays. */
  readonly lifeMs?: number;
  readonly atEnd: 'remove' | 'stop';
  /** A block of addresses; empty for nobody. */
  readonly access: string;
  readonly address: 'any' | 'elastic';
  readonly type: string;
  readonly service: Config['service'];
  readonly workers: readonly string[];
  /** How long the app may take to be healthy once it is enrolled, ms. */
  readonly healthyMs: number;
}

interface Asked {
  readonly environment: string;
  readonly from: string;
  readonly image: string | undefined;
  readonly disk: number;
  readonly life: number | undefined;
  readonly 'at-end': 'remove' | 'stop';
  readonly access: string | undefined;
  readonly address: 'any' | 'elastic';
  readonly type: string;
  readonly 'role-arn': string | undefined;
}

/** A first start after a boot finds every cache cold. */
const coldStartMs = 120_000;

/** Plans a launch from values alone. */
export function planLaunch(asked: Asked, job: Job, config: Config): Plan {
  refuseProduction(asked.environment);
  const { roleArn: _, ...environment } = findEnvironment(config, asked.environment);
  const { app, region, service, workers, checks } = config;
  const { from, image = '', disk, life, 'at-end': atEnd, access = '', address, type } = asked;
  const described = { action: 'launch-staging', document: 'prepare-host', app, region } as const;
  return {
    // The role in understudy.yml deploys, and may launch nothing.
    operation: describeOperation(job, { ...described, environment, roleArn: asked['role-arn'] }),
    stack: `${app}-${environment.name}-launched-${job.runId}-${job.attempt}`,
    ...{ from, image, disk, atEnd, access, address, type, service, workers },
    ...(life !== undefined && { lifeMs: life }),
    healthyMs:
      coldStartMs + service.startTimeoutMs + checks.reduce((sum, { timeoutMs }) => sum + timeoutMs, 0),
  };
}

function refuseProduction(environment: string): void {
  if (environment !== 'production') return;
  throw new ConfigurationError({
    where: 'input environment',
    what: 'production is never launched beside itself. Nothing was changed.',
    how: 'To bring production back on a new machine, use rollback with what: image. Example: environment: staging',
  });
}

/** The plan in lines, as it is printed. */
export function describePlan(plan: Plan): string[] {
  const { operation, from, image, stack, disk, lifeMs, atEnd, access, address, type, service } = plan;
  const life = lifeMs === undefined ? 'stays until it is replaced' : `${lifeMs / 3_600_000} h, then ${atEnd}`;
  return [
    `operation   ${operation.id}`,
    `launches    ${operation.app} in ${operation.environment}, region ${operation.region}`,
    `from        ${image || 'the newest golden image'} of ${from}`,
    `as          the stack ${stack}: ${type}, ${disk} GiB, ${address === 'any' ? 'an address of its own' : 'an Elastic IP'}`,
    `life        ${life}`,
    `access      port ${service.listen} for ${access || 'nobody but Session Manager'}`,
  ];
}
