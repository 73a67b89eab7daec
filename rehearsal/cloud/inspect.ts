import { CloudWatchLogsClient, DescribeLogGroupsCommand } from '@aws-sdk/client-cloudwatch-logs';
import {
  GetInstanceProfileCommand,
  GetOpenIDConnectProviderCommand,
  GetPolicyCommand,
  GetRoleCommand,
  IAMClient,
} from '@aws-sdk/client-iam';
import { GetBucketPolicyCommand, HeadBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { DescribeDocumentCommand, ListAssociationsCommand, SSMClient } from '@aws-sdk/client-ssm';
import { type Cloud, operatorClient } from './handle.ts';
import type { Resource } from './stacks.ts';

type Look = (cloud: Cloud, physicalId: string) => Promise<unknown>;

const iam = (cloud: Cloud): IAMClient => new IAMClient(operatorClient(cloud));
const s3 = (cloud: Cloud): S3Client => new S3Client({ ...operatorClient(cloud), forcePathStyle: true });

/** How each type of resource is looked at in its own service: CloudFormation's word for it is not enough. */
const looks: Readonly<Record<string, Look>> = {
  'AWS::S3::Bucket': (cloud, Bucket) => s3(cloud).send(new HeadBucketCommand({ Bucket })),
  'AWS::S3::BucketPolicy': (cloud, Bucket) => s3(cloud).send(new GetBucketPolicyCommand({ Bucket })),
  'AWS::IAM::Role': (cloud, RoleName) => iam(cloud).send(new GetRoleCommand({ RoleName })),
  'AWS::IAM::InstanceProfile': (cloud, InstanceProfileName) =>
    iam(cloud).send(new GetInstanceProfileCommand({ InstanceProfileName })),
  'AWS::IAM::ManagedPolicy': (cloud, PolicyArn) => iam(cloud).send(new GetPolicyCommand({ PolicyArn })),
  'AWS::IAM::OIDCProvider': (cloud, OpenIDConnectProviderArn) =>
    iam(cloud).send(new GetOpenIDConnectProviderCommand({ OpenIDConnectProviderArn })),
  'AWS::Logs::LogGroup': async (cloud, name) => {
    const logs = new CloudWatchLogsClient(operatorClient(cloud));
    const { logGroups = [] } = await logs.send(new DescribeLogGroupsCommand({ logGroupNamePrefix: name }));
    if (!logGroups.some((group) => group.logGroupName === name))
      throw new Error(`there is no log group ${name}`);
  },
  'AWS::SSM::Document': (cloud, Name) =>
    new SSMClient(operatorClient(cloud)).send(new DescribeDocumentCommand({ Name })),
  'AWS::SSM::Association': async (cloud, value) => {
    const AssociationFilterList = [{ key: 'AssociationName' as const, value }];
    const ssm = new SSMClient(operatorClient(cloud));
    const { Associations: found } = await ssm.send(new ListAssociationsCommand({ AssociationFilterList }));
    if (found?.length !== 1) throw new Error(`there is no association ${value}`);
  },
};

/** Types that the emulator takes without a word, makes nothing of, or nothing that does anything, and calls complete. */
const skippedByEmulator = new Set([
  'AWS::CloudWatch::Alarm',
  'AWS::Events::Rule',
  'AWS::IAM::OIDCProvider',
  'AWS::Logs::ResourcePolicy',
  'AWS::S3::BucketPolicy',
]);

/**
 * Looks at each resource in its own service. Gives the logical ids of those that the emulator is known to skip and did
 * skip; throws when any other is not there.
 */
export async function inspect(cloud: Cloud, resources: readonly Resource[]): Promise<string[]> {
  const missing = await Promise.all(
    resources.map(async (each) => ({ each, why: await problemWith(cloud, each) })),
  );
  const absent = missing.filter(({ why }) => why !== undefined);
  const grave = absent.filter(({ each }) => !skippedByEmulator.has(each.type));
  if (grave.length > 0) {
    const lines = grave.map(({ each, why }) => `  ${each.logicalId} (${each.type}): ${why}`);
    throw new Error(`CloudFormation says that it is done, but these are not there:\n${lines.join('\n')}`);
  }
  return absent.map(({ each }) => each.logicalId);
}

async function problemWith(cloud: Cloud, resource: Resource): Promise<string | undefined> {
  const look = looks[resource.type];
  if (look === undefined)
    return 'nobody has said how to look at this type: add it to rehearsal/cloud/inspect.ts';
  if (resource.physicalId === undefined) return 'CloudFormation does not list it';
  try {
    await look(cloud, resource.physicalId);
    return undefined;
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
}
