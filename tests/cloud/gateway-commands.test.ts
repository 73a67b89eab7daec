import { RunInstancesCommand, StopInstancesCommand } from '@aws-sdk/client-ec2';
import {
  CancelCommandCommand,
  type CommandInvocation,
  CreateDocumentCommand,
  DescribeInstanceInformationCommand,
  GetCommandInvocationCommand,
  ListCommandInvocationsCommand,
  ListCommandsCommand,
  SendCommandCommand,
  type SendCommandCommandInput,
} from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Agent } from './gateway/agent.ts';
import { baseImage, Ground, until } from './gateway/ground.ts';

jest.setTimeout(60_000);

// Each test names the fact of facts-aws.md or facts-agent.md that it holds. The services' clocks run 100 times faster.

const document = JSON.stringify({
  schemaVersion: '2.2',
  description: 'for tests',
  parameters: {
    release: { type: 'String', default: 'none', allowedPattern: '[0-9a-z]{1,12}' },
    timeout: { type: 'String', default: '600', allowedPattern: '[0-9]{1,6}' },
  },
  mainSteps: [
    {
      action: 'aws:runShellScript',
      name: 'deploy',
      inputs: { timeoutSeconds: '{{ timeout }}', runCommand: ['#!/bin/bash', "release='{{ release }}'"] },
    },
  ],
});

let ground: Ground;

beforeAll(async () => {
  ground = await Ground.open('--speed', '100', '--online-seconds', '100000');
  await ground.makeRole('host');
  await ground.ssm.send(
    new CreateDocumentCommand({ Name: 'app-deploy', Content: document, DocumentType: 'Command' }),
  );
});

afterAll(async () => {
  const { emulatorErrors } = await ground.calls();
  await ground.close();
  expect(emulatorErrors).toBe(0);
});

/** Instances with a tag of their own, and their agents, registered. */
async function launch(tag: string, count = 1): Promise<Agent[]> {
  const { Instances = [] } = await ground.ec2.send(
    new RunInstancesCommand({
      ImageId: baseImage,
      MinCount: count,
      MaxCount: count,
      IamInstanceProfile: { Name: 'host' },
      TagSpecifications: [{ ResourceType: 'instance', Tags: [{ Key: 'Fleet', Value: tag }] }],
    }),
  );
  const agents = await Promise.all(Instances.map((each) => ground.agentOf(each.InstanceId ?? '')));
  await Promise.all(agents.map((agent) => agent.register()));
  await until(
    () => ground.admin<{ state: string; tags: Record<string, string> }[]>('/_cloud/instances'),
    ({ body }) => body.every((each) => each.tags['Fleet'] !== tag || each.state === 'running'),
  );
  return agents;
}

async function send(input: Partial<SendCommandCommandInput>): Promise<string> {
  const { Command } = await ground.ssm.send(new SendCommandCommand({ DocumentName: 'app-deploy', ...input }));
  return Command?.CommandId ?? '';
}

async function invocations(CommandId: string): Promise<CommandInvocation[]> {
  const answer = await ground.ssm.send(new ListCommandInvocationsCommand({ CommandId, Details: true }));
  return answer.CommandInvocations ?? [];
}

async function parent(CommandId: string) {
  const { Commands } = await ground.ssm.send(new ListCommandsCommand({ CommandId }));
  return Commands?.[0];
}

/** Waits until the only invocation has these details. */
async function becomes(CommandId: string, details: string): Promise<CommandInvocation> {
  const all = await until(
    () => invocations(CommandId),
    ([only]) => only?.StatusDetails === details,
  );
  return all[0] as CommandInvocation;
}

