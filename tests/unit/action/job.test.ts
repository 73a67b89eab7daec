import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, jest, test } from '@jest/globals';
import { identityToken, operationOf, readJob, refusePullRequests } from '../../../src/action/job.ts';

const env = {
  GITHUB_REPOSITORY: 'acme/isso',
  GITHUB_REPOSITORY_ID: '42',
  GITHUB_RUN_ID: '100',
  GITHUB_RUN_ATTEMPT: '2',
  GITHUB_EVENT_NAME: 'push',
  GITHUB_REF: 'refs/heads/main',
  GITHUB_ACTOR: 'ada',
};

/** Runs with a file that holds what GitHub says of the event. */
function withEvent<Value>(payload: string, use: (path: string) => Value): Value {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-event-'));
  try {
    writeFileSync(join(folder, 'event.json'), payload);
    return use(join(folder, 'event.json'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('the job', () => {
  test('is read from the variables of the runner', () => {
    expect(readJob({ ...env, GITHUB_SHA: 'c0ffee' })).toEqual({
      sha: 'c0ffee',
      repository: 'acme/isso',
      repositoryId: '42',
      runId: '100',
      attempt: 2,
      event: 'push',
      ref: 'refs/heads/main',
      actor: 'ada',
      apiUrl: 'https://api.github.com',
      runUrl: 'https://github.com/acme/isso/actions/runs/100/attempts/2',
      fromPullRequest: false,
    });
  });

  test('names the operation by repository, run, attempt, action and environment', () => {
    const operation = operationOf(readJob(env), 'deploy', 'staging');
    expect(operation).toBe('42-100-2-deploy-staging');
    expect(operation).toMatch(/^[a-z0-9][a-z0-9-]{7,119}$/);
  });

  test.each([
    ['GITHUB_RUN_ID', ''],
    ['GITHUB_RUN_ID', '1; rm'],
    ['GITHUB_RUN_ATTEMPT', '0'],
    ['GITHUB_REPOSITORY_ID', 'x'],
  ])('refuses %s=%j, naming it', (name, value) => {
    expect(() => readJob({ ...env, [name]: value })).toThrow(name);
  });
});

describe('a pull request may not deploy', () => {
  test.each([
    [{ GITHUB_EVENT_NAME: 'pull_request' }],
    [{ GITHUB_EVENT_NAME: 'pull_request_target' }],
    [{ GITHUB_EVENT_NAME: 'pull_request_review' }],
    [{ GITHUB_REF: 'refs/pull/7/merge' }],
  ])('by %j', (more) => {
    expect(() => refusePullRequests(readJob({ ...env, ...more }))).toThrow(
      'A pull request may change nothing here',
    );
  });

  test('nor through a workflow_run that one caused', () => {
    const job = withEvent('{"workflow_run":{"event":"pull_request"}}', (path) =>
      readJob({ ...env, GITHUB_EVENT_NAME: 'workflow_run', GITHUB_EVENT_PATH: path }),
    );
    expect(() => refusePullRequests(job)).toThrow('A pull request may change nothing here');
  });

  test.each(['{"workflow_run":{"event":"push"}}', '{}', 'null', 'no JSON'])(
    'and others may: %s',
    (payload) => {
      const job = withEvent(payload, (path) => readJob({ ...env, GITHUB_EVENT_PATH: path }));
      expect(() => refusePullRequests(job)).not.toThrow();
    },
  );
});

test('says which permission is missing when the job may not ask for a token', async () => {
  await expect(identityToken({})).rejects.toThrow('id-token: write');
});

test('the token is asked for again when the token server fails once', async () => {
  let asked = 0;
  const server = createServer((_, response) => {
    asked += 1;
    response.writeHead(asked === 1 ? 500 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ value: 'h.p.s' }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token?api-version=2.0`;
  const granted = { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 't' };
  Object.assign(process.env, granted);
  const silence = jest.spyOn(process.stdout, 'write').mockReturnValue(true);
  try {
    await expect(identityToken()).resolves.toBe('h.p.s');
    expect(asked).toBe(2);
  } finally {
    silence.mockRestore();
    for (const name of Object.keys(granted)) delete process.env[name];
    server.closeAllConnections();
    server.close();
  }
});
