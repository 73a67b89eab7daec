import { join } from 'node:path';
import {
  CloudFormationClient,
  CreateStackCommand,
  type CreateStackCommandInput,
  DeleteStackCommand,
  DescribeStackEventsCommand,
  DescribeStacksCommand,
  ListStackResourcesCommand,
  type Stack,
} from '@aws-sdk/client-cloudformation';
import {
  DescribeInstancesCommand,
  DescribeVpcEndpointsCommand,
  DescribeVpcsCommand,
  EC2Client,
  type Instance,
} from '@aws-sdk/client-ec2';
import { DescribeInstanceInformationCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { callerRepository } from '../../rehearsal/cloud/caller.ts';
import { type Cloud, onHost, operatorClient, startCloud, stopCloud } from '../../rehearsal/cloud/cloud.ts';
import { expireStack } from '../../rehearsal/cloud/expire.ts';
import { listHosts } from '../../rehearsal/cloud/host.ts';
import { provision } from '../../rehearsal/cloud/provision.ts';
import { baseImage } from '../../rehearsal/gateway/ec2/images.ts';
import { repositoryFolder } from '../../rehearsal/ground/places.ts';
import { until } from './gateway/ground.ts';

const name = 'chstack';
const [app, environment] = ['chatmrpt', 'staging'];
const prefix = `${app}-${environment}-drill`;
let cloud: Cloud;
let cloudFormation: CloudFormationClient;
let ec2: EC2Client;

beforeAll(async () => {
  await stopCloud(name);
  cloud = await startCloud({ name });
  cloudFormation = new CloudFormationClient(operatorClient(cloud));
  ec2 = new EC2Client(operatorClient(cloud));
  const folder = await callerRepository(cloud, app, join(repositoryFolder, 'examples', app));
  await provision(cloud, { app, environment, folder, repository: `acme/${app}` });
}, 120_000);

afterAll(() => stopCloud(name), 60_000);

const pairs = (of: Record<string, string>) =>
  Object.entries(of).map(([ParameterKey, ParameterValue]) => ({ ParameterKey, ParameterValue }));

function wish(number: number, change: Record<string, string> = {}): CreateStackCommandInput {
  const StackName = `${prefix}-host-${number}-1`;
  const ends = new Date(Date.now() + 3_600_000).toISOString().slice(0, 19);
  return {
    StackName,
    ClientRequestToken: StackName,
    TemplateURL: `https://${app}-understudy.s3.${cloud.region}.amazonaws.com/templates/drill-host.yaml`,
    RoleARN: `arn:aws:iam::${cloud.account}:role/${prefix}-builder`,
    OnFailure: 'DELETE',
    Tags: [
      { Key: 'App', Value: app },
      { Key: 'Environment', Value: 'drill' },
    ],
    Parameters: pairs({
      ...{ App: app, Environment: environment, Operation: `1-${number}-1-verify-backup-staging` },
      ...{ Image: baseImage, Ends: ends },
      ...{ StateBucketName: `${app}-understudy`, BackupBucketName: `${app}-understudy-backups` },
      ...change,
    }),
  };
}

const create = async (input: CreateStackCommandInput): Promise<string> =>
  (await cloudFormation.send(new CreateStackCommand(input))).StackId ?? '';
const describeStack = async (StackName: string): Promise<Stack | undefined> =>
  (await cloudFormation.send(new DescribeStacksCommand({ StackName }))).Stacks?.[0];
const reach = (id: string, status: string): Promise<Stack | undefined> =>
  until(
    () => describeStack(id),
    (stack) => stack?.StackStatus === status,
  );

async function instanceOf(stack: Stack | undefined): Promise<Instance | undefined> {
  const InstanceIds = [
    stack?.Outputs?.find(({ OutputKey }) => OutputKey === 'InstanceId')?.OutputValue ?? '',
  ];
  const { Reservations = [] } = await ec2.send(new DescribeInstancesCommand({ InstanceIds }));
  return Reservations[0]?.Instances?.[0];
}

/** What of EC2 bears the stack's tags: nothing of it may stay. */
async function leftOf(StackName: string): Promise<(string | undefined)[]> {
  const Filters = [{ Name: 'tag:aws:cloudformation:stack-name', Values: [StackName] }];
  const { Reservations = [] } = await ec2.send(new DescribeInstancesCommand({ Filters }));
  const { Vpcs = [] } = await ec2.send(new DescribeVpcsCommand({ Filters }));
  const { VpcEndpoints = [] } = await ec2.send(new DescribeVpcEndpointsCommand({}));
  return [
    ...Reservations.flatMap(({ Instances = [] }) => Instances.map(({ State }) => State?.Name)),
    ...Vpcs.map(({ VpcId }) => VpcId),
    ...VpcEndpoints.flatMap(({ State, VpcEndpointId }) =>
      String(State) === 'deleted' ? [] : [VpcEndpointId],
    ),
  ];
}

describe('a drill host', () => {
  let stack: Stack | undefined;
  let id: string;

  beforeAll(async () => {
    id = await create(wish(1));
  });

  test('is a real host with its tags, its role and its image, when the stack is complete', async () => {
    expect(await describeStack(id)).toMatchObject({ StackStatus: 'CREATE_IN_PROGRESS' });
    expect((await describeStack(id))?.Outputs).toBeUndefined();
    stack = await reach(id, 'CREATE_COMPLETE');
    const instance = await instanceOf(stack);
    expect(instance).toMatchObject({
      State: { Name: 'running' },
      ImageId: baseImage,
      IamInstanceProfile: { Arn: expect.stringMatching(`/${prefix}-host$`) },
    });
    const tags = Object.fromEntries((instance?.Tags ?? []).map(({ Key, Value }) => [Key, Value]));
    expect(tags).toMatchObject({
      ...{ App: app, Environment: 'drill', Drilled: environment, Name: stack?.StackName },
      Operation: '1-1-1-verify-backup-staging',
    });
  });

  test('is online in Systems Manager', async () => {
    const Values = [(await instanceOf(stack))?.InstanceId ?? ''];
    const ssm = new SSMClient(operatorClient(cloud));
    await until(
      () => ssm.send(new DescribeInstanceInformationCommand({ Filters: [{ Key: 'InstanceIds', Values }] })),
      ({ InstanceInformationList: list }) => list?.[0]?.PingStatus === 'Online',
    );
    const { stdout } = await onHost(cloud, Values[0] ?? '', ['systemctl', 'is-active', 'dbus']);
    expect(stdout.trim()).toBe('active');
  });

  test('has an end that CloudFormation lists', async () => {
    const { StackResourceSummaries = [] } = await cloudFormation.send(
      new ListStackResourcesCommand({ StackName: stack?.StackName }),
    );
    expect(StackResourceSummaries.map(({ ResourceType }) => ResourceType)).toContain(
      'AWS::Scheduler::Schedule',
    );
  });

  test('is made once, however often it is asked for with the same token', async () => {
    expect(await create(wish(1))).toBe(id);
    await expect(create({ ...wish(1), ClientRequestToken: 'another' })).rejects.toThrow('already exists');
  });

  test('is gone with its stack, and nothing of it is left', async () => {
    const instance = await instanceOf(stack);
    await cloudFormation.send(new DeleteStackCommand({ StackName: id }));
    expect(await describeStack(id)).toMatchObject({ StackStatus: 'DELETE_IN_PROGRESS' });
    await reach(id, 'DELETE_COMPLETE');
    const hosts = await listHosts(cloud);
    expect(hosts.find((host) => host.id === instance?.InstanceId)?.state).toBe('terminated');
    expect(await leftOf(stack?.StackName ?? '')).toEqual(['terminated']);
    await expect(describeStack(stack?.StackName ?? '')).rejects.toThrow('does not exist');
  });
});

test('a stack that is deleted while it is made leaves nothing', async () => {
  const id = await create(wish(2));
  await cloudFormation.send(new DeleteStackCommand({ StackName: id }));
  await reach(id, 'DELETE_COMPLETE');
  expect(await leftOf(`${prefix}-host-2-1`)).toEqual(['terminated']);
});

test('an unknown image is told by the events, and everything is taken back', async () => {
  const id = await create(wish(3, { Image: 'ami-0123456789abcdef0' }));
  await reach(id, 'DELETE_COMPLETE');
  const { StackEvents = [] } = await cloudFormation.send(new DescribeStackEventsCommand({ StackName: id }));
  const told = StackEvents.map((event) => [event.LogicalResourceId, event.ResourceStatus]);
  expect(told).toEqual(
    [
      [`${prefix}-host-3-1`, 'CREATE_IN_PROGRESS'],
      ['Host', 'CREATE_IN_PROGRESS'],
      ['Host', 'CREATE_FAILED'],
      [`${prefix}-host-3-1`, 'DELETE_IN_PROGRESS'],
      ['Host', 'DELETE_IN_PROGRESS'],
      ['Host', 'DELETE_COMPLETE'],
      [`${prefix}-host-3-1`, 'DELETE_COMPLETE'],
    ].toReversed(),
  );
  expect(
    StackEvents.find(({ ResourceStatus }) => ResourceStatus === 'CREATE_FAILED')?.ResourceStatusReason,
  ).toContain("The image id '[ami-0123456789abcdef0]' does not exist");
  expect(await leftOf(`${prefix}-host-3-1`)).toEqual(['terminated']);
});

test('the time to live ends a stack, by the clock and on demand, and only with a role that may', async () => {
  const soon = new Date(Date.now() + 3000).toISOString().slice(0, 19);
  const [byClock, onDemand] = [await create(wish(4, { Ends: soon })), await create(wish(5))];
  await reach(byClock, 'DELETE_COMPLETE');
  expect(await describeStack(onDemand)).toMatchObject({ StackStatus: 'CREATE_COMPLETE' });
  await expireStack(cloud, `${prefix}-host-5-1`);
  await reach(onDemand, 'DELETE_COMPLETE');
  expect([await leftOf(`${prefix}-host-4-1`), await leftOf(`${prefix}-host-5-1`)]).toEqual([
    ['terminated'],
    ['terminated'],
  ]);
  await expect(expireStack(cloud, `${prefix}-host-5-1`)).rejects.toThrow('There is no stack');
});

test.each([
  [
    'a template that is not there',
    { TemplateURL: 'https://chatmrpt-understudy.s3.us-east-2.amazonaws.com/templates/other.yaml' },
    'does not exist',
  ],
  [
    'a role that CloudFormation cannot take',
    { RoleARN: 'arn:aws:iam::123456789012:role/chatmrpt-staging-host' },
    'cannot be assumed',
  ],
  ['a parameter against its pattern', { Parameters: pairs({ App: 'Chat MRPT' }) }, 'must have values'],
])('%s is refused before anything is made', async (_, change, sentence) => {
  await expect(create({ ...wish(6), ...change })).rejects.toThrow(sentence);
  await expect(describeStack(`${prefix}-host-6-1`)).rejects.toThrow('does not exist');
});
