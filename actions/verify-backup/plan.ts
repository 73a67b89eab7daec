import { ConfigurationError, OperationError } from '../../src/action/errors.ts';
import type { Job } from '../../src/action/job.ts';
import type { Config } from '../../src/config/config.ts';
import { findEnvironment } from '../../src/config/parse.ts';
import { ladder } from '../../src/drill/ladder.ts';
import { describeOperation, type Operation } from '../../src/operation/operation.ts';

/** What will be done, decided before anything is. */
export interface Plan {
  readonly operation: Operation;
  /** The backup bucket. */
  readonly backups: string;
  /** How far up the ladder of proof. */
  readonly level: number;
  readonly where: 'runner' | 'drill-host';
  readonly accept: boolean;
  /** How old the newest backup may be, and the newest row in it, in ms. */
  readonly promiseMs: number;
  readonly staleMs: number;
}

interface Asked {
  readonly environment: string;
  readonly level: string;
  readonly where: 'runner' | 'drill-host';
  readonly 'accept-trends': 'true' | 'false';
  readonly 'role-arn': string | undefined;
}

/**
 * Plans a drill from values alone.
 *
 * @throws OperationError drill-could-not-run for what is not built yet
 */
export function planDrill(asked: Asked, job: Job, config: Config): Plan {
  const { backups, ...environment } = findEnvironment(config, asked.environment);
  if (backups === undefined) {
    throw new ConfigurationError({
      where: `understudy.yml: environments.${environment.name}.backups`,
      what: 'is missing: there is no bucket whose backups could be proven.',
      how: `Name the backup bucket of infra/foundation.yaml; for example: backups: ${config.app}-understudy-backups`,
      reason: 'bad-config',
    });
  }
  const level = Number(asked.level);
  if (level > 5) throw notBuilt(`Level ${level} (${ladder[level]})`, 'level: 5');
  if (level > 1 && asked.where === 'drill-host') {
    const choice =
      'where: runner, which brings the data of the backup, personal data too, to this machine; or level: 1';
    throw notBuilt('A drill on an instance of its own (where: drill-host)', choice);
  }
  const { app, region, backup } = config;
  const described = { action: 'verify-backup', document: 'restore', app, region } as const;
  return {
    operation: describeOperation(job, {
      ...{ ...described, roleArn: asked['role-arn'] },
      environment: withoutRole({ ...environment, backups }),
    }),
    backups,
    level,
    where: asked.where,
    accept: asked['accept-trends'] === 'true',
    promiseMs: environment.proofMs,
    staleMs: backup.staleMs,
  };
}

/** The role in understudy.yml deploys, and may write no proof. */
function withoutRole<Environment extends { readonly roleArn?: string }>(
  environment: Environment,
): Omit<Environment, 'roleArn'> {
  const { roleArn: _, ...rest } = environment;
  return rest;
}

function notBuilt(what: string, instead: string): OperationError {
  return new OperationError({
    reason: 'drill-could-not-run',
    happened: `${what} is not built yet in this version.`,
    stateNow: 'Nothing was tried, so nothing is known of the backup.',
    todo: `Ask for what there is: ${instead}.`,
  });
}

/** The plan in lines, as it is printed. */
export function describePlan({ operation, backups, level, where, accept }: Plan): string[] {
  return [
    `operation   ${operation.id}`,
    `of          ${operation.app} in ${operation.environment}, region ${operation.region}`,
    `from        ${backups}`,
    `up to       level ${level}: ${ladder[level]}`,
    ...(level > 1 ? [`where       ${where}`] : []),
    ...(accept ? ['trends      what is odd is accepted this once'] : []),
  ];
}
