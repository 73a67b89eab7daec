import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Gateway } from '../../rehearsal/gateway/gateway.ts';
import { CallRecord } from '../../rehearsal/gateway/record.ts';

jest.setTimeout(30_000);

/** An emulator that answers as the test says. */
let emulator: Server;
let answer: { status: number; type: string; body: string };
let gateway: Server;
let folder: string;
let file: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gateway-record-'));
  file = join(folder, 'calls.jsonl');
  emulator = createServer((request, response) => {
    request.resume().on('end', () => {
      response.writeHead(answer.status, { 'content-type': answer.type });
      response.end(answer.body);
    });
  });
  const moto = await listen(emulator);
  const options = { hosts: undefined, jwks: undefined, speed: 1, onlineSeconds: 300 };
  const made = new Gateway({ moto, record: file, region: 'us-east-2', account: '123456789012', ...options });
  gateway = made.serve('aws');
  await listen(gateway);
});

afterAll(() => {
  for (const server of [emulator, gateway]) {
    server.closeAllConnections();
    server.close();
  }
  rmSync(folder, { recursive: true });
});

async function listen(server: Server): Promise<URL> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

async function ask(service: string, action: string): Promise<{ status: number; text: string }> {
  const { port } = gateway.address() as AddressInfo;
  const scope = `operator/20261123/us-east-2/${service}/aws4_request`;
  const response = await fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    headers: { authorization: `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=0` },
    body: new URLSearchParams({ Action: action, RoleName: 'ci' }),
  });
  return { status: response.status, text: await response.text() };
}

const last = () => new CallRecord(file).all().at(-1);

describe('the record of calls', () => {
  test('holds service, action, resource, principal and status, at once', async () => {
    answer = { status: 200, type: 'text/xml', body: '<GetRoleResponse/>' };
    await ask('iam', 'GetRole');
    expect(last()).toEqual({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      service: 'iam',
      action: 'GetRole',
      resource: 'arn:aws:iam::123456789012:role/ci',
      principal: 'operator',
      status: 200,
    });
  });

  test('holds the code of a service`s error', async () => {
    const body = '<ErrorResponse><Error><Code>NoSuchEntity</Code></Error></ErrorResponse>';
    answer = { status: 404, type: 'text/xml', body };
    expect(await ask('iam', 'GetRole')).toEqual({ status: 404, text: body });
    expect(last()).toMatchObject({ status: 404, error: 'NoSuchEntity' });
  });

  test('an HTML 500 of the emulator is InternalError for the caller, and `emulator` in the record', async () => {
    const told = jest.spyOn(console, 'error').mockImplementation(() => undefined);
    answer = { status: 500, type: 'text/html; charset=utf-8', body: '<h1>Internal Server Error</h1>' };
    const { status, text } = await ask('rds', 'CreateDBInstance');
    expect(status).toBe(500);
    expect(text).toContain('<Code>InternalError</Code>');
    expect(last()).toMatchObject({ service: 'rds', status: 500, error: 'emulator' });
    expect(told).toHaveBeenCalledWith(expect.stringContaining('rds CreateDBInstance'));
    told.mockRestore();
  });

  test('a 500 that a service means is not one of them', async () => {
    answer = { status: 503, type: 'text/xml', body: '<Error><Code>SlowDown</Code></Error>' };
    await ask('iam', 'GetRole');
    expect(last()).toMatchObject({ status: 503, error: 'SlowDown' });
  });
});
