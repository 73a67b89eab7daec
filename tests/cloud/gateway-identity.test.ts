import { generateKeyPairSync, sign } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AssumeRoleCommand, AssumeRoleWithWebIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type Asker, allows } from '../../rehearsal/gateway/sts/trust.ts';
import { account, Ground, region } from './gateway/ground.ts';

jest.setTimeout(60_000);

const provider = 'token.actions.githubusercontent.com';
const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });

const claims = {
  iss: `https://${provider}`,
  aud: 'sts.amazonaws.com',
  sub: 'repo:acme/isso:environment:staging',
  repository: 'acme/isso',
  repository_id: '123456789',
  ref: 'refs/heads/main',
  environment: 'staging',
  job_workflow_ref: 'understudy-actions/understudy/.github/workflows/deploy-staging.yml@refs/tags/v1.2.3',
  run_id: '77',
};

const trust = {
  Version: '2012-10-17',
  Statement: [
    {
      Effect: 'Allow',
      Principal: { Federated: `arn:aws:iam::${account}:oidc-provider/${provider}` },
      Action: 'sts:AssumeRoleWithWebIdentity',
      Condition: {
        StringEquals: {
          [`${provider}:aud`]: 'sts.amazonaws.com',
          [`${provider}:repository_id`]: '123456789',
          [`${provider}:ref`]: ['refs/heads/main', 'refs/heads/release'],
        },
        StringLike: {
          [`${provider}:sub`]: 'repo:acme/isso:*',
          [`${provider}:job_workflow_ref`]:
            'understudy-actions/understudy/.github/workflows/deploy-staging.yml@refs/tags/v*',
        },
      },
    },
  ],
};

function token(changes: Record<string, unknown> = {}, key = pair.privateKey): string {
  const now = Math.floor(Date.now() / 1000);
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const head = part({ alg: 'RS256', typ: 'JWT', kid: 'one' });
  const signed = `${head}.${part({ ...claims, iat: now, exp: now + 300, ...changes })}`;
  return `${signed}.${sign('RSA-SHA256', Buffer.from(signed), key).toString('base64url')}`;
}

let keys: Server;
let ground: Ground;

beforeAll(async () => {
  keys = createServer((_, response) => {
    const jwk = { ...pair.publicKey.export({ format: 'jwk' }), kid: 'one', use: 'sig', alg: 'RS256' };
    response.end(JSON.stringify({ keys: [jwk] }));
  });
  await new Promise<void>((resolve) => keys.listen(0, '127.0.0.1', resolve));
  ground = await Ground.open('--jwks', `http://127.0.0.1:${(keys.address() as AddressInfo).port}/`);
  await ground.makeRole('isso-staging-ci', JSON.stringify(trust));
});

afterAll(async () => {
  const { emulatorErrors } = await ground.calls();
  await ground.close();
  keys.closeAllConnections();
  keys.close();
  expect(emulatorErrors).toBe(0);
});

async function assume(WebIdentityToken: string, role = 'isso-staging-ci') {
  // As in a job: nobody has credentials yet.
  const unsigned = new STSClient({ endpoint: ground.url, region, maxAttempts: 1 });
  return await unsigned.send(
    new AssumeRoleWithWebIdentityCommand({
      RoleArn: `arn:aws:iam::${account}:role/${role}`,
      RoleSessionName: 'deploy-77',
      WebIdentityToken,
    }),
  );
}