describe('a command and its reply', () => {
  let agent: Agent;
  beforeAll(async () => {
    [agent] = (await launch('reply')) as [Agent];
  });

  test('goes Pending, InProgress, Success, and its output is empty until the end', async () => {
    const CommandId = await send({ InstanceIds: [agent.instanceId], Parameters: { release: ['abc'] } });
    expect(await parent(CommandId)).toMatchObject({
      Status: 'Pending',
      StatusDetails: 'Pending',
      TargetCount: 1,
    });
    const message = await agent.accept();
    const running = await becomes(CommandId, 'InProgress');
    expect(running.Status).toBe('InProgress');
    const question = new GetCommandInvocationCommand({ CommandId, InstanceId: agent.instanceId });
    expect(await ground.ssm.send(question)).toMatchObject({ StandardOutputContent: '', ResponseCode: -1 });
    await agent.reply(message, 'Success', { deploy: { stdout: 'all well' } });
    expect(await ground.ssm.send(question)).toMatchObject({
      Status: 'Success',
      StatusDetails: 'Success',
      ResponseCode: 0,
      // PluginName is the step's name, not the action's.
      PluginName: 'deploy',
      StandardOutputContent: 'all well',
    });
  });

  test('carries the payload that the real agent takes', async () => {
    await send({
      InstanceIds: [agent.instanceId],
      Parameters: { release: ['abc'] },
      OutputS3BucketName: 'logs',
    });
    const message = await agent.serveOne('deploy');
    expect(message.MessageId).toMatch(new RegExp(`^aws\\.ssm\\.[0-9a-f-]{36}\\.${agent.instanceId}$`));
    expect(message.Topic).toBe('aws.ssm.sendCommand.us.east.2.1');
    expect(JSON.parse(message.Payload)).toEqual({
      CommandId: message.MessageId.split('.')[2],
      DocumentName: 'app-deploy',
      DocumentContent: JSON.parse(document),
      Parameters: { release: 'abc', timeout: '600' },
      OutputS3BucketName: 'logs',
      OutputS3KeyPrefix: '',
      CloudWatchLogGroupName: '',
      CloudWatchOutputEnabled: 'false',
    });
  });

  test('GetCommandInvocation keeps 24,000 and 8,000 characters, ListCommandInvocations 2,500 a plugin', async () => {
    const CommandId = await send({ InstanceIds: [agent.instanceId] });
    const message = await agent.accept();
    const long = { stdout: 'o'.repeat(30_000), stderr: 'e'.repeat(10_000), code: 1 };
    await agent.reply(message, 'Failed', { deploy: long });
    const got = await ground.ssm.send(
      new GetCommandInvocationCommand({ CommandId, InstanceId: agent.instanceId }),
    );
    expect(got.StandardOutputContent).toHaveLength(24_000);
    expect(got.StandardErrorContent).toHaveLength(8_000);
    const [listed] = await invocations(CommandId);
    expect(listed?.CommandPlugins?.[0]).toMatchObject({ Name: 'deploy', ResponseCode: 1, Status: 'Failed' });
    expect(listed?.CommandPlugins?.[0]?.Output).toHaveLength(2_500);
  });

  test('right after SendCommand, GetCommandInvocation says InvocationDoesNotExist', async () => {
    const slow = await Ground.open();
    try {
      await slow.makeRole('host');
      const { Instances } = await slow.ec2.send(
        new RunInstancesCommand({
          ImageId: baseImage,
          MinCount: 1,
          MaxCount: 1,
          IamInstanceProfile: { Name: 'host' },
        }),
      );
      const InstanceId = Instances?.[0]?.InstanceId ?? '';
      const late = await slow.agentOf(InstanceId);
      await late.register();
      const input = {
        DocumentName: 'AWS-RunShellScript',
        InstanceIds: [InstanceId],
        Parameters: { commands: ['id'] },
      };
      const { Command } = await until(
        () => slow.ssm.send(new SendCommandCommand(input)).catch(() => ({ Command: undefined })),
        (answer) => answer.Command !== undefined,
      );
      const question = new GetCommandInvocationCommand({ CommandId: Command?.CommandId, InstanceId });
      await expect(slow.ssm.send(question)).rejects.toMatchObject({ name: 'InvocationDoesNotExist' });
      await until(
        () => slow.ssm.send(question).catch(() => undefined),
        (answer) => answer !== undefined,
      );
    } finally {
      await slow.close();
    }
  });

  test('a terminal status never goes back: a late InProgress after Success changes nothing', async () => {
    const CommandId = await send({ InstanceIds: [agent.instanceId] });
    const message = await agent.serveOne('deploy', 'done');
    await agent.reply(message, 'InProgress');
    await agent.reply(message, 'Failed', { deploy: { code: 1 } });
    const [only] = await invocations(CommandId);
    expect(only).toMatchObject({ Status: 'Success', CommandPlugins: [{ Output: 'done', ResponseCode: 0 }] });
  });

  test('a message that was not acknowledged within its visibility time-out comes again', async () => {
    const CommandId = await send({ InstanceIds: [agent.instanceId] });
    const first = await agent.next(10);
    const again = await agent.next(10);
    expect(again.MessageId).toBe(first.MessageId);
    await agent.acknowledge(again);
    expect(await agent.poll()).toEqual([]);
    await agent.reply(again, 'Success', { deploy: {} });
    await becomes(CommandId, 'Success');
  });

  test('a document error is Failed without acknowledgement', async () => {
    const CommandId = await send({ InstanceIds: [agent.instanceId] });
    await agent.reply(await agent.next(), 'Failed');
    await becomes(CommandId, 'Failed');
    expect(await agent.poll()).toEqual([]);
    const refused = await send({ InstanceIds: [agent.instanceId] });
    await agent.fail(await agent.next(), 'InternalHandlerException');
    expect(await becomes(refused, 'Failed')).toMatchObject({ Status: 'Failed' });
  });

  test('steps of earlier replies are kept when the final one has none', async () => {
    const CommandId = await send({ InstanceIds: [agent.instanceId] });
    const message = await agent.accept();
    await agent.reply(message, 'InProgress', { deploy: { status: 'Success', stdout: 'kept' } });
    await agent.reply(message, 'Success');
    const [only] = await invocations(CommandId);
    expect(only?.CommandPlugins?.[0]?.Output).toBe('kept');
  });

  test('an instance speaks for itself alone', async () => {
    const poll = {
      Destination: 'i-00000000000000001',
      MessagesRequestId: 'x',
      VisibilityTimeoutInSeconds: 10,
    };
    await expect(agent.call('EC2WindowsMessageDeliveryService.GetMessages', poll)).rejects.toThrow(
      /^AccessDeniedException/,
    );
    const report = { InstanceId: 'i-00000000000000001', AgentVersion: '9' };
    await expect(agent.call('AmazonSSM.UpdateInstanceInformation', report)).rejects.toThrow(
      /^AccessDeniedException/,
    );
  });

  test('a poll whose caller has hung up takes no message with it', async () => {
    const dead = new AbortController();
    const polled = agent.poll(10, dead.signal).catch(() => 'hung up');
    await new Promise((resolve) => setTimeout(resolve, 50));
    dead.abort();
    expect(await polled).toBe('hung up');
    const CommandId = await send({ InstanceIds: [agent.instanceId] });
    // At once, and not after a visibility time-out.
    expect(await agent.poll()).toHaveLength(1);
    await ground.ssm.send(new CancelCommandCommand({ CommandId }));
  });
});

