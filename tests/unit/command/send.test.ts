import {
  DescribeDocumentCommand,
  ListCommandsCommand,
  SendCommandCommand,
  SSMClient,
} from '@aws-sdk/client-ssm';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { mockClient } from 'aws-sdk-client-mock';
import { findDocument, type Order, PerhapsSentError, sendCommand } from '../../../src/command/send.ts';

const ssm = mockClient(SSMClient);
beforeEach(() => {
  ssm.reset();
  ssm.rejects(new Error('a call that nobody expected'));
});

const client = new SSMClient({ region: 'us-east-2' });
const clients = { ssm: client, ssmOnce: client };
const waits: number[] = [];
const services = {
  clients,
  sleep: async (ms: number) => {
    waits.push(ms);
  },
};

const order: Order = {
  app: 'isso',
  document: 'deploy',
  parameters: {
    ...{ app: 'isso', environment: 'staging', operation: '42-100-1-deploy-staging', timeout: '900' },
    ...{ release: '0'.repeat(64), fence: '3', excerpts: 'off' },
  },
  targets: { instances: ['i-1', 'i-2'], rolled: true },
  rollout: { concurrency: 2, errors: 1 },
  deliverySeconds: 120,
};
const document = { name: 'isso-deploy', version: '4', hash: 'ab' };
const failure = (name: string, status?: number): Error =>
  Object.assign(new Error(name), { name, $metadata: { ...(status && { httpStatusCode: status }) } });
const ours = {
  CommandId: 'ours',
  DocumentName: 'isso-deploy',
  Parameters: { operation: ['42-100-1-deploy-staging'] },
};
const sent = (): number => ssm.commandCalls(SendCommandCommand).length;

describe('sending a command', () => {
  test('names document, version and hash, the instances, the rollout and the operation', async () => {
    ssm.on(SendCommandCommand).resolves({ Command: { CommandId: 'c-1' } });
    await expect(sendCommand(order, document, services)).resolves.toBe('c-1');
    expect(ssm.calls()[0]?.args[0].input).toEqual({
      DocumentName: 'isso-deploy',
      DocumentVersion: '4',
      DocumentHash: 'ab',
      DocumentHashType: 'Sha256',
      Targets: [{ Key: 'InstanceIds', Values: ['i-1', 'i-2'] }],
      MaxConcurrency: '2',
      MaxErrors: '1',
      TimeoutSeconds: 120,
      Parameters: Object.fromEntries(
        Object.entries(order.parameters).map(([name, value]) => [name, [value]]),
      ),
      Comment: '42-100-1-deploy-staging',
    });
  });

  test('never sends again when the answer was lost and the command is there', async () => {
    ssm.on(SendCommandCommand).rejects(failure('TimeoutError'));
    ssm
      .on(ListCommandsCommand)
      .resolvesOnce({ Commands: [] })
      .resolves({ Commands: [ours] });
    await expect(sendCommand(order, document, services)).resolves.toBe('ours');
    expect(sent()).toBe(1);
  });

  test.each([
    { ...ours, Parameters: { operation: ['42-100-2-deploy-staging'] } },
    { ...ours, DocumentName: 'isso-probe' },
  ])('does not take another command for its own: %j', async (other) => {
    ssm
      .on(SendCommandCommand)
      .rejectsOnce(failure('TimeoutError'))
      .resolves({ Command: { CommandId: 'second' } });
    ssm.on(ListCommandsCommand).resolves({ Commands: [other] });
    await expect(sendCommand(order, document, services)).resolves.toBe('second');
  });

  test('sends again when the answer was lost and the command is not there: the host knows the operation', async () => {
    ssm
      .on(SendCommandCommand)
      .rejectsOnce(failure('InternalServerError', 500))
      .resolves({ Command: { CommandId: 'c-2' } });
    ssm.on(ListCommandsCommand).resolves({ Commands: [] });
    await expect(sendCommand(order, document, services)).resolves.toBe('c-2');
    expect(sent()).toBe(2);
  });

  test('waits and sends again when it was throttled, which sends nothing', async () => {
    ssm
      .on(SendCommandCommand)
      .rejectsOnce(failure('ThrottlingException', 400))
      .resolves({ Command: { CommandId: 'c-3' } });
    await expect(sendCommand(order, document, services)).resolves.toBe('c-3');
    expect(ssm.commandCalls(ListCommandsCommand)).toHaveLength(0);
  });

  test('gives up after three tries', async () => {
    ssm.on(SendCommandCommand).rejects(failure('ThrottlingException', 400));
    await expect(sendCommand(order, document, services)).rejects.toThrow('ThrottlingException');
    expect(sent()).toBe(3);
  });

  test('does not say that nothing was sent when no answer ever came', async () => {
    ssm.on(SendCommandCommand).rejects(failure('TimeoutError'));
    ssm.on(ListCommandsCommand).resolves({ Commands: [] });
    await expect(sendCommand(order, document, services)).rejects.toThrow(PerhapsSentError);
  });

  test('nor when it was lost, and SSM may not be asked whether it has it', async () => {
    ssm.on(SendCommandCommand).rejects(failure('TimeoutError'));
    ssm.on(ListCommandsCommand).rejects(failure('AccessDeniedException', 400));
    await expect(sendCommand(order, document, services)).rejects.toThrow(PerhapsSentError);
    expect(sent()).toBe(1);
  });

  test.each(['AccessDeniedException', 'InvalidTarget'])('%s is final', async (name) => {
    ssm.on(SendCommandCommand).rejects(failure(name, 400));
    await expect(sendCommand(order, document, services)).rejects.toThrow(name);
    expect(sent()).toBe(1);
  });

  test.each([
    ['was changed between looking and sending', 'InvalidDocumentVersion'],
    ['is of another version of ours, and takes other parameters', 'InvalidParameters'],
  ])('says so when the document %s', async (_, name) => {
    ssm.on(SendCommandCommand).rejects(failure(name, 400));
    await expect(sendCommand(order, document, services)).rejects.toMatchObject({
      ...{ reason: 'document-missing', outcome: 'refused' },
      todo: expect.stringContaining('of the version of this action'),
    });
    expect(sent()).toBe(1);
  });

  test('refuses, before SSM would, a parameter that a shell could read', async () => {
    const bad = { ...order, parameters: { ...order.parameters, environment: '$(id)' } };
    await expect(sendCommand(bad, document, services)).rejects.toThrow('environment');
    expect(sent()).toBe(0);
  });
});

describe('the document', () => {
  test('is known by its default version and hash', async () => {
    const Document = { DefaultVersion: '3', DocumentVersion: '5', Hash: 'cd', Status: 'Active' } as const;
    ssm.on(DescribeDocumentCommand).resolves({ Document });
    await expect(findDocument(clients, 'isso-deploy')).resolves.toEqual({
      name: 'isso-deploy',
      version: '3',
      hash: 'cd',
    });
  });

  test.each(['Creating', 'Failed', 'Deleting'] as const)('is refused while it is %s', async (Status) => {
    ssm.on(DescribeDocumentCommand).resolves({ Document: { DefaultVersion: '1', Hash: 'x', Status } });
    await expect(findDocument(clients, 'isso-deploy')).rejects.toMatchObject({ reason: 'document-missing' });
  });

  test('that is not there is told with what to do', async () => {
    ssm.on(DescribeDocumentCommand).rejects(failure('InvalidDocument', 400));
    await expect(findDocument(clients, 'isso-deploy')).rejects.toMatchObject({
      reason: 'document-missing',
      todo: expect.stringContaining('infra/documents.yaml'),
    });
  });
});
