import { DescribeVpcsCommand, EC2Client } from '@aws-sdk/client-ec2';
import {
  CreateOpenIDConnectProviderCommand,
  IAMClient,
  ListOpenIDConnectProvidersCommand,
} from '@aws-sdk/client-iam';
import { PutPublicAccessBlockCommand, S3Client } from '@aws-sdk/client-s3';
import { findEnvironment } from '../../src/config/parse.ts';
import { openRepository } from '../runner/github.ts';
import { calledWorkflows } from '../runner/workflow.ts';
import { type Cloud, operatorClient } from './handle.ts';
import { inspect } from './inspect.ts';
import { type Place, readPlace } from './place.ts';
import { listResources, type Resource, raiseStack, type StackPlan, storeTemplate } from './stacks.ts';

export interface Provision extends Place {
  /** `owner/name` on GitHub. */
  readonly repository: string;
  readonly onStep?: (sentence: string) => void;
}

/**
 * Does what an operator does once for an environment: its stacks, by CloudFormation. Then looks at every resource in
 * its own service, and gives the names of those that the emulator skips without a word: these were not exercised.
 */
export async function provision(cloud: Cloud, wish: Provision): Promise<string[]> {
  const tell = wish.onStep ?? (() => undefined);
  const config = readPlace(wish);
  const { bucket, backups, promoterArn } = findEnvironment(config, wish.environment);
  const workflows = calledWorkflows(wish.folder);
  const calls = (name: string) => workflows.filter((ref) => ref.includes(`/${name}.yml@`));
  const onlyDrills = calls('verify-backup');
  // An image is proven by the role that drills.
  const drills = [...onlyDrills, ...calls('create-ami')];
  const rollbacks = calls('rollback');
  const promotions = calls('promote');
  const staging = wish.environment === 'staging';
  const others = staging ? promotions : calls('deploy-staging');
  const launches = calls('launch-staging');
  const known = await openRepository(cloud, wish.repository, wish.folder);
  const parameters = {
    App: wish.app,
    Environment: wish.environment,
    Repository: wish.repository,
    RepositoryId: String(known.id),
    OidcProviderArn: await identityProvider(cloud),
    StateBucketName: bucket,
    BackupBucketName: backups ?? `${bucket}-backups`,
  };
  const promotes = promoterArn !== undefined && promotions.length > 0;
  const foundation: StackPlan = {
    name: `${wish.app}-${wish.environment}`,
    template: 'infra/foundation.yaml',
    bucket,
    parameters: {
      ...parameters,
      WorkflowRefs: workflows
        .filter((ref) => ![...onlyDrills, ...rollbacks, ...launches, ...others].includes(ref))
        .join(','),
      ...(!staging && { Refs: 'refs/heads/main,refs/tags/v*' }),
      ...(promotes && {
        PromotesTo: 'production',
        // The emulator does not take the default of a list apart.
        PromoteRefs: 'refs/tags/v*,refs/heads/main',
        PromoteWorkflowRefs: promotions.join(','),
      }),
    },
  };
  const documents: StackPlan = {
    name: `${wish.app}-documents`,
    template: 'infra/documents.yaml',
    bucket,
    parameters: { App: wish.app },
  };
  await raiseStack(cloud, foundation);
  await closeBucket(cloud, bucket);
  await closeBucket(cloud, parameters.BackupBucketName);
  tell(`the stack ${foundation.name} is complete`);
  await raiseStack(cloud, documents);
  tell(`the stack ${documents.name} is complete`);
  const drill: StackPlan = {
    name: `${wish.app}-${wish.environment}-drill`,
    template: 'infra/drill.yaml',
    bucket,
    parameters: { ...parameters, WorkflowRefs: drills.join(',') },
  };
  if (drills.length > 0) {
    await storeTemplate(cloud, bucket, 'drill-host');
    await raiseStack(cloud, drill);
    tell(`the stack ${drill.name} is complete`);
  }
  const rollback: StackPlan = {
    name: `${wish.app}-${wish.environment}-rollback`,
    template: 'infra/rollback.yaml',
    bucket,
    parameters: { ...parameters, WorkflowRefs: rollbacks.join(','), Vpc: await networkOf(cloud) },
  };
  if (rollbacks.length > 0) {
    await storeTemplate(cloud, bucket, 'production-host');
    await raiseStack(cloud, rollback);
    tell(`the stack ${rollback.name} is complete`);
  }
  const images: StackPlan = {
    name: `${wish.app}-${wish.environment}-images`,
    template: 'infra/images.yaml',
    bucket,
    parameters: { App: wish.app, Environment: wish.environment, Proofs: `${drills.length > 0}` },
  };
  // Before a promotion an image is made of what is there.
  const makesImages = calls('create-ami').length > 0 || (!staging && promotions.length > 0);
  if (makesImages) {
    await raiseStack(cloud, images);
    tell(`the stack ${images.name} is complete`);
  }
  const resources = [
    ...(rollbacks.length > 0 ? await listResources(cloud, rollback) : []),
    ...(makesImages ? await listResources(cloud, images, { Proven: drills.length > 0 }) : []),
    ...(await raiseLauncher(cloud, wish, { bucket, parameters }, launches, tell)),
    ...(drills.length > 0 ? await listResources(cloud, drill) : []),
    ...(await listResources(cloud, foundation, {
      MakeOidcProvider: false,
      MakePromoter: promotes,
    })),
    ...(await listResources(cloud, documents)),
    ...(backups === undefined ? [] : await raiseSchedule(cloud, wish, bucket, backups, tell)),
  ];
  const skipped = [...(await inspect(cloud, resources)), 'OidcProvider'];
  tell(
    `${resources.length - skipped.length + 1} resources are there; not exercised here: ${skipped.join(', ')}`,
  );
  return skipped;
}

