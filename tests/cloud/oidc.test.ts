import { createPublicKey, type JsonWebKey, verify } from 'node:crypto';
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Issuer } from '../../rehearsal/oidc/issuer.ts';
import { createTokenServer } from '../../rehearsal/oidc/server.ts';

const CLAIMS = {
  sub: 'repo:acme/isso:environment:staging',
  repository: 'acme/isso',
  repository_owner: 'acme',
  repository_id: '42',
  environment: 'staging',
};
const NOW = Date.UTC(2026, 10, 23);

describe('the token server', () => {
  let server: Server;
  let base: string;

  beforeAll(async () => {
    server = createTokenServer(new Issuer(() => NOW)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  afterAll(() => {
    server.close();
  });

  async function openJob(): Promise<{ requestUrl: string; requestToken: string }> {
    const answer = await fetch(`${base}/runs`, { method: 'POST', body: JSON.stringify(CLAIMS) });
    return (await answer.json()) as { requestUrl: string; requestToken: string };
  }

  async function ask(url: string, authorization: string): Promise<{ status: number; value: string }> {
    const answer = await fetch(url, { headers: { authorization } });
    return { status: answer.status, value: ((await answer.json()) as { value: string }).value };
  }

  function decode(part: string | undefined): Record<string, unknown> {
    return JSON.parse(Buffer.from(part ?? '', 'base64url').toString()) as Record<string, unknown>;
  }

  test('signs the claims of the job with the key that it publishes', async () => {
    const { requestUrl, requestToken } = await openJob();
    const { value } = await ask(`${requestUrl}&audience=sts.amazonaws.com`, `bearer ${requestToken}`);
    const [header, payload, signature = ''] = value.split('.');
    const { keys } = (await (await fetch(`${base}/.well-known/jwks`)).json()) as { keys: JsonWebKey[] };
    const jwk = keys.find((key) => key['kid'] === decode(header)['kid']) ?? {};
    const key = createPublicKey({ key: jwk, format: 'jwk' });
    const signed = Buffer.from(`${header}.${payload}`);
    expect(verify('RSA-SHA256', signed, key, Buffer.from(signature, 'base64url'))).toBe(true);
    expect(decode(header)).toMatchObject({ typ: 'JWT', alg: 'RS256' });
    expect(decode(payload)).toMatchObject({ ...CLAIMS, aud: 'sts.amazonaws.com' });
  });

  test('names the real issuer, a lifetime of five minutes, and an id of its own', async () => {
    const { requestUrl, requestToken } = await openJob();
    const first = decode((await ask(requestUrl, `bearer ${requestToken}`)).value.split('.')[1]);
    const second = decode((await ask(requestUrl, `bearer ${requestToken}`)).value.split('.')[1]);
    expect(first).toMatchObject({
      iss: 'https://token.actions.githubusercontent.com',
      iat: NOW / 1000,
      exp: NOW / 1000 + 300,
    });
    expect(first['jti']).not.toBe(second['jti']);
  });

  test('takes the owner for audience when none is asked for', async () => {
    const { requestUrl, requestToken } = await openJob();
    const { value } = await ask(requestUrl, `bearer ${requestToken}`);
    expect(decode(value.split('.')[1])['aud']).toBe('https://github.com/acme');
  });

  test('refuses the secret of another job', async () => {
    const { requestUrl } = await openJob();
    const { requestToken } = await openJob();
    expect((await ask(requestUrl, `bearer ${requestToken}`)).status).toBe(401);
  });

  test('refuses claims that are no strings', async () => {
    const answer = await fetch(`${base}/runs`, { method: 'POST', body: '{"repository_id": 42}' });
    expect(answer.status).toBe(400);
  });

  test('gives a token to the toolkit that jobs use', async () => {
    const { requestUrl, requestToken } = await openJob();
    process.env['ACTIONS_ID_TOKEN_REQUEST_URL'] = requestUrl;
    process.env['ACTIONS_ID_TOKEN_REQUEST_TOKEN'] = requestToken;
    const { getIDToken } = await import('@actions/core');
    const token = await getIDToken('sts.amazonaws.com');
    expect(decode(token.split('.')[1])['sub']).toBe(CLAIMS.sub);
  });
});
