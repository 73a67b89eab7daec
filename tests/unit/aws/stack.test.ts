import {
  CloudFormationClient,
  CreateStackCommand,
  DeleteStackCommand,
  DescribeStackEventsCommand,
  DescribeStacksCommand,
} from '@aws-sdk/client-cloudformation';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { mockClient } from 'aws-sdk-client-mock';
import { awaitMade, createStack, removeStack } from '../../../src/aws/stack.ts';

const cloudFormation = mockClient(CloudFormationClient);
const arn = 'arn:aws:cloudformation:us-east-2:111122223333:stack/isso-drill-host-1-1/0-1';
let clock = 0;
const services = {
  client: new CloudFormationClient({ region: 'us-east-2' }),
  now: () => clock,
  sleep: async (ms: number) => {
    clock += ms;
  },
};

beforeEach(() => {
  cloudFormation.reset();
  cloudFormation.on(DescribeStackEventsCommand).resolves({ StackEvents: [] });
  clock = 0;
});

/** What is asked of the stack, one after the other, and from then on the last. */
function isSeenAs(...statuses: readonly string[]): void {
  const asked = cloudFormation.on(DescribeStacksCommand);
  for (const [index, StackStatus] of statuses.entries()) {
    const Outputs = [{ OutputKey: 'InstanceId', OutputValue: 'i-1' }];
    const answer = {
      Stacks: [{ StackName: '', CreationTime: new Date(0), StackId: arn, StackStatus, Outputs }],
    };
    if (index === statuses.length - 1) asked.resolves(answer as never);
    else asked.resolvesOnce(answer as never);
  }
}

const unknown = Object.assign(new Error('Stack with id isso does not exist'), { name: 'ValidationError' });

describe('a stack', () => {
  test('is asked for by its name as its token, under its role, and removed where it cannot be made', async () => {
    cloudFormation.on(CreateStackCommand).resolves({ StackId: arn });
    const order = { name: 'isso', templateUrl: 'https://x/y', roleArn: 'arn:role', tags: { App: 'isso' } };
    expect(await createStack(services.client, { ...order, parameters: { Image: 'ami-1' } })).toBe(arn);
    expect(cloudFormation.commandCalls(CreateStackCommand)[0]?.args[0].input).toMatchObject({
      ...{ StackName: 'isso', ClientRequestToken: 'isso', RoleARN: 'arn:role', OnFailure: 'DELETE' },
      Parameters: [{ ParameterKey: 'Image', ParameterValue: 'ami-1' }],
      Tags: [{ Key: 'App', Value: 'isso' }],
    });
  });

  test('that is complete gives its outputs', async () => {
    isSeenAs('CREATE_IN_PROGRESS', 'CREATE_COMPLETE');
    expect(await awaitMade(services, arn, 60_000)).toEqual({ InstanceId: 'i-1' });
  });

  test('that cannot be made is told with its first reason, not with what came of it', async () => {
    isSeenAs('CREATE_IN_PROGRESS', 'DELETE_IN_PROGRESS');
    const failed = (LogicalResourceId: string, ResourceStatusReason: string) => ({
      ...{ StackId: arn, EventId: '', StackName: '', Timestamp: new Date(0) },
      ...{ LogicalResourceId, ResourceStatusReason, ResourceStatus: 'CREATE_FAILED' as const },
    });
    const StackEvents = [failed('Subnet', 'Resource creation cancelled'), failed('Host', 'no such AMI')];
    cloudFormation.on(DescribeStackEventsCommand).resolves({ StackEvents });
    await expect(awaitMade(services, arn, 60_000)).rejects.toThrow(
      /could not make the stack isso-drill-host-1-1: Host .*no such AMI/,
    );
  });

  test('is not waited for without an end', async () => {
    isSeenAs('CREATE_IN_PROGRESS');
    await expect(awaitMade(services, arn, 60_000)).rejects.toThrow('was not complete after 1 min 0 s');
  });

  test('is gone when it is, by the ARN that outlives its name', async () => {
    isSeenAs('CREATE_COMPLETE', 'DELETE_IN_PROGRESS', 'DELETE_COMPLETE');
    expect(await removeStack(services, 'isso', 60_000)).toBeUndefined();
    expect(cloudFormation.commandCalls(DeleteStackCommand)).toHaveLength(1);
    expect(cloudFormation.commandCalls(DescribeStacksCommand).at(-1)?.args[0].input).toEqual({
      StackName: arn,
    });
  });

  test('that was never made need not be removed', async () => {
    cloudFormation.on(DescribeStacksCommand).rejects(unknown);
    expect(await removeStack(services, 'isso', 60_000)).toBeUndefined();
    expect(cloudFormation.commandCalls(DeleteStackCommand)).toHaveLength(0);
  });

  test.each(['DELETE_FAILED', 'DELETE_IN_PROGRESS'])('that stays is told as %s', async (status) => {
    isSeenAs('CREATE_COMPLETE', status);
    expect(await removeStack(services, 'isso', 60_000)).toBe(status);
  });
});
