import { readFileSync } from 'node:fs';
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
  DescribeAddressesCommand,
  DescribeInstancesCommand,
  DescribeInternetGatewaysCommand,
  DescribeVpcEndpointsCommand,
  DescribeVpcsCommand,
  EC2Client,
  type Instance,
} from '@aws-sdk/client-ec2';
import { DescribeInstanceInformationCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
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
const patience = 60_000;
jest.setTimeout(2 * patience);
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

const parametersOf = (number: number, change: Record<string, string>) =>
  pairs({
    ...{ App: app, Environment: environment, Operation: `1-${number}-1-verify-backup-staging` },
    ...{ Image: baseImage, Ends: new Date(Date.now() + 3_600_000).toISOString().slice(0, 19) },
    ...{ StateBucketName: `${app}-understudy`, BackupBucketName: `${app}-understudy-backups` },
    ...change,
  });

function wish(number: number, change: Record<string, string> = {}): CreateStackCommandInput {
  const StackName = `${prefix}-host-${number}-1`;
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
    Parameters: parametersOf(number, change),
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
    patience,
  );

/** What became of a stack and its resources, the first first. */
async function storyOf(id: string): Promise<string[]> {
  const { StackEvents = [] } = await cloudFormation.send(new DescribeStackEventsCommand({ StackName: id }));
  return StackEvents.map(
    ({ LogicalResourceId: who, ResourceStatus: what }) => `${who === 'Host' ? 'host' : 'stack'} ${what}`,
  ).toReversed();
}

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
    stack = await reach(id, 'CREATE_COMPLETE');
    expect(await storyOf(id)).toEqual([
      ...['stack CREATE_IN_PROGRESS', 'host CREATE_IN_PROGRESS'],
      ...['host CREATE_COMPLETE', 'stack CREATE_COMPLETE'],
    ]);
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
      patience,
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
    await reach(id, 'DELETE_COMPLETE');
    expect((await storyOf(id)).slice(4)).toEqual([
      ...['stack DELETE_IN_PROGRESS', 'host DELETE_IN_PROGRESS'],
      ...['host DELETE_COMPLETE', 'stack DELETE_COMPLETE'],
    ]);
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
  expect(await storyOf(id)).toEqual([
    ...['stack CREATE_IN_PROGRESS', 'host CREATE_IN_PROGRESS', 'host CREATE_FAILED'],
    ...['stack DELETE_IN_PROGRESS', 'host DELETE_IN_PROGRESS'],
    ...['host DELETE_COMPLETE', 'stack DELETE_COMPLETE'],
  ]);
  const { StackEvents = [] } = await cloudFormation.send(new DescribeStackEventsCommand({ StackName: id }));
  expect(
    StackEvents.find(({ ResourceStatus }) => ResourceStatus === 'CREATE_FAILED')?.ResourceStatusReason,
  ).toContain("The image id '[ami-0123456789abcdef0]' does not exist");
  expect(await leftOf(`${prefix}-host-3-1`)).toEqual(['terminated']);
});

