import { ConfigurationError } from '../../src/action/errors.ts';
import type { Job } from '../../src/action/job.ts';
import type { Config } from '../../src/config/config.ts';
import { findBackedUp, withoutRole } from '../../src/config/parse.ts';
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
  /** The AMI of the drill host; empty where none is launched. */
  readonly image: string;
  readonly accept: boolean;
  /** How old the newest backup may be, and the newest row in it, in ms. */
  readonly promiseMs: number;
  readonly staleMs: number;
  /** How long a drill host may take over one backup, where understudy.yml says so, in ms. */
  readonly limitMs: number | undefined;
}

interface Asked {
  readonly environment: string;
  readonly level: string;
  readonly where: 'runner' | 'drill-host';
  readonly image: string | undefined;
  readonly 'accept-trends': 'true' | 'false';
  readonly 'role-arn': string | undefined;
}

/**
 * Plans a drill from values alone.
 *
 * @throws ConfigurationError for a level that cannot be reached there
 */
export function planDrill(asked: Asked, job: Job, config: Config): Plan {
  const environment = findBackedUp(config, asked.environment, 'whose backups could be proven');
  const { backups } = environment;
  const level = Number(asked.level);
  const { app, region, backup } = config;
  const onHost = level > 1 && asked.where === 'drill-host';
  if (level > 5 && !onHost) throw elsewhere(level);
  if (onHost && asked.image === undefined) throw imageless(app);
  const described = { action: 'verify-backup', document: 'restore', app, region } as const;
  return {
    operation: describeOperation(job, {
      ...{ ...described, roleArn: asked['role-arn'] },
      environment: withoutRole(environment),
    }),
    backups,
    level,
    where: asked.where,
    image: (onHost && asked.image) || '',
    accept: asked['accept-trends'] === 'true',
    promiseMs: environment.proofMs,
    staleMs: backup.staleMs,
    limitMs: environment.rollout.timeoutMs,
  };
}

function elsewhere(level: number): ConfigurationError {
  return new ConfigurationError({
    where: 'input where',
    what: `Level ${level} (${ladder[level]}) needs an instance of its own, not the machine of this job.`,
    how: 'Ask for where: drill-host with an image, or for level: 5.',
  });
}

function imageless(app: string): ConfigurationError {
  return new ConfigurationError({
    where: 'input image',
    what: 'It is missing: a drill on an instance of its own (where: drill-host) is launched from an image.',
    how: `Make one of an instance of ${app}, by a workflow that calls create-ami.yml; and give its id, for example image: ami-0123456789abcdef0. Or ask for level: 1.`,
  });
}

/** The plan in lines, as it is printed. */
export function describePlan({ operation, backups, level, where, image, accept }: Plan): string[] {
  return [
    `operation   ${operation.id}`,
    `of          ${operation.app} in ${operation.environment}, region ${operation.region}`,
    `from        ${backups}`,
    `up to       level ${level}: ${ladder[level]}`,
    ...(level > 1 ? [`where       ${where}${image && ` launched from ${image}`}`] : []),
    ...(accept ? ['trends      what is odd is accepted this once'] : []),
  ];
}
