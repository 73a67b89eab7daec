import { ConfigurationError } from '../../src/action/errors.ts';
import type { Job } from '../../src/action/job.ts';
import { secondsOfDeploy } from '../../src/config/allowance.ts';
import type { Check, Config, WhenPartial } from '../../src/config/config.ts';
import { findEnvironment } from '../../src/config/parse.ts';
import { describeOperation, type Operation } from '../../src/operation/operation.ts';
import type { BuiltRelease } from '../../src/release/store.ts';

/** What will be done, decided before anything is. */
export interface Plan {
  readonly operation: Operation;
  readonly release: BuiltRelease;
  readonly switch: string;
  readonly checks: readonly Check[];
  readonly url: string | undefined;
  /** What the others do with a release that more instances did not take than may fail. */
  readonly partial: WhenPartial;
  /** Seconds that the agent of an instance may take to take the command. */
  readonly delivery: number;
  /** Seconds that one instance may take. */
  readonly timeout: number;
}

interface Asked {
  readonly environment: string;
  readonly 'role-arn': string | undefined;
}

/** Plans a deploy from values alone. */
export function planDeploy(asked: Asked, job: Job, config: Config, release: BuiltRelease): Plan {
  refuseProduction(asked.environment);
  const environment = findEnvironment(config, asked.environment);
  const { app, region } = config;
  const roleArn = asked['role-arn'];
  return {
    operation: describeOperation(job, {
      action: 'deploy',
      document: 'deploy',
      app,
      region,
      environment,
      roleArn,
    }),
    release,
    switch: config.service.switch,
    checks: config.checks,
    url: environment.url,
    partial: environment.rollout.partial,
    delivery: environment.rollout.deliveryMs / 1000,
    timeout: secondsOfDeploy(config, environment),
  };
}

function refuseProduction(environment: string): void {
  if (environment !== 'production') return;
  throw new ConfigurationError({
    where: 'input environment',
    what: 'production is promoted to, never deployed to directly. Nothing was changed.',
    how: 'Deploy to staging, and promote from there with actions/promote. Example: environment: staging',
  });
}

/** The plan in lines, as it is printed. */
export function describePlan({ operation, release, checks, delivery, timeout, ...plan }: Plan): string[] {
  const { concurrency, errors } = operation.rollout;
  return [
    `operation   ${operation.id}`,
    `release     ${release.id}`,
    `commit      ${release.commit}`,
    `to          ${operation.app} on ${operation.environment}, region ${operation.region}`,
    `bucket      ${operation.bucket}`,
    `rollout     ${concurrency} at once, ${errors} may fail, ${delivery} s to take the command, ${timeout} s each; partial: ${plan.partial}`,
    `switch      ${plan.switch}`,
    ...checks.map(
      ({ path, status, type }) => `check       ${path} answers ${status}${type ? ` ${type}` : ''}`,
    ),
  ];
}
