import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type GitHub, openGitHub } from '../../../src/github/github.ts';

/** What the server answers to a path: status and body; the first of several once. */
const answers = new Map<string, [number, object][]>();
const asked: string[] = [];
let server: Server;
let github: GitHub;

beforeAll(async () => {
  server = createServer((request, response) => {
    const path = request.url ?? '';
    asked.push(`${request.method} ${path}`);
    const queue = answers.get(path) ?? [[501, { message: 'nobody expected this' }]];
    const [status, body] = (queue.length > 1 ? queue.shift() : queue[0]) ?? [501, {}];
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  github = openGitHub({ token: 't', repository: 'acme/isso', apiUrl: `http://127.0.0.1:${port}` });
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  answers.clear();
  asked.length = 0;
});

const attempt = '/repos/acme/isso/actions/runs/100/attempts/2';
const compare = '/repos/acme/isso/compare/aaa...bbb?per_page=1';

describe('GitHub', () => {
  test.each([
    ['completed', true],
    ['in_progress', false],
    ['queued', false],
    ['waiting', false],
  ])('an attempt that is %s has ended: %s', async (status, ended) => {
    answers.set(attempt, [[200, { status }]]);
    await expect(github.attemptHasEnded('acme/isso', '100', 2)).resolves.toBe(ended);
  });

  test('an attempt that it does not know may run or not', async () => {
    answers.set(attempt, [[404, { message: 'no' }]]);
    await expect(github.attemptHasEnded('acme/isso', '100', 2)).resolves.toBeUndefined();
  });

  test.each(['ahead', 'identical', 'behind', 'diverged'])('says that a commit is %s', async (status) => {
    answers.set(compare, [[200, { status }]]);
    await expect(github.compare('aaa', 'bbb')).resolves.toBe(status);
  });

  test('does not know commits of another repository', async () => {
    answers.set(compare, [[404, { message: 'Not Found' }]]);
    await expect(github.compare('aaa', 'bbb')).resolves.toBe('unknown');
  });

  test.each([502, 429])('is asked again after a %d', async (status) => {
    answers.set(compare, [
      [status, {}],
      [200, { status: 'ahead' }],
    ]);
    await expect(github.compare('aaa', 'bbb')).resolves.toBe('ahead');
    expect(asked).toHaveLength(2);
  });

  test.each([
    [401, 'Bad credentials'],
    [403, 'Resource not accessible by integration'],
  ])('a token that is answered with %d refuses the run, and says what it lacks', async (status, message) => {
    answers.set(compare, [[status, { message }]]);
    answers.set(attempt, [[status, { message }]]);
    await expect(github.compare('aaa', 'bbb')).rejects.toMatchObject({
      ...{ reason: 'github-failed', outcome: 'refused', happened: expect.stringContaining(message) },
      todo: expect.stringMatching(/`github-token`.+contents: read/),
    });
    await expect(github.attemptHasEnded('acme/isso', '100', 2)).rejects.toMatchObject({
      todo: expect.stringContaining('actions: read'),
    });
    expect(asked).toHaveLength(2);
  });

  test.each([
    [{ private: false }, 200, true],
    [{ private: true }, 200, false],
    [{ message: 'no' }, 404, true],
  ])('%j with %d: anybody may read it: %s', async (body, status, open) => {
    answers.set('/repos/acme/isso', [[status, body]]);
    await expect(github.isPublic()).resolves.toBe(open);
  });
});
