import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Credentials, Instance } from '../../rehearsal/metadata/gateway.ts';
import { createMetadata } from '../../rehearsal/metadata/server.ts';
import { Tokens } from '../../rehearsal/metadata/tokens.ts';

const INSTANCE: Instance = {
  instanceId: 'i-0123456789abcdef0',
  ip: '127.0.0.1',
  imageId: 'ami-0123456789abcdef0',
  availabilityZone: 'us-east-2b',
  tags: { App: 'isso', Environment: 'staging' },
};
const CREDENTIALS: Credentials = {
  roleName: 'isso-staging-host',
  AccessKeyId: 'ASIAEXAMPLE',
  SecretAccessKey: 'secret',
  Token: 'token',
  Expiration: '2026-11-23T09:00:00Z',
};

describe('instance metadata', () => {
  let server: Server;
  let base: string;
  let now = 0;
  let instance: Instance | undefined;
  let credentials: Credentials | undefined;

  beforeEach(async () => {
    [now, instance, credentials] = [0, INSTANCE, CREDENTIALS];
    const settings = {
      region: 'us-east-2',
      account: '123456789012',
      instance: async (ip: string) => (instance?.ip === ip ? instance : undefined),
      credentials: async () => credentials,
    };
    server = createMetadata(settings, new Tokens(() => now)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/latest`;
  });

  afterEach(() => {
    server.close();
  });

  async function token(ttl = '21600'): Promise<string> {
    const answer = await fetch(`${base}/api/token`, {
      method: 'PUT',
      headers: { 'X-aws-ec2-metadata-token-ttl-seconds': ttl },
    });
    return answer.text();
  }

  async function get(path: string, held?: string): Promise<{ status: number; body: string }> {
    const headers = { 'X-aws-ec2-metadata-token': held ?? (await token()) };
    const answer = await fetch(`${base}/${path}`, { headers });
    return { status: answer.status, body: await answer.text() };
  }

  test('refuses a request without a token: IMDSv2 only', async () => {
    expect((await fetch(`${base}/meta-data/instance-id`)).status).toBe(401);
  });

  test('gives a token by PUT alone', async () => {
    const headers = { 'X-aws-ec2-metadata-token-ttl-seconds': '60' };
    expect((await fetch(`${base}/api/token`, { headers })).status).toBe(405);
  });

  test.each(['0', '21601', '60s', '-1', ''])('refuses a token with the time to live %j', async (ttl) => {
    const headers = { 'X-aws-ec2-metadata-token-ttl-seconds': ttl };
    expect((await fetch(`${base}/api/token`, { method: 'PUT', headers })).status).toBe(400);
  });

  test('refuses a forwarded request, for a token as for a value', async () => {
    const headers = { 'X-Forwarded-For': '203.0.113.9', 'X-aws-ec2-metadata-token-ttl-seconds': '60' };
    expect((await fetch(`${base}/api/token`, { method: 'PUT', headers })).status).toBe(403);
    const held = { 'X-Forwarded-For': '203.0.113.9', 'X-aws-ec2-metadata-token': await token() };
    expect((await fetch(`${base}/meta-data/instance-id`, { headers: held })).status).toBe(403);
  });

  test('ends a token after its time to live', async () => {
    const held = await token('60');
    expect((await get('meta-data/instance-id', held)).status).toBe(200);
    now = 60_000;
    expect((await get('meta-data/instance-id', held)).status).toBe(401);
  });

  test('knows the asking host by its address, and no stranger', async () => {
    expect(await get('meta-data/instance-id')).toEqual({ status: 200, body: 'i-0123456789abcdef0' });
    instance = { ...INSTANCE, ip: '198.18.0.99' };
    expect((await get('meta-data/instance-id')).status).toBe(404);
  });

  test('tells region and account in the identity document', async () => {
    const { body } = await get('dynamic/instance-identity/document');
    expect(JSON.parse(body)).toMatchObject({
      accountId: '123456789012',
      region: 'us-east-2',
      instanceId: 'i-0123456789abcdef0',
      availabilityZone: 'us-east-2b',
      imageId: 'ami-0123456789abcdef0',
      privateIp: '127.0.0.1',
    });
  });

  test('names the zone and its id', async () => {
    expect((await get('meta-data/placement/availability-zone')).body).toBe('us-east-2b');
    expect((await get('meta-data/placement/availability-zone-id')).body).toBe('use2-az2');
    expect((await get('meta-data/placement/region')).body).toBe('us-east-2');
  });

  test('lists the role and gives its credentials', async () => {
    expect((await get('meta-data/iam/security-credentials/')).body).toBe('isso-staging-host');
    const { body } = await get('meta-data/iam/security-credentials/isso-staging-host');
    expect(JSON.parse(body)).toMatchObject({ Code: 'Success', AccessKeyId: 'ASIAEXAMPLE', Token: 'token' });
  });

  test('has no credentials for an instance without a profile', async () => {
    credentials = undefined;
    expect((await get('meta-data/iam/security-credentials/')).status).toBe(404);
    expect((await get('meta-data/')).body.split('\n')).not.toContain('iam/');
  });

  test('answers 404 for identity-credentials, which the real agent asks for first', async () => {
    expect((await get('meta-data/identity-credentials/ec2/info')).status).toBe(404);
  });

  test('shows tags only where they are enabled', async () => {
    expect((await get('meta-data/tags/instance/App')).status).toBe(404);
    instance = { ...INSTANCE, metadataTags: true };
    expect((await get('meta-data/tags/instance/')).body).toBe('App\nEnvironment');
    expect((await get('meta-data/tags/instance/App')).body).toBe('isso');
  });
});