describe('time-outs', () => {
  test('TimeoutSeconds is delivery: nobody took the command, so Delayed and then DeliveryTimedOut', async () => {
    const [agent] = (await launch('deaf')) as [Agent];
    const CommandId = await send({ InstanceIds: [agent.instanceId], TimeoutSeconds: 60 });
    await becomes(CommandId, 'Delayed');
    expect(await becomes(CommandId, 'DeliveryTimedOut')).toMatchObject({ Status: 'TimedOut' });
    expect(await parent(CommandId)).toMatchObject({
      Status: 'TimedOut',
      StatusDetails: 'DeliveryTimedOut',
      DeliveryTimedOutCount: 1,
      ErrorCount: 0,
    });
    // What was not delivered in time is not delivered later.
    expect(await agent.poll()).toEqual([]);
  });

  test('a dead agent stays InProgress for delivery and execution time together, then ExecutionTimedOut', async () => {
    const [agent] = (await launch('dead')) as [Agent];
    const CommandId = await send({
      InstanceIds: [agent.instanceId],
      TimeoutSeconds: 30,
      Parameters: { timeout: ['120'] },
    });
    await agent.accept();
    const started = Date.now();
    expect(await becomes(CommandId, 'ExecutionTimedOut')).toMatchObject({ Status: 'TimedOut' });
    expect(Date.now() - started).toBeGreaterThan(1_000);
  });

  test.each([29, 2_592_001])('a TimeoutSeconds of %d is refused: 30 to 2,592,000', async (TimeoutSeconds) => {
    await expect(
      send({ Targets: [{ Key: 'tag:Fleet', Values: ['none'] }], TimeoutSeconds }),
    ).rejects.toMatchObject({
      name: 'ValidationException',
    });
  });

  test('the agent tells of its own time-out as ExecutionTimedOut', async () => {
    const [agent] = (await launch('slow')) as [Agent];
    const CommandId = await send({ InstanceIds: [agent.instanceId] });
    await agent.reply(await agent.accept(), 'TimedOut', { deploy: { code: 137 } });
    const { CommandPlugins } = await becomes(CommandId, 'ExecutionTimedOut');
    expect(CommandPlugins?.[0]).toMatchObject({ Status: 'TimedOut', ResponseCode: 137 });
  });
});

