import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { RunInstancesCommand } from '@aws-sdk/client-ec2';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import {
  CreateDocumentCommand,
  ListCommandInvocationsCommand,
  ListCommandsCommand,
  SendCommandCommand,
} from '@aws-sdk/client-ssm';
import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { type Fault, Faults, type Wish } from '../../rehearsal/faults/faults.ts';
import { createGithub } from '../../rehearsal/github/server.ts';
import { ask } from '../../rehearsal/ground/socket.ts';
import { createTokenServer } from '../../rehearsal/oidc/server.ts';
import { Ground, until } from './gateway/ground.ts';

jest.setTimeout(60_000);

let ground: Ground;

beforeAll(async () => {
  ground = await Ground.open('--speed', '100', '--online-seconds', '100000');
  const place = { LocationConstraint: 'us-east-2' } as const;
  await ground.s3.send(new CreateBucketCommand({ Bucket: 'state', CreateBucketConfiguration: place }));
});

afterAll(async () => {
  const { emulatorErrors } = await ground.calls();
  await ground.close();
  expect(emulatorErrors).toBe(0);
});

beforeEach(async () => {
  await ask(ground.socket, 'DELETE', '/_cloud/fault');
});

async function order(wish: Wish): Promise<Fault> {
  const { status, body } = await ask(ground.socket, 'POST', '/_cloud/fault', wish);
  expect(status).toBe(201);
  return body as Fault;
}

const put = (Key: string, Body = 'x') =>
  ground.s3.send(new PutObjectCommand({ Bucket: 'state', Key, Body, IfNoneMatch: '*' }));
const get = async (Key: string): Promise<string | undefined> => {
  const answer = await ground.s3.send(new GetObjectCommand({ Bucket: 'state', Key })).catch(() => undefined);
  return answer?.Body?.transformToString();
};

describe('a fault of a call', () => {
  test.each([
    ['throttle', 's3', 503, 'SlowDown', () => put('a')],
    ['error', 's3', 500, 'InternalError', () => put('a')],
    ['denied', 's3', 403, 'AccessDenied', () => put('a')],
    ['throttle', 'ssm', 400, 'ThrottlingException', () => ground.ssm.send(new ListCommandsCommand())],
    ['error', 'ssm', 500, 'InternalServerError', () => ground.ssm.send(new ListCommandsCommand())],
    ['denied', 'ssm', 400, 'AccessDeniedException', () => ground.ssm.send(new ListCommandsCommand())],
    ['throttle', 'sts', 400, 'Throttling', () => ground.sts.send(new GetCallerIdentityCommand())],
  ] as const)(
    '%s of %s is refused with %d %s, once, and recorded',
    async (kind, service, status, name, call) => {
      await order({ action: `${service}:*`, kind });
      await expect(call()).rejects.toMatchObject({ name, $metadata: { httpStatusCode: status } });
      expect(await get('a')).toBeUndefined();
      const { calls } = await ground.calls();
      expect(calls.findLast((one) => one.fault)).toMatchObject({ service, status, error: name, fault: kind });
      await expect(call()).resolves.toBeDefined();
      await ground.s3.send(new DeleteObjectCommand({ Bucket: 'state', Key: 'a' }));
    },
  );

  test('a lost answer is of a call that was done', async () => {
    await order({ action: 'PutObject', kind: 'lost' });
    await expect(put('lost', 'once')).rejects.toThrow(/socket hang up|ECONNRESET/);
    expect(await get('lost')).toBe('once');
    await expect(put('lost', 'twice')).rejects.toMatchObject({ name: 'PreconditionFailed' });
  });

  test('a delayed answer comes later, and is the same', async () => {
    await order({ action: 'PutObject', kind: 'delay', seconds: 0.3 });
    const slow = put('slow');
    await until(
      () => get('slow'),
      (text) => text === 'x',
    );
    await expect(slow).resolves.toMatchObject({ ETag: expect.any(String) });
  });

  test('a date that is off is off for all calls, until it is cleared', async () => {
    await order({ action: 's3:*', kind: 'date', seconds: 7200 });
    const isOff: boolean[] = [];
    for (const clear of [true, false]) {
      const { headers } = await fetch(`${ground.url}/state/none`);
      isOff.push(Date.parse(headers.get('date') ?? '') - Date.now() > 7_000_000);
      if (clear) await ask(ground.socket, 'DELETE', '/_cloud/fault');
    }
    expect(isOff).toEqual([true, false]);
  });

  test('meets only the resource and the principal that are meant, and those after the first ones', async () => {
    await order({ action: 'PutObject', kind: 'error', resource: '*/leases/*', after: 1, times: 2 });
    await order({ action: 'PutObject', kind: 'error', principal: 'role/nobody', times: 'always' });
    const outcomes: string[] = [];
    for (const key of ['other', 'leases/a', 'leases/b', 'leases/c', 'leases/d']) {
      outcomes.push(
        await put(key).then(
          () => 'well',
          () => 'ill',
        ),
      );
    }
    expect(outcomes).toEqual(['well', 'well', 'ill', 'ill', 'well']);
    const { body } = await ask(ground.socket, 'GET', '/_cloud/fault');
    expect((body as Fault[]).map(({ met, left }) => [met, left])).toEqual([
      [2, 0],
      [0, 'always'],
    ]);
  });

  test.each([
    [{ action: 'PutObject', kind: 'explode' }, 'kind of a fault cannot be "explode"'],
    [{ action: 'PutObject', kind: 'lost', seconds: 3 }, 'seconds belong to delay, missing, date'],
    [{ action: 'PutObject', kind: 'delay' }, 'seconds belong to delay, missing, date'],
    [{ action: 'PutObject', kind: 'lost', times: 0 }, 'times of a fault cannot be 0'],
    [{ action: 'PutObject', kind: 'lost', resources: '*' }, 'a fault has no resources'],
  ])('refuses %j in a sentence', async (wish, sentence) => {
    const { status, body } = await ask(ground.socket, 'POST', '/_cloud/fault', wish);
    expect(status).toBe(400);
    expect((body as { message: string }).message).toContain(sentence);
  });

  test('is not for hosts to order', async () => {
    expect((await ask(ground.door, 'POST', '/_cloud/fault', {})).status).toBe(403);
  });
});

