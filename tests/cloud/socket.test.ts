import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ask } from '../../rehearsal/ground/socket.ts';

let folder: string;
let socket: string;
let server: Server;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-socket-'));
  socket = join(folder, 'program.sock');
  server = createServer((request, response) => {
    if (request.url === '/crash') request.socket.destroy();
    else response.end(JSON.stringify({ asked: `${request.method} ${request.url}` }));
  });
  await once(server.listen(socket), 'listening');
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

describe('asking a program of the cloud', () => {
  test('takes a connection of its own each time, so that none leads to a program that has died since', async () => {
    let connections = 0;
    server.on('connection', () => {
      connections += 1;
    });
    expect(await ask(socket, 'GET', '/one')).toEqual({ status: 200, body: { asked: 'GET /one' } });
    expect((await ask(socket, 'PUT', '/two', {})).body).toEqual({ asked: 'PUT /two' });
    expect(connections).toBe(2);
  });

  test('fails with what was asked, and where, when the program breaks off or is not there', async () => {
    await expect(ask(socket, 'GET', '/crash')).rejects.toThrow(`GET /crash at ${socket}: socket hang up`);
    const nobody = join(folder, 'nobody.sock');
    await expect(ask(nobody, 'GET', '/hosts')).rejects.toThrow(`GET /hosts at ${nobody}: connect ENOENT`);
  });
});