describe('cancelling', () => {
  let agent: Agent;
  beforeAll(async () => {
    [agent] = (await launch('cancel')) as [Agent];
  });

  test('a running command is Cancelling until its agent says Cancelled', async () => {
    const CommandId = await send({ InstanceIds: [agent.instanceId] });
    const message = await agent.accept();
    await ground.ssm.send(new CancelCommandCommand({ CommandId }));
    await becomes(CommandId, 'Cancelling');
    expect(await parent(CommandId)).toMatchObject({ Status: 'Cancelling' });
    const cancel = await agent.next();
    expect(cancel.Topic).toBe('aws.ssm.cancelCommand.us.east.2.1');
    expect(cancel.MessageId).not.toBe(message.MessageId);
    expect(JSON.parse(cancel.Payload)).toEqual({ CancelMessageId: message.MessageId });
    await agent.reply(message, 'InProgress');
    expect((await invocations(CommandId))[0]?.Status).toBe('Cancelling');
    await agent.reply(message, 'Cancelled', { deploy: { code: 137, stdout: 'so far' } });
    expect(await becomes(CommandId, 'Cancelled')).toMatchObject({ Status: 'Cancelled' });
    expect(await parent(CommandId)).toMatchObject({ Status: 'Cancelled' });
    await agent.acknowledge(cancel);
  });

  test('a command that was only queued in the agent never replies: the service closes it', async () => {
    const CommandId = await send({ InstanceIds: [agent.instanceId] });
    await agent.accept();
    await ground.ssm.send(new CancelCommandCommand({ CommandId }));
    await agent.acknowledge(await agent.next());
    await becomes(CommandId, 'Cancelled');
  });

  test('a command that nobody took is Cancelled at once, and not delivered', async () => {
    const CommandId = await send({ InstanceIds: [agent.instanceId] });
    await ground.ssm.send(new CancelCommandCommand({ CommandId }));
    await becomes(CommandId, 'Cancelled');
    expect(await agent.poll()).toEqual([]);
  });

  test('a command that was over stays what it was', async () => {
    const CommandId = await send({ InstanceIds: [agent.instanceId] });
    await agent.serveOne('deploy');
    await ground.ssm.send(new CancelCommandCommand({ CommandId }));
    expect(await parent(CommandId)).toMatchObject({ Status: 'Success' });
  });

  test('an unknown command is InvalidCommandId', async () => {
    const nobody = new CancelCommandCommand({ CommandId: '00000000-0000-0000-0000-000000000000' });
    await expect(ground.ssm.send(nobody)).rejects.toMatchObject({ name: 'InvalidCommandId' });
  });
});

