import { AssumeRoleWithWebIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { mockClient } from 'aws-sdk-client-mock';
import { readClaims, roleCredentials } from '../../../src/aws/credentials.ts';

const sts = mockClient(STSClient);
beforeEach(() => {
  sts.reset();
});

const claims = {
  sub: 'repo:acme/isso:environment:staging',
  aud: 'sts.amazonaws.com',
  ref: 'refs/heads/main',
  jti: 'x',
};
const token = `h.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.s`;
const roleArn = 'arn:aws:iam::111122223333:role/isso-staging-ci';
const start = Date.UTC(2026, 10, 23);

function open() {
  const time = { now: start };
  let tokens = 0;
  const credentials = roleCredentials({
    sts: new STSClient({ region: 'us-east-2' }),
    roleArn,
    sessionName: 'understudy-100-1',
    identityToken: async () => {
      tokens += 1;
      return token;
    },
    now: () => time.now,
  });
  return { credentials, time, tokens: () => tokens };
}

function answer(minutes: number, key = 'AKIA'): object {
  const Expiration = new Date(start + minutes * 60_000);
  return { Credentials: { AccessKeyId: key, SecretAccessKey: 's', SessionToken: 't', Expiration } };
}

describe("credentials by the job's token", () => {
  test('are one session for all clients, also for those that ask at once', async () => {
    sts.on(AssumeRoleWithWebIdentityCommand).resolves(answer(60));
    const { credentials, tokens } = open();
    const all = await Promise.all([credentials(), credentials(), credentials()]);
    expect(new Set(all.map(({ accessKeyId }) => accessKeyId))).toEqual(new Set(['AKIA']));
    await credentials();
    expect(tokens()).toBe(1);
    expect(sts.calls()[0]?.args[0].input).toEqual({
      RoleArn: roleArn,
      RoleSessionName: 'understudy-100-1',
      WebIdentityToken: token,
    });
  });

  test('are renewed before the SDK takes them as expired, with a new token', async () => {
    sts
      .on(AssumeRoleWithWebIdentityCommand)
      .resolvesOnce(answer(60, 'first'))
      .resolvesOnce(answer(120, 'second'));
    const { credentials, time, tokens } = open();
    expect((await credentials()).accessKeyId).toBe('first');
    time.now = start + 53 * 60_000;
    expect((await credentials()).accessKeyId).toBe('first');
    time.now = start + 54 * 60_000 + 1;
    expect((await credentials()).accessKeyId).toBe('second');
    expect(tokens()).toBe(2);
  });

  test('that were refused are asked for again, not remembered as refused', async () => {
    sts.on(AssumeRoleWithWebIdentityCommand).rejectsOnce(new Error('no answer')).resolvesOnce(answer(60));
    const { credentials } = open();
    await expect(credentials()).rejects.toThrow(/role/);
    await expect(credentials()).resolves.toMatchObject({ accessKeyId: 'AKIA' });
  });

  test('a role that refuses says which claims the token carried, and not the token', async () => {
    const refusal = Object.assign(new Error('Not authorized'), {
      name: 'AccessDenied',
      $metadata: { httpStatusCode: 403 },
    });
    sts.on(AssumeRoleWithWebIdentityCommand).rejects(refusal);
    const error = await open()
      .credentials()
      .catch((caught: unknown) => caught as Error);
    expect(error).toMatchObject({ reason: 'role-refused', outcome: 'refused' });
    expect(String(error)).toContain(
      'sub=repo:acme/isso:environment:staging, aud=sts.amazonaws.com, ref=refs/heads/main',
    );
    expect(String(error)).not.toContain(token);
  });
});

test.each(['', 'x', 'a.b.c', `a.${Buffer.from('null').toString('base64url')}.c`])(
  '%j has no claims',
  (text) => {
    expect(readClaims(text)).toEqual({});
  },
);

test.each(['Throttling', 'TimeoutError'])('%s of STS is not told as a refusal of the role', async (name) => {
  sts.on(AssumeRoleWithWebIdentityCommand).rejects(Object.assign(new Error('later'), { name }));
  await expect(open().credentials()).rejects.toMatchObject({
    reason: 'aws-failed',
    happened: expect.stringContaining(`whether the job may take the role ${roleArn}`),
  });
});
