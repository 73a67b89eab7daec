import { setTimeout as sleep } from 'node:timers/promises';
import { EC2Client, RunInstancesCommand, type RunInstancesCommandInput } from '@aws-sdk/client-ec2';
import {
  AddRoleToInstanceProfileCommand,
  CreateInstanceProfileCommand,
  CreateRoleCommand,
  GetInstanceProfileCommand,
  IAMClient,
} from '@aws-sdk/client-iam';
import { DescribeInstanceInformationCommand, SSMClient } from '@aws-sdk/client-ssm';
import { baseImage } from '../gateway/ec2/images.ts';
import { type Cloud, operatorClient } from './handle.ts';
import { describeHost } from './host.ts';

export interface LaunchOptions {
  readonly tags?: Record<string, string>;
  /** The instance profile; a plain one of the cloud's own when absent, for without a role no agent comes online. */
  readonly instanceProfile?: string;
  /** The image to launch from; the base when absent. */
  readonly image?: string;
  /** Size of the root disk in GiB; 20 when absent. */
  readonly rootGiB?: number;
}

/** Launches an instance through EC2 and waits until Systems Manager says that it is online. */
export async function launchHost(
  cloud: Cloud,
  options: LaunchOptions = {},
): Promise<{ instanceId: string; ip: string }> {
  const instanceProfile = options.instanceProfile ?? (await plainProfile(cloud));
  const ec2 = new EC2Client(operatorClient(cloud));
  const answer = await ec2.send(new RunInstancesCommand(request({ ...options, instanceProfile })));
  const instanceId = answer.Instances?.[0]?.InstanceId;
  if (instanceId === undefined) throw new Error('EC2 launched no instance');
  await awaitOnline(cloud, instanceId);
  return { instanceId, ip: (await describeHost(cloud, instanceId)).ip };
}

function request(options: LaunchOptions & { instanceProfile: string }): RunInstancesCommandInput {
  const tags = Object.entries(options.tags ?? {}).map(([Key, Value]) => ({ Key, Value }));
  const disk = { DeviceName: '/dev/xvda', Ebs: { VolumeSize: options.rootGiB ?? 20 } };
  return {
    ImageId: options.image ?? baseImage,
    MinCount: 1,
    MaxCount: 1,
    InstanceType: 't3.medium',
    IamInstanceProfile: { Name: options.instanceProfile },
    MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1 },
    BlockDeviceMappings: [disk],
    ...(tags.length > 0 && { TagSpecifications: [{ ResourceType: 'instance', Tags: tags }] }),
  };
}

const patience = 60_000;

/** Waits until the instance's agent has told Systems Manager that it is there. */
async function awaitOnline(cloud: Cloud, instanceId: string): Promise<void> {
  const ssm = new SSMClient(operatorClient(cloud));
  const until = Date.now() + patience;
  const filter = { Filters: [{ Key: 'InstanceIds', Values: [instanceId] }] };
  while (Date.now() < until) {
    const answer = await ssm.send(new DescribeInstanceInformationCommand(filter));
    if (answer.InstanceInformationList?.[0]?.PingStatus === 'Online') return;
    await sleep(200);
  }
  throw new Error(
    `${instanceId} is not online in Systems Manager after ${patience / 1000} s: see its console.log in ` +
      `${(await describeHost(cloud, instanceId)).root}/.. and "journalctl -u amazon-ssm-agent" on it`,
  );
}

const plain = 'understudy-plain-host';

/** An instance profile for hosts that nobody provisioned anything for. */
async function plainProfile(cloud: Cloud): Promise<string> {
  const iam = new IAMClient(operatorClient(cloud));
  const known = await iam
    .send(new GetInstanceProfileCommand({ InstanceProfileName: plain }))
    .catch(nothingIfMissing);
  if (known !== undefined) return plain;
  const trust = { Effect: 'Allow', Principal: { Service: 'ec2.amazonaws.com' }, Action: 'sts:AssumeRole' };
  const AssumeRolePolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [trust] });
  await iam.send(new CreateRoleCommand({ RoleName: plain, AssumeRolePolicyDocument }));
  await iam.send(new CreateInstanceProfileCommand({ InstanceProfileName: plain }));
  await iam.send(new AddRoleToInstanceProfileCommand({ InstanceProfileName: plain, RoleName: plain }));
  return plain;
}

function nothingIfMissing(error: unknown): undefined {
  if (error instanceof Error && error.name === 'NoSuchEntityException') return undefined;
  throw error;
}