describe('a fleet', () => {
  const byTag = (tag: string) => [{ Key: 'tag:Fleet', Values: [tag] }];

  test('a parent says Success with 4 of 5 undeliverable', async () => {
    const agents = await launch('mostly', 5);
    const [alive, ...stopped] = agents as [Agent, ...Agent[]];
    await ground.ec2.send(new StopInstancesCommand({ InstanceIds: stopped.map((each) => each.instanceId) }));
    const CommandId = await send({ Targets: byTag('mostly') });
    await alive.serveOne('deploy');
    const command = await until(
      () => parent(CommandId),
      (each) => each?.CompletedCount === 5,
    );
    expect(command).toMatchObject({ Status: 'Success', TargetCount: 5, ErrorCount: 0 });
    const details = (await invocations(CommandId))
      .map((each) => `${each.Status}/${each.StatusDetails}`)
      .sort();
    expect(details).toEqual([...Array(4).fill('Failed/Undeliverable'), 'Success/Success']);
  });

  test('nobody under the tag is Success with NoInstancesInTag', async () => {
    const CommandId = await send({ Targets: byTag('nobody') });
    expect(await parent(CommandId)).toMatchObject({
      Status: 'Success',
      StatusDetails: 'NoInstancesInTag',
      TargetCount: 0,
    });
  });

  test('MaxConcurrency 1 rolls the fleet: the second gets it when the first has ended', async () => {
    const agents = await launch('rolling', 3);
    const CommandId = await send({ Targets: byTag('rolling'), MaxConcurrency: '1' });
    const order = (
      await until(
        () => invocations(CommandId),
        (all) => all.length === 3,
      )
    ).map((each) => agents.find(({ instanceId }) => instanceId === each.InstanceId) as Agent);
    for (const [at, agent] of order.entries()) {
      const message = await agent.accept();
      const statuses = (await invocations(CommandId)).map((each) => each.Status);
      expect(statuses).toEqual(
        ['Success', 'Success', 'Success', 'InProgress', 'Pending', 'Pending'].slice(3 - at, 6 - at),
      );
      await agent.reply(message, 'Success', { deploy: {} });
    }
    expect(await parent(CommandId)).toMatchObject({ Status: 'Success', CompletedCount: 3 });
  });

  test('MaxErrors 0: after the first error the rest is Terminated and never sent', async () => {
    const agents = await launch('brittle', 3);
    const CommandId = await send({ Targets: byTag('brittle'), MaxConcurrency: '1', MaxErrors: '0' });
    const [first] = await until(
      () => invocations(CommandId),
      (all) => all.length === 3,
    );
    const unlucky = agents.find(({ instanceId }) => instanceId === first?.InstanceId) as Agent;
    await unlucky.reply(await unlucky.accept(), 'Failed', { deploy: { code: 2 } });
    const all = await invocations(CommandId);
    expect(all.map((each) => each.StatusDetails)).toEqual(['Failed', 'Terminated', 'Terminated']);
    expect(await parent(CommandId)).toMatchObject({
      Status: 'Failed',
      StatusDetails: 'Failed',
      ErrorCount: 1,
    });
  });

  test('with several named instances all are sent to at once: the default concurrency is 50', async () => {
    const agents = await launch('named', 2);
    const CommandId = await send({ InstanceIds: agents.map((each) => each.instanceId) });
    await Promise.all(agents.map((agent) => agent.serveOne('deploy')));
    expect(await parent(CommandId)).toMatchObject({
      Status: 'Success',
      MaxConcurrency: '50',
      MaxErrors: '0',
    });
  });

  test('one stopped instance by id and the whole call is InvalidInstanceId', async () => {
    const [up, down] = (await launch('halfway', 2)) as [Agent, Agent];
    await ground.ec2.send(new StopInstancesCommand({ InstanceIds: [down.instanceId] }));
    await expect(send({ InstanceIds: [up.instanceId, down.instanceId] })).rejects.toMatchObject({
      name: 'InvalidInstanceId',
    });
    expect(await up.poll()).toEqual([]);
  });

  test('lists go by pages, with their filters', async () => {
    const agents = await launch('pages', 3);
    const CommandId = await send({ Targets: byTag('pages'), Comment: 'paged' });
    await Promise.all(agents.map((agent) => agent.serveOne('deploy')));
    const one = await ground.ssm.send(new ListCommandInvocationsCommand({ CommandId, MaxResults: 2 }));
    expect(one.CommandInvocations).toHaveLength(2);
    const two = await ground.ssm.send(
      new ListCommandInvocationsCommand({ CommandId, NextToken: one.NextToken }),
    );
    expect(two.NextToken).toBeUndefined();
    const seen = [...(one.CommandInvocations ?? []), ...(two.CommandInvocations ?? [])];
    expect(new Set(seen.map((each) => each.InstanceId)).size).toBe(3);
    // Without Details there are no plugins.
    expect(seen[0]?.CommandPlugins).toEqual([]);
    const Filters = [{ key: 'Status' as const, value: 'Failed' }];
    const failed = await ground.ssm.send(new ListCommandInvocationsCommand({ CommandId, Filters }));
    expect(failed.CommandInvocations).toEqual([]);
  });
});