test('the time to live ends a stack, by the clock and on demand', async () => {
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

test('a time to live whose role EventBridge Scheduler cannot take ends nothing', async () => {
  const { TemplateURL: _, ...wished } = wish(7);
  const template = readFileSync(join(repositoryFolder, 'infra/drill-host.yaml'), 'utf8');
  const TemplateBody = template.replace('-drill-end\n', '-drill-builder\n');
  expect(TemplateBody).not.toBe(template);
  const id = await create({ ...wished, TemplateBody });
  await expect(expireStack(cloud, `${prefix}-host-7-1`)).rejects.toThrow('cannot be assumed');
  await reach(id, 'CREATE_COMPLETE');
  await cloudFormation.send(new DeleteStackCommand({ StackName: id }));
  await reach(id, 'DELETE_COMPLETE');
});

describe('an instance that is launched beside what runs', () => {
  const launched = `${app}-${environment}-launched`;
  const ends = (ms: number) => new Date(Date.now() + ms).toISOString().slice(0, 19);

  function staging(number: number, change: Record<string, string> = {}): CreateStackCommandInput {
    const StackName = `${launched}-${number}-1`;
    return {
      ...wish(number),
      ...{ StackName, ClientRequestToken: StackName },
      TemplateURL: `https://${app}-understudy.s3.${cloud.region}.amazonaws.com/templates/staging-host.yaml`,
      RoleARN: `arn:aws:iam::${cloud.account}:role/${app}-${environment}-builder`,
      Tags: [
        { Key: 'App', Value: app },
        { Key: 'Environment', Value: environment },
      ],
      Parameters: pairs({
        ...{ App: app, Environment: environment, Operation: `1-${number}-1-launch-staging-staging` },
        ...{ Image: baseImage, ...change },
      }),
    };
  }

  const addresses = async (): Promise<(string | undefined)[]> => {
    const { Addresses = [] } = await ec2.send(new DescribeAddressesCommand({}));
    return Addresses.map(({ InstanceId }) => InstanceId);
  };

  test('has a disk of the size that was asked for, an address that stays, its tags and the role of its environment', async () => {
    const id = await create(staging(8, { Address: 'elastic', Access: '203.0.113.7/32' }));
    const instance = await instanceOf(await reach(id, 'CREATE_COMPLETE'));
    expect(instance?.IamInstanceProfile?.Arn).toMatch(new RegExp(`/${app}-${environment}-host$`));
    const tags = Object.fromEntries((instance?.Tags ?? []).map(({ Key, Value }) => [Key, Value]));
    expect(tags).toMatchObject({ App: app, Environment: environment, Stack: `${launched}-8-1` });
    const { stdout } = await onHost(cloud, instance?.InstanceId ?? '', ['df', '--output=size', '-BG', '/']);
    expect(Number(/(\d+)G$/.exec(stdout.trim())?.[1])).toBeGreaterThanOrEqual(39);
    expect(await addresses()).toEqual([instance?.InstanceId]);
    // Without an end nothing ends it.
    await expect(expireStack(cloud, `${launched}-8-1`)).rejects.toThrow('There is no stack');
    await cloudFormation.send(new DeleteStackCommand({ StackName: id }));
    await reach(id, 'DELETE_COMPLETE');
    expect(await leftOf(`${launched}-8-1`)).toEqual(['terminated']);
    expect(await addresses()).toEqual([]);
    const { InternetGateways = [] } = await ec2.send(new DescribeInternetGatewaysCommand({}));
    expect(InternetGateways).toEqual([]);
  });

  test('is stopped when its time is over, where it is not to be removed', async () => {
    const id = await create(staging(9, { Ends: ends(3_600_000), AtEnd: 'stop' }));
    const stack = await reach(id, 'CREATE_COMPLETE');
    await expireStack(cloud, `${launched}-9-1`);
    await until(
      () => instanceOf(stack),
      (instance) => instance?.State?.Name === 'stopped',
      patience,
    );
    expect(await describeStack(id)).toMatchObject({ StackStatus: 'CREATE_COMPLETE' });
    await cloudFormation.send(new DeleteStackCommand({ StackName: id }));
    await reach(id, 'DELETE_COMPLETE');
  });

  test('is removed when its time is over, where that is wanted', async () => {
    const id = await create(staging(10, { Ends: ends(3_600_000) }));
    await reach(id, 'CREATE_COMPLETE');
    await expireStack(cloud, `${launched}-10-1`);
    await reach(id, 'DELETE_COMPLETE');
    expect(await leftOf(`${launched}-10-1`)).toEqual(['terminated']);
  });
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
  [
    'a parameter against its pattern',
    { Parameters: parametersOf(6, { Ends: 'tomorrow' }) },
    'must match pattern',
  ],
  [
    'a parameter that the template has not',
    { Parameters: parametersOf(6, { Ending: 'tomorrow' }) },
    'do not exist in the template',
  ],
  ['a failure that is to leave its hosts', { OnFailure: 'DO_NOTHING' as const }, 'does not implement'],
])('%s is refused before anything is made', async (_, change, sentence) => {
  await expect(create({ ...wish(6), ...change })).rejects.toThrow(sentence);
  await expect(describeStack(`${prefix}-host-6-1`)).rejects.toThrow('does not exist');
});
