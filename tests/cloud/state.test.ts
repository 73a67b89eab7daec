import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RunInstancesCommand } from '@aws-sdk/client-ec2';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { CreateDocumentCommand, ListCommandsCommand } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type Bucket, openBucket, sha256, toJson } from '../../src/aws/bucket.ts';
import { type Clients, createClients } from '../../src/aws/clients.ts';
import { sleep } from '../../src/aws/time.ts';
import { followCommand, type Invocation } from '../../src/command/follow.ts';
import { readResultLine } from '../../src/command/result-line.ts';
import { findCommand, findDocument, type Order, sendCommand } from '../../src/command/send.ts';
import { documentParameters } from '../../src/document/parameters.ts';
import { findTargets } from '../../src/instance/find.ts';
import { type Lease, type LeaseOptions, leaseKey, takeLease } from '../../src/lease/lease.ts';
import { archiveKey, storeRelease } from '../../src/release/store.ts';
import type { Agent } from './gateway/agent.ts';
import { baseImage, Ground, region, until } from './gateway/ground.ts';

jest.setTimeout(60_000);

// What the actions keep in S3 and ask of Systems Manager, against services that were not written for the test.

const operator = {
  AWS_ACCESS_KEY_ID: 'operator',
  AWS_SECRET_ACCESS_KEY: 'operator',
  AWS_EC2_METADATA_DISABLED: 'true',
};
const before = { ...process.env };

let ground: Ground;
let clients: Clients;
let bucket: Bucket;

beforeAll(async () => {
  ground = await Ground.open('--online-seconds', '100000');
  Object.assign(process.env, operator, { AWS_ENDPOINT_URL: ground.url });
  clients = createClients({
    region,
    roleArn: undefined,
    identityToken: () => Promise.reject(new Error('nobody asked for a role')),
    sessionName: 'understudy-test',
  });
  await clients.s3.send(
    new CreateBucketCommand({
      Bucket: 'isso-understudy',
      CreateBucketConfiguration: { LocationConstraint: region },
    }),
  );
  bucket = openBucket(clients, 'isso-understudy');
});

afterAll(async () => {
  process.env = before;
  await ground.close();
});

describe('the bucket', () => {
  test('creates an object once', async () => {
    await expect(bucket.create('once', toJson(1))).resolves.toEqual(expect.any(String));
    await expect(bucket.create('once', toJson(2))).resolves.toBeUndefined();
    expect((await bucket.read('once'))?.bytes.toString()).toBe('1\n');
  });

  test('replaces only the object that was read', async () => {
    const first = await bucket.create('swap', toJson(1));
    const second = await bucket.replace('swap', toJson(2), first ?? '');
    expect(second).toEqual(expect.any(String));
    await expect(bucket.replace('swap', toJson(3), first ?? '')).resolves.toBeUndefined();
    await expect(bucket.replace('never-there', toJson(3), first ?? '')).resolves.toBeUndefined();
    expect(await bucket.read('swap')).toMatchObject({ etag: second });
  });

  test.each([0, 1, 8 * 1024 * 1024, 20_000_000])('gives an object of %d bytes as it is', async (size) => {
    const bytes = Buffer.alloc(size, 'understudy');
    await bucket.create(`large-${size}`, bytes);
    const parts: Buffer[] = [];
    for await (const part of (await bucket.open(`large-${size}`)) ?? []) parts.push(part);
    expect(sha256(Buffer.concat(parts))).toBe(sha256(bytes));
  });

  test('says of an object that is not there that it is not', async () => {
    await expect(bucket.open('nothing')).resolves.toBeUndefined();
    await expect(bucket.read('nothing')).resolves.toBeUndefined();
    await expect(bucket.describe('nothing')).resolves.toBeUndefined();
  });

  test('tells the time by the Date of its answers, to the second', async () => {
    await bucket.read('nothing');
    expect(Math.abs(bucket.now() - Date.now())).toBeLessThan(2000);
  });
});

describe('the lease', () => {
  const options = (run: string): LeaseOptions => ({
    bucket,
    app: 'isso',
    environment: 'race',
    holder: { repository: 'acme/isso', run, attempt: 1, operation: `42-${run}-1-deploy-race` },
    sleep,
    mayTakeOver: async () => 'That attempt is still running.',
  });

  test('of ten that ask at once goes to exactly one; the others are told who has it', async () => {
    const asked = Array.from({ length: 10 }, (_, run) => takeLease(options(String(run + 1))));
    const settled = await Promise.allSettled(asked);
    const won = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const refusals = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
    expect(won).toHaveLength(1);
    expect(refusals).toHaveLength(9);
    for (const refusal of refusals) expect(refusal).toMatchObject({ reason: 'lease-held' });
    await expect((won[0] as Lease).release()).resolves.toBe('released');
  });

  test('grows its fencing number from holder to holder', async () => {
    const first = await takeLease(options('1'));
    await first.release();
    const second = await takeLease(options('2'));
    expect(second.fence).toBe(first.fence + 1);
    await second.release();
    const stored = await bucket.read(leaseKey('isso', 'race'));
    expect(JSON.parse(String(stored?.bytes))).toMatchObject({ state: 'released', fence: second.fence });
  });
});