describe('what SendCommand refuses', () => {
  const somebody = { Targets: [{ Key: 'tag:Fleet', Values: ['nobody'] }] };
  const ids = (count: number) =>
    Array.from({ length: count }, (_, at) => `i-${String(at).padStart(17, '0')}`);

  test.each<[string, Partial<SendCommandCommandInput>, string]>([
    ['51 InstanceIds', { InstanceIds: ids(51) }, 'ValidationException'],
    [
      '6 Targets',
      { Targets: Array.from({ length: 6 }, () => ({ Key: 'tag:a', Values: ['b'] })) },
      'ValidationException',
    ],
    ['nobody to send to', {}, 'ValidationException'],
    ['ids and targets together', { InstanceIds: ids(1), ...somebody }, 'ValidationException'],
    ['a Comment of 101 characters', { ...somebody, Comment: 'c'.repeat(101) }, 'ValidationException'],
    ['a MaxConcurrency that is no number', { ...somebody, MaxConcurrency: 'all' }, 'ValidationException'],
    ['an unknown document', { ...somebody, DocumentName: 'app-nothing' }, 'InvalidDocument'],
    ['an unknown version', { ...somebody, DocumentVersion: '7' }, 'InvalidDocumentVersion'],
    ['another DocumentHash', { ...somebody, DocumentHash: '0'.repeat(64) }, 'InvalidDocument'],
    ['an unknown parameter', { ...somebody, Parameters: { other: ['x'] } }, 'InvalidParameters'],
    [
      'a value outside its pattern',
      { ...somebody, Parameters: { release: ['abc; id'] } },
      'InvalidParameters',
    ],
    [
      'a value whose beginning fits',
      { ...somebody, Parameters: { release: ['abc\nid'] } },
      'InvalidParameters',
    ],
    ['two values for a String', { ...somebody, Parameters: { release: ['a', 'b'] } }, 'InvalidParameters'],
    ['an instance that never registered', { InstanceIds: ids(1) }, 'InvalidInstanceId'],
    ['the same instance twice', { InstanceIds: [...ids(1), ...ids(1)] }, 'DuplicateInstanceId'],
  ])('%s', async (_, input, name) => {
    await expect(send(input)).rejects.toMatchObject({ name });
  });
});

describe('DescribeInstanceInformation', () => {
  test('tells agent version and ping of registered instances, by id and by tag', async () => {
    const [agent] = (await launch('told')) as [Agent];
    const byId = { Filters: [{ Key: 'InstanceIds', Values: [agent.instanceId] }] };
    const ask = async () => {
      const answer = await ground.ssm.send(new DescribeInstanceInformationCommand(byId));
      return answer.InstanceInformationList?.[0];
    };
    expect(await ask()).toMatchObject({
      PingStatus: 'Online',
      AgentVersion: '3.3.987.0',
      PlatformType: 'Linux',
    });
    await ground.ec2.send(new StopInstancesCommand({ InstanceIds: [agent.instanceId] }));
    expect(await ask()).toMatchObject({ PingStatus: 'ConnectionLost' });
    const lost = {
      Filters: [
        { Key: 'tag:Fleet', Values: ['told'] },
        { Key: 'PingStatus', Values: ['Online'] },
      ],
    };
    const answer = await ground.ssm.send(new DescribeInstanceInformationCommand(lost));
    expect(answer.InstanceInformationList).toEqual([]);
  });

  test('the CLI reads the same', async () => {
    const [agent] = (await launch('cli')) as [Agent];
    const words = ['--filters', `Key=InstanceIds,Values=${agent.instanceId}`];
    expect(await ground.aws('ssm', 'describe-instance-information', ...words)).toMatchObject({
      InstanceInformationList: [{ InstanceId: agent.instanceId, PingStatus: 'Online' }],
    });
    const sent = (await ground.aws(
      'ssm',
      'send-command',
      '--document-name',
      'app-deploy',
      '--instance-ids',
      agent.instanceId,
      '--parameters',
      'release=abc',
    )) as { Command: { CommandId: string } };
    await agent.serveOne('deploy', 'by hand');
    const id = ['--command-id', sent.Command.CommandId];
    expect(await ground.aws('ssm', 'list-command-invocations', ...id, '--details')).toMatchObject({
      CommandInvocations: [{ Status: 'Success', CommandPlugins: [{ Output: 'by hand' }] }],
    });
    expect(
      await ground.aws('ssm', 'get-command-invocation', ...id, '--instance-id', agent.instanceId),
    ).toMatchObject({ StandardOutputContent: 'by hand' });
  });
});
