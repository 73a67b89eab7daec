import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CreateStackCommand,
  DeleteStackCommand,
  ListStackResourcesCommand,
  UpdateStackCommand,
} from '@aws-sdk/client-cloudformation';
import { RunInstancesCommand } from '@aws-sdk/client-ec2';
import {
  CreateDocumentCommand,
  DescribeAssociationCommand,
  DescribeAssociationExecutionsCommand,
  DescribeAssociationExecutionTargetsCommand,
  ListAssociationsCommand,
  ListCommandsCommand,
  StartAssociationsOnceCommand,
} from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { repositoryFolder } from '../../rehearsal/ground/places.ts';
import { content } from '../../src/document/template.ts';
import type { Agent, Delivered } from './gateway/agent.ts';
import { baseImage, Ground, until } from './gateway/ground.ts';

jest.setTimeout(60_000);

const TemplateBody = readFileSync(join(repositoryFolder, 'infra/backup.yaml'), 'utf8');
const StackName = 'isso-staging-backup';
const parameters = (more: Record<string, string> = {}) =>
  Object.entries({ App: 'isso', Environment: 'staging', BackupBucketName: 'isso-backups', ...more }).map(
    ([ParameterKey, ParameterValue]) => ({ ParameterKey, ParameterValue }),
  );

let ground: Ground;
let agents: Agent[];

beforeAll(async () => {
  ground = await Ground.open('--speed', '100', '--online-seconds', '100000');
  await ground.makeRole('host');
  const Content = JSON.stringify(content('backup'));
  await ground.ssm.send(new CreateDocumentCommand({ Name: 'isso-backup', Content, DocumentType: 'Command' }));
  agents = [await launch('isso', 'staging'), await launch('isso', 'production')];
});

afterAll(async () => {
  const { emulatorErrors } = await ground.calls();
  await ground.close();
  expect(emulatorErrors).toBe(0);
});

async function launch(app: string, environment: string): Promise<Agent> {
  const Tags = [
    { Key: 'App', Value: app },
    { Key: 'Environment', Value: environment },
  ];
  const { Instances = [] } = await ground.ec2.send(
    new RunInstancesCommand({
      ...{ ImageId: baseImage, MinCount: 1, MaxCount: 1, IamInstanceProfile: { Name: 'host' } },
      TagSpecifications: [{ ResourceType: 'instance', Tags }],
    }),
  );
  const agent = await ground.agentOf(Instances[0]?.InstanceId ?? '');
  await agent.register();
  await until(
    () => ground.admin<{ instanceId: string; state: string }[]>('/_cloud/instances'),
    ({ body }) => body.some((each) => each.instanceId === agent.instanceId && each.state === 'running'),
  );
  return agent;
}

async function association(): Promise<string> {
  const AssociationFilterList = [{ key: 'AssociationName' as const, value: 'isso-staging-backup' }];
  const { Associations = [] } = await ground.ssm.send(new ListAssociationsCommand({ AssociationFilterList }));
  return Associations[0]?.AssociationId ?? '';
}

/** One night: the association is started, and the staging instance's agent does what it is told. */
async function night(id: string): Promise<Delivered> {
  await ground.ssm.send(new StartAssociationsOnceCommand({ AssociationIds: [id] }));
  const message = await agents[0]?.serveOne('backup', 'done');
  if (message === undefined) throw new Error('no agent');
  return message;
}

describe("a stack's association", () => {
  beforeAll(async () => {
    await ground.cloudFormation.send(
      new CreateStackCommand({ StackName, TemplateBody, Parameters: parameters() }),
    );
  });

  test('is there when the stack is, as its template says', async () => {
    const AssociationId = await association();
    const { AssociationDescription: found } = await ground.ssm.send(
      new DescribeAssociationCommand({ AssociationId }),
    );
    expect(found).toMatchObject({
      Name: 'isso-backup',
      ScheduleExpression: 'cron(0 2 * * ? *)',
      ApplyOnlyAtCronInterval: true,
      Parameters: { operation: ['scheduled'], timeout: ['3600'] },
    });
    const { StackResourceSummaries = [] } = await ground.cloudFormation.send(
      new ListStackResourcesCommand({ StackName }),
    );
    expect(
      StackResourceSummaries.find(({ LogicalResourceId }) => LogicalResourceId === 'Schedule'),
    ).toMatchObject({ PhysicalResourceId: 'isso-staging-backup', ResourceType: 'AWS::SSM::Association' });
  });

  test('does not run before its time', async () => {
    const { AssociationExecutions } = await ground.ssm.send(
      new DescribeAssociationExecutionsCommand({ AssociationId: await association() }),
    );
    expect(AssociationExecutions).toEqual([]);
    expect(await agents[0]?.poll(1)).toEqual([]);
  });

  test('runs each night with the same parameters and the same command id, and only where its tags are', async () => {
    const AssociationId = await association();
    const [first, second] = [await night(AssociationId), await night(AssociationId)];
    const read = ({ Payload }: Delivered) => JSON.parse(Payload) as { CommandId: string; Parameters: object };
    expect(read(first).Parameters).toMatchObject({
      app: 'isso',
      environment: 'staging',
      operation: 'scheduled',
    });
    expect(read(second)).toEqual(read(first));
    expect(read(first).CommandId).toBe(AssociationId);
    expect(second.MessageId).not.toBe(first.MessageId);
    expect(await agents[1]?.poll(1)).toEqual([]);
  });

  test('tells how each night went, and is no command of Run Command', async () => {
    const AssociationId = await association();
    const { AssociationExecutions = [] } = await ground.ssm.send(
      new DescribeAssociationExecutionsCommand({ AssociationId }),
    );
    expect(AssociationExecutions.map(({ Status }) => Status)).toEqual(['Success', 'Success']);
    const { AssociationExecutionTargets: targets } = await ground.ssm.send(
      new DescribeAssociationExecutionTargetsCommand({
        AssociationId,
        ExecutionId: AssociationExecutions[0]?.ExecutionId,
      }),
    );
    expect(targets?.map(({ ResourceId, Status }) => [ResourceId, Status])).toEqual([
      [agents[0]?.instanceId, 'Success'],
    ]);
    expect((await ground.ssm.send(new ListCommandsCommand({}))).Commands).toEqual([]);
  });

  test('changes with its stack, stays the same association, and goes with it', async () => {
    const before = await association();
    const At = 'cron(30 3 * * ? *)';
    await ground.cloudFormation.send(
      new UpdateStackCommand({ StackName, TemplateBody, Parameters: parameters({ At }) }),
    );
    expect(await association()).toBe(before);
    const { AssociationDescription: found } = await ground.ssm.send(
      new DescribeAssociationCommand({ AssociationId: before }),
    );
    expect(found?.ScheduleExpression).toBe(At);
    await ground.cloudFormation.send(new DeleteStackCommand({ StackName }));
    expect(await association()).toBe('');
  });
});

test('without ApplyOnlyAtCronInterval an association runs as soon as it is made', async () => {
  const eager = TemplateBody.replace('ApplyOnlyAtCronInterval: true', 'ApplyOnlyAtCronInterval: false');
  expect(eager).not.toBe(TemplateBody);
  await ground.cloudFormation.send(
    // Of another environment: the log group of the first stack has stayed.
    new CreateStackCommand({
      StackName: 'eager',
      TemplateBody: eager,
      Parameters: parameters({ Environment: 'production' }),
    }),
  );
  expect((await agents[1]?.serveOne('backup'))?.Topic).toContain('sendCommand');
});