/** The network that hosts run in: the account's default one. */
async function networkOf(cloud: Cloud): Promise<string> {
  const ec2 = new EC2Client(operatorClient(cloud));
  const Filters = [{ Name: 'is-default', Values: ['true'] }];
  const { Vpcs: [network] = [] } = await ec2.send(new DescribeVpcsCommand({ Filters }));
  return network?.VpcId ?? '';
}

/** The roles that launch an environment anew; production is not launched so. */
async function raiseLauncher(
  cloud: Cloud,
  { app, environment }: Place,
  { bucket, parameters }: Pick<StackPlan, 'bucket' | 'parameters'>,
  workflows: readonly string[],
  tell: (sentence: string) => void,
): Promise<Resource[]> {
  if (workflows.length === 0 || environment === 'production') return [];
  const { BackupBucketName: _, ...known } = parameters;
  const launcher: StackPlan = {
    name: `${app}-${environment}-launcher`,
    template: 'infra/staging.yaml',
    bucket,
    parameters: { ...known, WorkflowRefs: workflows.join(',') },
  };
  await storeTemplate(cloud, bucket, 'staging-host');
  await raiseStack(cloud, launcher);
  tell(`the stack ${launcher.name} is complete`);
  return listResources(cloud, launcher);
}

async function raiseSchedule(
  cloud: Cloud,
  { app, environment }: Place,
  bucket: string,
  backups: string,
  tell: (sentence: string) => void,
): Promise<Resource[]> {
  const schedule: StackPlan = {
    name: `${app}-${environment}-backup`,
    template: 'infra/backup.yaml',
    bucket,
    parameters: { App: app, Environment: environment, BackupBucketName: backups },
  };
  await raiseStack(cloud, schedule);
  tell(`the stack ${schedule.name} is complete`);
  return listResources(cloud, schedule, { Tell: false });
}

/** The emulator makes the template's bucket without its PublicAccessBlockConfiguration. */
export async function closeBucket(cloud: Cloud, Bucket: string): Promise<void> {
  const on = { BlockPublicAcls: true, IgnorePublicAcls: true };
  const PublicAccessBlockConfiguration = { ...on, BlockPublicPolicy: true, RestrictPublicBuckets: true };
  const s3 = new S3Client({ ...operatorClient(cloud), forcePathStyle: true });
  await s3.send(new PutPublicAccessBlockCommand({ Bucket, PublicAccessBlockConfiguration }));
}

/**
 * GitHub's identity provider of the account. There can be one, so the first one who comes makes it, and the template is
 * told of it: its own resource for it is skipped by the emulator (local-cloud.md), whose !Ref would then name nothing.
 */
async function identityProvider(cloud: Cloud): Promise<string> {
  const iam = new IAMClient(operatorClient(cloud));
  const host = 'token.actions.githubusercontent.com';
  const { OpenIDConnectProviderList: known = [] } = await iam.send(new ListOpenIDConnectProvidersCommand({}));
  const found = known.find((provider) => provider.Arn?.endsWith(`/${host}`))?.Arn;
  if (found !== undefined) return found;
  const request = { Url: `https://${host}`, ClientIDList: ['sts.amazonaws.com'] };
  try {
    const made = await iam.send(new CreateOpenIDConnectProviderCommand(request));
    return made.OpenIDConnectProviderArn ?? '';
  } catch (error) {
    // Somebody who provisions another app at the same time was faster.
    if (error instanceof Error && error.name === 'EntityAlreadyExistsException')
      return identityProvider(cloud);
    throw error;
  }
}
