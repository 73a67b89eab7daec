import { ConfigurationError } from '../../src/action/errors.ts';
import type { Job } from '../../src/action/job.ts';
import { inSpan } from '../../src/action/log.ts';
import { secondsOfDeploy } from '../../src/config/allowance.ts';
import type { Config, Environment } from '../../src/config/config.ts';
import { findEnvironment } from '../../src/config/parse.ts';
import { describeOperation, type Operation } from '../../src/operation/operation.ts';

/** What will be done, decided before anything is. */
export interface Plan {
  readonly operation: Operation;
  /** As the promotion is seen where the release was proven: it sends the probe there, and reads. */
  readonly origin: Operation;
  /** The backup bucket. */
  readonly backups: string;
  readonly tag: string;
  /** The commit that the event of the tag told; undefined where a person named the tag. */
  readonly told: string | undefined;
  readonly confirmed: boolean;
  /** Whether only to look. */
  readonly planned: boolean;
  readonly url: string | undefined;
  readonly environment: Environment;
  /** Seconds that the agent of an instance may take to take the command. */
  readonly delivery: number;
  /** Seconds that one instance may take over the deploy. */
  readonly timeout: number;
}

interface Asked {
  readonly tag: string | undefined;
  readonly confirm: string | undefined;
  readonly plan: 'true' | 'false';
  readonly environment: string;
  readonly from: string;
  readonly 'role-arn': string | undefined;
}

const ofTags = 'refs/tags/';

/** Plans a promotion from values alone. */
export function planPromotion(asked: Asked, job: Job, config: Config): Plan {
  const tag = asked.tag ?? (job.ref.startsWith(ofTags) ? job.ref.slice(ofTags.length) : undefined);
  if (tag === undefined) throw tagless(job.ref);
  refuseOtherConfirmation(asked.confirm, tag);
  const { environment, from } = sidesOf(asked, config);
  const { app, region } = config;
  const described = { action: 'promote', app, region } as const;
  const roleArn = asked['role-arn'];
  return {
    operation: describeOperation(job, { ...described, document: 'deploy', environment, roleArn }),
    origin: describeOperation(job, {
      ...{ ...described, document: 'probe', environment: from, roleArn: from.promoterArn },
    }),
    backups: environment.backups ?? '',
    tag,
    told: job.ref === ofTags + tag && job.sha !== '' ? job.sha : undefined,
    confirmed: job.event === 'workflow_dispatch' && asked.confirm === tag,
    planned: asked.plan === 'true',
    url: environment.url,
    environment,
    delivery: environment.rollout.deliveryMs / 1000,
    timeout: secondsOfDeploy(config, environment),
  };
}

function sidesOf(asked: Asked, config: Config): { environment: Environment; from: Environment } {
  const environment = findEnvironment(config, asked.environment);
  const from = findEnvironment(config, asked.from);
  if (from.name === environment.name) {
    throw new ConfigurationError({
      where: 'input from',
      what: `The release cannot come from ${from.name} to ${environment.name}.`,
      how: 'Name two environments; for example: from: staging, environment: production',
    });
  }
  if (from.promoterArn === undefined) {
    throw missing(
      from,
      'promoter-arn',
      'is missing: without that role nobody can see what was proven there.',
      `Name the role that infra/foundation.yaml makes with PromotesTo=${environment.name}; for example: promoter-arn: arn:aws:iam::111122223333:role/${config.app}-${from.name}-promoter`,
    );
  }
  if (environment.backups === undefined) {
    throw missing(
      environment,
      'backups',
      'is missing: nothing is promoted without a backup.',
      `Name the backup bucket of infra/foundation.yaml; for example: backups: ${config.app}-${environment.name}-backups`,
    );
  }
  return { environment, from };
}

function missing({ name }: Environment, key: string, what: string, how: string): ConfigurationError {
  return new ConfigurationError({
    ...{ where: `understudy.yml: environments.${name}.${key}`, what, how, reason: 'bad-config' },
  });
}

function tagless(ref: string): ConfigurationError {
  return new ConfigurationError({
    where: 'input tag',
    what: `It is missing, and the workflow runs on ${ref || 'no ref'}, which is no tag.`,
    how: 'Run the workflow on a tag, or name one; for example: tag: v1.4.0',
  });
}

/** Whoever confirms says what: a slip is no confirmation. */
function refuseOtherConfirmation(confirm: string | undefined, tag: string): void {
  if (confirm === undefined || confirm === tag) return;
  throw new ConfigurationError({
    where: 'input confirm',
    what: `It is ${JSON.stringify(confirm)}, and the tag is ${tag}.`,
    how: `Give the very tag that is to be promoted; for example: confirm: ${tag}`,
  });
}

/** The plan in lines, as it is printed. */
export function describePlan({ operation, origin, tag, environment, ...plan }: Plan): string[] {
  const { soakMs, bakeMs, proofMs, rollout } = environment;
  return [
    `operation   ${operation.id}`,
    `tag         ${tag}${plan.told ? `, commit ${plan.told}` : ''}`,
    `of          ${operation.app}, region ${operation.region}`,
    `from        ${origin.environment}, bucket ${origin.bucket}`,
    `to          ${operation.environment}, bucket ${operation.bucket}, backups ${plan.backups}`,
    `wants       ${inSpan(soakMs)} of soak, a proven backup of the last ${inSpan(proofMs)}`,
    `rollout     ${rollout.concurrency} at once, ${rollout.errors} may fail, ${plan.delivery} s to take the command, ${plan.timeout} s each; partial: ${rollout.partial}`,
    `bake        watched for ${inSpan(bakeMs)} afterwards`,
    ...(plan.planned ? ['plan        nothing is changed'] : []),
  ];
}