describe('faults of Run Command', () => {
  const document = {
    schemaVersion: '2.2',
    mainSteps: [{ action: 'aws:runShellScript', name: 'run', inputs: { runCommand: ['true'] } }],
  };

  test('an undeliverable target stands under a parent that says Success; invocations are missing for a while', async () => {
    const Content = JSON.stringify(document);
    await ground.makeRole('host');
    await ground.ssm.send(new CreateDocumentCommand({ Name: 'run', Content, DocumentType: 'Command' }));
    const [good = '', bad = ''] = await launchTwo();
    await order({ action: 'SendCommand', kind: 'undeliverable', resource: `*instance/${bad}` });
    await order({ action: 'ListCommandInvocations', kind: 'missing', seconds: 0.5 });
    const InstanceIds = [good, bad];
    const { Command } = await ground.ssm.send(new SendCommandCommand({ DocumentName: 'run', InstanceIds }));
    const about = { CommandId: Command?.CommandId ?? '' };
    const list = () => ground.ssm.send(new ListCommandInvocationsCommand(about));
    await expect(list()).rejects.toMatchObject({ name: 'InvocationDoesNotExist' });
    const agent = await ground.agentOf(good);
    await agent.reply(await agent.accept(), 'Success');
    const seen = await until(
      () =>
        list().then(
          ({ CommandInvocations = [] }) => CommandInvocations,
          () => [],
        ),
      (all) => all.length === 2 && all.every(({ Status }) => Status !== 'InProgress'),
    );
    expect(Object.fromEntries(seen.map((one) => [one.InstanceId, one.StatusDetails]))).toEqual({
      [good]: 'Success',
      [bad]: 'Undeliverable',
    });
    const { Commands } = await ground.ssm.send(new ListCommandsCommand(about));
    expect(Commands?.[0]).toMatchObject({ Status: 'Success' });
  });

  async function launchTwo(): Promise<string[]> {
    const { Instances = [] } = await ground.ec2.send(
      new RunInstancesCommand({
        ImageId: 'ami-0ba5e000000000000',
        MinCount: 2,
        MaxCount: 2,
        IamInstanceProfile: { Name: 'host' },
      }),
    );
    const ids = Instances.map(({ InstanceId = '' }) => InstanceId);
    for (const id of ids) await (await ground.agentOf(id)).register();
    await until(
      () => ground.admin<{ state: string }[]>('/_cloud/instances'),
      ({ body }) => body.every(({ state }) => state === 'running'),
    );
    return ids;
  }
});

describe('faults of the stand-ins for GitHub and its token server', () => {
  test.each([
    ['github', createGithub, '/repos/acme/none'],
    ['oidc', createTokenServer, '/.well-known/jwks'],
  ] as const)('%s', async (service, create, path) => {
    const server: Server = create().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const well = (await fetch(url + path)).status;
    for (const [kind, status] of [
      ['throttle', 429],
      ['error', 500],
      ['denied', 403],
    ] as const) {
      const body = JSON.stringify({ action: `${service}:GET`, resource: path, kind } satisfies Wish);
      await fetch(`${url}/_cloud/fault`, { method: 'POST', body });
      expect((await fetch(url + path)).status).toBe(status);
      expect((await fetch(url + path)).status).toBe(well);
    }
    const body = JSON.stringify({ action: 'GET', kind: 'lost' } satisfies Wish);
    await fetch(`${url}/_cloud/fault`, { method: 'POST', body });
    await expect(fetch(url + path)).rejects.toThrow('fetch failed');
    server.closeAllConnections();
    server.close();
  });
});

test('a fault that lasts some seconds lasts them from its first meeting', () => {
  let now = 0;
  const faults = new Faults(() => now);
  faults.add({ action: '*', kind: 'missing', seconds: 5 } satisfies Wish);
  const call = { service: 'ssm', action: 'GetCommandInvocation', resources: ['*'], principal: 'operator' };
  const meets = () => faults.meet(call, ['missing']) !== undefined;
  now = 100_000;
  expect(meets()).toBe(true);
  now += 4_900;
  expect(meets()).toBe(true);
  now += 200;
  expect(meets()).toBe(false);
});
