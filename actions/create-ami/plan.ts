import { ConfigurationError } from '../../src/action/errors.ts';
import type { Job } from '../../src/action/job.ts';
import type { Config } from '../../src/config/config.ts';
import { findEnvironment } from '../../src/config/parse.ts';
import { nameImage } from '../../src/image/image.ts';
import type { Rules } from '../../src/image/retention.ts';
import { describeOperation, type Operation } from '../../src/operation/operation.ts';

/** What will be done, decided before anything is. */
export interface Plan {
  readonly operation: Operation;
  /** The backup bucket; empty where none is needed. */
  readonly backups: string;
  /** The image that is there already; empty where one is to be made. */
  readonly given: string;
  /** The name of the one that is to be made. */
  readonly name: string;
  /** Of which instance; empty for the only one. */
  readonly instance: string;
  readonly prove: boolean;
  /** The role that proves; absent where the job's own credentials do. */
  readonly proofRole?: string;
  readonly reboot: boolean;
  readonly backUp: boolean;
  /** Which images stay; absent where all do. */
  readonly rules?: Rules;
  readonly deprecateMs: number;
  /** Seconds that the agent of an instance may take to take the command of the backup, and the backup. */
  readonly delivery: number;
  readonly timeout: number;
}

type Flag = 'true' | 'false';

interface Asked {
  readonly environment: string;
  readonly instance: string | undefined;
  readonly image: string | undefined;
  readonly prove: Flag;
  readonly reboot: Flag;
  readonly 'back-up-first': Flag;
  readonly keep: number | 'all';
  readonly 'keep-months': number;
  readonly 'deprecate-after': number;
  readonly timeout: number;
  readonly 'role-arn': string | undefined;
  readonly 'proof-role-arn': string | undefined;
}

const dayMs = 86_400_000;

/**
 * Plans an image from values alone.
 *
 * @throws ConfigurationError for inputs that contradict each other, or a bucket that is needed and not named
 */
export function planImage(asked: Asked, job: Job, config: Config): Plan {
  const environment = findEnvironment(config, asked.environment);
  const { app, region } = config;
  const [prove, reboot] = [asked.prove === 'true', asked.reboot === 'true'];
  const given = asked.image ?? '';
  if (given !== '' && !prove) throw idle();
  const backUp = given === '' && asked['back-up-first'] === 'true';
  const { backups } = environment;
  if (backups === undefined && (backUp || prove)) throw bucketless(environment.name, app);
  const role = asked['role-arn'] ?? environment.roleArn;
  const proofRole = asked['proof-role-arn'];
  if (prove && role !== undefined && proofRole === undefined) throw unprovable(role, app, environment.name);
  const described = { action: 'create-ami', document: 'backup', app, region } as const;
  return {
    operation: describeOperation(job, { ...described, environment, roleArn: asked['role-arn'] }),
    ...{ given, backups: backups ?? '', name: nameImage(app, environment.name, job.runId) },
    ...{ instance: asked.instance ?? '', prove, reboot, backUp },
    ...(proofRole !== undefined && { proofRole }),
    ...(asked.keep !== 'all' && { rules: { last: asked.keep, months: asked['keep-months'] } }),
    deprecateMs: asked['deprecate-after'] * dayMs,
    delivery: environment.rollout.deliveryMs / 1000,
    timeout: asked.timeout,
  };
}

function idle(): ConfigurationError {
  return new ConfigurationError({
    where: 'input image',
    what: 'An image that is there already is given, and it is not to be proven: there is nothing to do.',
    how: 'Ask for prove: true, or leave image out, and one is made.',
  });
}

function unprovable(role: string, app: string, environment: string): ConfigurationError {
  const example = role.replace(/[^/]+$/, `${app}-${environment}-drill`);
  return new ConfigurationError({
    where: 'input proof-role-arn',
    what: 'It is missing: the role that deploys may not prepare the instance that proves an image, nor call it golden.',
    how: `Give the role that infra/drill.yaml made, to which infra/images.yaml adds what it needs; for example proof-role-arn: ${example}. Or ask for prove: false.`,
  });
}

function bucketless(environment: string, app: string): ConfigurationError {
  return new ConfigurationError({
    where: `understudy.yml: environments.${environment}.backups`,
    what: 'is missing: a backup comes before the image, and the template of the instance that proves it names the bucket.',
    how: `Name the backup bucket of infra/foundation.yaml; for example: backups: ${app}-understudy-backups. Or ask for back-up-first: false and prove: false.`,
    reason: 'bad-config',
  });
}

/** The plan in lines, as it is printed. */
export function describePlan(plan: Plan): string[] {
  const { operation, given, name, instance, prove, reboot, backUp, rules } = plan;
  const made = [
    `backup      ${backUp ? 'first, so that the image holds a verified copy' : 'none'}`,
    `image       ${name} of ${instance || 'the instance'}, ${reboot ? 'shut down meanwhile' : 'which serves on'}`,
  ];
  const kept = rules && `the last ${rules.last}, and one a month of the last ${rules.months} months`;
  return [
    `operation   ${operation.id}`,
    `of          ${operation.app} in ${operation.environment}, region ${operation.region}`,
    ...(given === '' ? made : [`image       ${given}, which is there`]),
    `proof       ${prove ? 'on an instance that is booted from it, cut off, and removed' : 'none: it is not golden'}`,
    `kept        ${kept ?? 'all images'}`,
  ];
}