describe('the store', () => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-state-'));
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  function build(bytes: Buffer): { id: string; path: string; size: number; commit: string } {
    const id = sha256(bytes);
    writeFileSync(join(folder, id), bytes);
    return { id, path: join(folder, id), size: bytes.length, commit: 'd'.repeat(40) };
  }

  test('keeps the first build of a commit byte for byte, and gives it for the second', async () => {
    const [first, second] = [build(Buffer.alloc(3_000_000, 1)), build(Buffer.alloc(3_000_000, 2))];
    await expect(storeRelease(bucket, 'isso', 'staging', first)).resolves.toEqual({
      id: first.id,
      build: 'first',
    });
    await expect(storeRelease(bucket, 'isso', 'staging', second)).resolves.toEqual({
      id: first.id,
      build: 'earlier',
    });
    const stored = await bucket.read(archiveKey('isso', 'staging', first.id));
    expect(sha256(stored?.bytes ?? Buffer.alloc(0))).toBe(first.id);
  });

  test('an archive that changed after its digest was taken is refused by S3', async () => {
    const built = { ...build(Buffer.from('good')), commit: 'e'.repeat(40) };
    writeFileSync(built.path, 'evil');
    await expect(storeRelease(bucket, 'isso', 'staging', built)).rejects.toThrow(/checksum|digest|SHA/i);
    await expect(bucket.read(archiveKey('isso', 'staging', built.id))).resolves.toBeUndefined();
  });
});

describe('a command', () => {
  const operation = '42-100-1-deploy-staging';
  const order: Omit<Order, 'targets'> = {
    app: 'isso',
    document: 'deploy',
    parameters: {
      ...{ app: 'isso', environment: 'staging', operation, timeout: '900' },
      ...{ release: '0'.repeat(64), fence: '3', excerpts: 'off', data: 'any' },
    },
    rollout: { concurrency: 1, errors: 0 },
    deliverySeconds: 30,
  };
  let agents: Agent[];

  beforeAll(async () => {
    await ground.makeRole('host');
    const parameters = Object.entries(documentParameters.deploy).map(([name, { allowedPattern }]) => [
      name,
      { type: 'String', allowedPattern },
    ]);
    const Content = JSON.stringify({
      schemaVersion: '2.2',
      parameters: Object.fromEntries(parameters),
      mainSteps: [{ action: 'aws:runShellScript', name: 'deploy', inputs: { runCommand: ['#!/bin/bash'] } }],
    });
    await ground.ssm.send(
      new CreateDocumentCommand({ Name: 'isso-deploy', DocumentType: 'Command', Content }),
    );
    const { Instances = [] } = await ground.ec2.send(
      new RunInstancesCommand({
        ...{ ImageId: baseImage, MinCount: 2, MaxCount: 2, IamInstanceProfile: { Name: 'host' } },
        TagSpecifications: [
          {
            ResourceType: 'instance',
            Tags: [
              { Key: 'App', Value: 'isso' },
              { Key: 'Environment', Value: 'staging' },
            ],
          },
        ],
      }),
    );
    agents = await Promise.all(Instances.map(({ InstanceId = '' }) => ground.agentOf(InstanceId)));
    await Promise.all(agents.map((agent) => agent.register()));
    await until(
      () => ground.admin<{ state: string }[]>('/_cloud/instances'),
      ({ body }) => body.every(({ state }) => state === 'running'),
    );
  });

  const resultLine = (instance: string, result: string, reason: string): string =>
    `UNDERSTUDY_RESULT ${JSON.stringify({ schema: 1, action: 'deploy', operation, result, reason, instance, details: '' })}`;

  async function follow(command: string): Promise<Invocation[]> {
    const expected = agents.map(({ instanceId }) => instanceId);
    const now = (): number => performance.now();
    return followCommand({ ssm: clients.ssm, command, expected, limitMs: 30_000, sleep, now });
  }

  test('finds its targets, their tags and agents', async () => {
    const targets = await findTargets(clients, 'isso', 'staging');
    expect(targets.map(({ id }) => id).sort()).toEqual(agents.map(({ instanceId }) => instanceId).sort());
    expect(targets.every(({ agent }) => agent.online)).toBe(true);
    await expect(findTargets(clients, 'isso', 'production')).rejects.toMatchObject({
      reason: 'no-instances',
    });
  });

  test('goes to one after the other, and each is told by its own line', async () => {
    const targets = { instances: agents.map(({ instanceId }) => instanceId), rolled: true };
    const command = await sendCommand({ ...order, targets }, await findDocument(clients, 'isso-deploy'), {
      clients,
      sleep,
    });
    const following = follow(command);
    const answers = [
      { status: 'Success', code: 0, said: ['done', 'deployed'] },
      { status: 'Failed', code: 2, said: ['refused', 'no-room'] },
    ] as const;
    let served = 0;
    await Promise.all(
      agents.map(async (agent) => {
        const message = await agent.accept();
        const { status, code, said } = answers[served] ?? answers[0];
        served += 1;
        const stdout = resultLine(agent.instanceId, said[0], said[1]);
        await agent.reply(message, status, { deploy: { stdout, status, code } });
      }),
    );
    const invocations = await following;
    expect(invocations.map(({ standing }) => standing).sort()).toEqual(['failed', 'succeeded']);
    const lines = invocations.map(({ instance, output }) => [instance, readResultLine(output)?.instance]);
    for (const [instance, told] of lines) expect(told).toBe(instance);
    const { Commands } = await ground.ssm.send(new ListCommandsCommand({ CommandId: command }));
    expect(Commands?.[0]).toMatchObject({ Comment: operation, MaxConcurrency: '1', MaxErrors: '0' });
  });

  test('is found again by its operation when the answer to SendCommand was lost', async () => {
    const quick = { clients, sleep: async () => {} };
    await expect(findCommand(order, quick)).resolves.toEqual(expect.any(String));
    const other = { ...order, parameters: { ...order.parameters, operation: '42-100-2-deploy-staging' } };
    await expect(findCommand(other, quick)).resolves.toBeUndefined();
  });

  test('whose document is missing says what to create', async () => {
    await expect(findDocument(clients, 'isso-rollback')).rejects.toMatchObject({
      reason: 'document-missing',
    });
  });
});