describe('AssumeRoleWithWebIdentity', () => {
  test('gives credentials to a job that the trust policy means, and remembers whose they are', async () => {
    const { Credentials } = await assume(token());
    const credentials = {
      accessKeyId: Credentials?.AccessKeyId ?? '',
      secretAccessKey: Credentials?.SecretAccessKey ?? '',
      sessionToken: Credentials?.SessionToken ?? '',
    };
    const client = new STSClient({ endpoint: ground.url, region, credentials });
    await client.send(
      new AssumeRoleCommand({ RoleArn: `arn:aws:iam::${account}:role/x`, RoleSessionName: 'next' }),
    );
    const { calls } = await ground.calls();
    expect(calls.at(-1)).toMatchObject({ action: 'AssumeRole', principal: 'role/isso-staging-ci' });
  });

  test.each<[string, Record<string, unknown>]>([
    ['another repository', { sub: 'repo:acme/other:environment:staging' }],
    ['another repository id', { repository_id: '987654321' }],
    ['another branch', { ref: 'refs/heads/feature' }],
    [
      'a workflow by branch',
      { job_workflow_ref: `${claims.job_workflow_ref.split('@')[0]}@refs/heads/main` },
    ],
    [
      'a fork`s workflow',
      { job_workflow_ref: claims.job_workflow_ref.replace('understudy-actions', 'evil') },
    ],
    ['another audience', { aud: 'somebody-else' }],
    ['no repository id at all', { repository_id: undefined }],
    ['another issuer', { iss: 'https://token.actions.example.com' }],
  ])('denies %s', async (_, changes) => {
    await expect(assume(token(changes))).rejects.toMatchObject({ name: 'AccessDenied' });
  });

  test('denies an unknown role as it denies a known one', async () => {
    await expect(assume(token(), 'nobody')).rejects.toMatchObject({ name: 'AccessDenied' });
  });

  test('a token that has expired, or that somebody else signed, is refused', async () => {
    const expired = { exp: Math.floor(Date.now() / 1000) - 1 };
    await expect(assume(token(expired))).rejects.toMatchObject({ name: 'ExpiredTokenException' });
    await expect(assume(token({}, stranger.privateKey))).rejects.toMatchObject({
      name: 'InvalidIdentityTokenException',
    });
    await expect(assume('not.a.token')).rejects.toMatchObject({ name: 'InvalidIdentityTokenException' });
  });
});

describe('a trust policy', () => {
  const asker: Asker = {
    action: 'sts:AssumeRoleWithWebIdentity',
    principal: { type: 'Federated', value: 'provider' },
    context: { 'host:sub': ['repo:acme/isso'], 'host:aud': ['a', 'b'] },
  };
  const judge = (Condition: Record<string, Record<string, string | string[]>>, more: object[] = []) =>
    allows(
      {
        Statement: [
          { Effect: 'Allow', Action: asker.action, Principal: { Federated: 'provider' }, Condition },
          ...(more as []),
        ],
      },
      asker,
    );

  test.each<[boolean, Record<string, Record<string, string | string[]>>]>([
    [true, {}],
    [true, { StringEquals: { 'HOST:sub': 'repo:acme/isso' } }],
    [false, { StringEquals: { 'host:sub': 'repo:acme/*' } }],
    [true, { StringLike: { 'host:sub': 'repo:acme/*' } }],
    [false, { StringLike: { 'host:sub': 'repo:acme' } }],
    [false, { StringEquals: { 'host:missing': 'x' } }],
    [true, { StringEqualsIfExists: { 'host:missing': 'x' } }],
    [true, { StringNotEquals: { 'host:missing': 'x' } }],
    [false, { StringNotLike: { 'host:sub': 'repo:acme/*' } }],
    [true, { 'ForAnyValue:StringEquals': { 'host:aud': ['b', 'c'] } }],
    [false, { 'ForAnyValue:StringEquals': { 'host:missing': ['b'] } }],
    [false, { 'ForAllValues:StringEquals': { 'host:aud': ['b', 'c'] } }],
    [true, { 'ForAllValues:StringEquals': { 'host:missing': ['b'] } }],
    [true, { Null: { 'host:missing': 'true' } }],
    [false, { StringEquals: { 'host:sub': 'repo:acme/isso', 'host:aud': 'c' } }],
  ])('%s for %j', (expected, condition) => {
    expect(judge(condition)).toBe(expected);
  });

  test('a Deny wins over an Allow', () => {
    const deny = { Effect: 'Deny', Action: 'sts:*', Principal: '*' };
    expect(judge({}, [deny])).toBe(false);
  });

  test('an operator that is not known here is refused with its name', () => {
    expect(() => judge({ DateGreaterThan: { 'host:sub': 'x' } })).toThrow('DateGreaterThan');
  });
});
