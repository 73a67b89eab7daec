import { DescribeInstancesCommand, EC2Client } from '@aws-sdk/client-ec2';
import { DescribeInstanceInformationCommand, SSMClient } from '@aws-sdk/client-ssm';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { mockClient } from 'aws-sdk-client-mock';
import { findTargets } from '../../../src/instance/find.ts';

const ec2 = mockClient(EC2Client);
const ssm = mockClient(SSMClient);
beforeEach(() => {
  for (const mock of [ec2, ssm]) {
    mock.reset();
    mock.rejects(new Error('a call that nobody expected'));
  }
});

const services = { ec2: new EC2Client({ region: 'us-east-2' }), ssm: new SSMClient({ region: 'us-east-2' }) };
const machine = (InstanceId: string, App = 'isso', Environment = 'staging') => ({
  InstanceId,
  Tags: [
    { Key: 'App', Value: App },
    { Key: 'Environment', Value: Environment },
  ],
});
const agent = (InstanceId: string, PingStatus: 'Online' | 'ConnectionLost' = 'Online') => ({
  InstanceId,
  PingStatus,
  AgentVersion: '3.3.987.0',
});
const find = () => findTargets(services, 'isso', 'staging');

describe('finding the instances of an environment', () => {
  test('reads every page of those that run, with their tags and agents, in a steady order', async () => {
    ec2
      .on(DescribeInstancesCommand)
      .resolves({ Reservations: [{ Instances: [machine('i-2')] }], NextToken: 'next' });
    ec2
      .on(DescribeInstancesCommand, { NextToken: 'next' })
      .resolves({ Reservations: [{ Instances: [machine('i-1')] }] });
    ssm
      .on(DescribeInstanceInformationCommand)
      .resolves({ InstanceInformationList: [agent('i-1'), agent('i-2')] });
    const targets = await find();
    expect(targets.map(({ id }) => id)).toEqual(['i-1', 'i-2']);
    expect(targets[0]).toMatchObject({
      tags: { App: 'isso', Environment: 'staging' },
      agent: { online: true, status: 'Online' },
    });
    expect(ec2.calls()[0]?.args[0].input).toMatchObject({
      Filters: [
        { Name: 'tag:App', Values: ['isso'] },
        { Name: 'tag:Environment', Values: ['staging'] },
        { Name: 'instance-state-name', Values: ['running'] },
      ],
    });
  });

  test('takes as many as one command does, and refuses more', async () => {
    const fleet = (size: number) => {
      const ids = Array.from({ length: size }, (_, at) => `i-${String(at).padStart(3, '0')}`);
      ec2
        .on(DescribeInstancesCommand)
        .resolves({ Reservations: [{ Instances: ids.map((id) => machine(id)) }] });
      ssm
        .on(DescribeInstanceInformationCommand)
        .resolves({ InstanceInformationList: ids.map((id) => agent(id)) });
    };
    fleet(50);
    await expect(find()).resolves.toHaveLength(50);
    fleet(51);
    await expect(find()).rejects.toMatchObject({ reason: 'too-many-instances', outcome: 'refused' });
  });

  test('refuses when there is none', async () => {
    ec2.on(DescribeInstancesCommand).resolves({});
    await expect(find()).rejects.toMatchObject({ reason: 'no-instances', outcome: 'refused' });
  });

  test.each([
    ['production', machine('i-1', 'isso', 'production')],
    ['another app', machine('i-1', 'chatmrpt')],
    ['no tags', { InstanceId: 'i-1' }],
    [
      'production by another spelling',
      { ...machine('i-1'), Tags: [...machine('i-1').Tags, { Key: 'environment', Value: 'production' }] },
    ],
  ])('goes by the tags that came back, not by the filter: %s', async (_, instance) => {
    ec2.on(DescribeInstancesCommand).resolves({ Reservations: [{ Instances: [instance] }] });
    await expect(find()).rejects.toMatchObject({ reason: 'wrong-environment', instance: 'i-1' });
  });

  test.each([
    ['lost', [agent('i-1'), agent('i-2', 'ConnectionLost')], 'i-2 (ConnectionLost)'],
    ['never registered', [agent('i-1')], 'i-2 (never registered)'],
  ])('refuses before anything is sent when an agent is %s', async (_, agents, told) => {
    ec2
      .on(DescribeInstancesCommand)
      .resolves({ Reservations: [{ Instances: [machine('i-1'), machine('i-2')] }] });
    ssm.on(DescribeInstanceInformationCommand).resolves({ InstanceInformationList: agents });
    await expect(find()).rejects.toMatchObject({
      reason: 'offline',
      happened: expect.stringContaining(told),
    });
  });

  test.each([
    ['3.2.1377.0', true],
    ['3.3.0.0', true],
    ['4.0.0.0', true],
    ['3.2.1376.9', false],
    ['3.1.9999.0', false],
    ['2.9.9999.0', false],
    ['', false],
    ['new', false],
  ])('an agent of version "%s" may be used: %p', async (AgentVersion, may) => {
    ec2.on(DescribeInstancesCommand).resolves({ Reservations: [{ Instances: [machine('i-1')] }] });
    ssm
      .on(DescribeInstanceInformationCommand)
      .resolves({ InstanceInformationList: [{ ...agent('i-1'), AgentVersion }] });
    const found = await find().then(
      () => 'taken',
      (error: unknown) => error,
    );
    const refusal = { reason: 'agent-too-old', instance: 'i-1', todo: expect.stringContaining('Update it') };
    expect(found).toEqual(may ? 'taken' : expect.objectContaining(refusal));
  });

  test('goes on without as many as may fail, and never without all', async () => {
    const instances = [machine('i-1'), machine('i-2')];
    ec2.on(DescribeInstancesCommand).resolves({ Reservations: [{ Instances: instances }] });
    const answer = ssm.on(DescribeInstanceInformationCommand);
    answer.resolves({ InstanceInformationList: [agent('i-1')] });
    const targets = await findTargets(services, 'isso', 'staging', 1);
    expect(targets.map(({ agent }) => agent.online)).toEqual([true, false]);
    answer.resolves({});
    await expect(findTargets(services, 'isso', 'staging', 2)).rejects.toMatchObject({ reason: 'offline' });
  });
});
