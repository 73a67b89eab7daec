import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createGithub } from '../../rehearsal/github/server.ts';
import { identify } from '../../rehearsal/ground/process.ts';
import { createTokenServer } from '../../rehearsal/oidc/server.ts';
import { type Run, type RunnerCloud, runWorkflow, type Trigger } from '../../rehearsal/runner/runner.ts';

const OURS = 'understudy-actions/understudy';
const ZEROS = '0'.repeat(40);

const github = createGithub();
const tokens = createTokenServer();
let folder: string;
let cloud: RunnerCloud;

async function urlOf(server: Server): Promise<string> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function getJson<T>(path: string): Promise<T> {
  return (await fetch(`${cloud.githubUrl}${path}`)).json() as Promise<T>;
}

/** The claims of a token, unverified: the token server's own test verifies. */
function claimsIn(token: string): Record<string, string> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
}

function write(root: string, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
}

function repositoryOf(name: string, files: Record<string, string>): string {
  const root = join(folder, name);
  write(root, files);
  const git = (...args: string[]) => execFileSync('git', ['-C', root, ...args]);
  git('init', '--quiet', '--initial-branch=main');
  git('add', '--all');
  git(
    ...['-c', 'user.name=Ada', '-c', 'user.email=ada@example.com'],
    ...['commit', '--quiet', '-m', 'first'],
  );
  return root;
}

function play(name: string, workflow: string, more: Partial<Trigger> = {}): Promise<Run> {
  const root = repositoryOf(name, { '.github/workflows/run.yml': workflow, 'kept.txt': 'kept' });
  return runWorkflow(cloud, {
    repository: 'acme/app',
    folder: root,
    event: 'push',
    ref: 'refs/heads/main',
    ours: join(folder, 'ours'),
    ...more,
  });
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-runner-test-'));
  cloud = { gatewayUrl: 'http://127.0.0.1:9', githubUrl: await urlOf(github), oidcUrl: await urlOf(tokens) };
  write(join(folder, 'ours'), {
    'actions/wait/action.yml': 'name: wait\nruns: {using: node24, main: main.mjs, post: post.mjs}\n',
    'actions/wait/main.mjs': `
      process.on('SIGINT', () => { console.log('::notice title=main::asked to end'); process.exit(1); });
      setTimeout(() => {}, 60_000);
      console.log('waiting');`,
    'actions/wait/post.mjs': `console.log('::notice title=post::cleaned up');`,
    '.github/workflows/called.yml': `
on:
  workflow_call:
    inputs: {environment: {type: string, required: true}}
permissions: {}
jobs:
  build:
    runs-on: ubuntu-latest
    permissions: {contents: read}
    steps:
      - run: 'echo "::notice title=build::\${ACTIONS_ID_TOKEN_REQUEST_URL:-no tokens}"'
  deploy:
    needs: build
    runs-on: ubuntu-latest
    environment: {name: '\${{ inputs.environment }}', url: '\${{ steps.one.outputs.url }}'}
    permissions: {id-token: write}
    outputs: {token: '\${{ steps.one.outputs.token }}'}
    steps:
      - id: one
        run: |
          asked="$ACTIONS_ID_TOKEN_REQUEST_URL&audience=sts.amazonaws.com"
          answer=$(curl -sS -H "Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" "$asked")
          echo "token=$answer" >> "$GITHUB_OUTPUT"
          echo "url=https://staging.example.com" >> "$GITHUB_OUTPUT"
`,
  });
});

afterAll(() => {
  github.close();
  tokens.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('the local runner', () => {
  test('gives summary, annotations and outputs of a job, and what GitHub says of the run', async () => {
    const run = await play(
      'tells',
      `
on: push
permissions: {contents: read}
jobs:
  tell:
    runs-on: ubuntu-latest
    outputs: {colour: '\${{ steps.s.outputs.colour }}'}
    steps:
      - uses: actions/checkout@${ZEROS}
      - id: s
        run: |
          test "$(cat kept.txt)" = kept
          echo "colour=red" >> "$GITHUB_OUTPUT"
          echo "# First" >> "$GITHUB_STEP_SUMMARY"
          echo "::warning title=Careful::two%0Alines"
          echo "$GITHUB_REPOSITORY $GITHUB_REPOSITORY_ID $GITHUB_RUN_ID-$GITHUB_RUN_ATTEMPT $GITHUB_REF $GITHUB_API_URL"
      - run: echo "second" >> "$GITHUB_STEP_SUMMARY"
`,
      { runId: 1234, attempt: 2 },
    );
    const [job] = run.jobs;
    expect(run.conclusion).toBe('success');
    expect(job?.outputs).toEqual({ colour: 'red' });
    expect(job?.summary).toMatch(/# First\n+second\n/);
    expect(job?.annotations).toEqual([{ level: 'warning', title: 'Careful', message: 'two\nlines' }]);
    const { id } = await getJson<{ id: number }>('/repos/acme/app');
    expect(run.log).toContain(`acme/app ${id} 1234-2 refs/heads/main ${cloud.githubUrl}`);
  });

  test('shows nothing masked, gives no output on that holds it, and reads commands as GitHub does', async () => {
    const run = await play(
      'masks',
      `
on: push
permissions: {}
jobs:
  tell:
    runs-on: ubuntu-latest
    outputs: {arn: '\${{ steps.s.outputs.arn }}', colour: '\${{ steps.s.outputs.colour }}'}
    steps:
      - id: s
        run: |
          echo "::add-mask::123456789012"
          echo "::error title=a%2Cb::refused: arn:aws:iam::123456789012:role/ci"
          echo "account 123456789012" >> "$GITHUB_STEP_SUMMARY"
          echo "arn=arn:aws:iam::123456789012:role/ci" >> "$GITHUB_OUTPUT"
          echo "colour=red" >> "$GITHUB_OUTPUT"
`,
    );
    const [job] = run.jobs;
    expect(job?.annotations).toEqual([
      { level: 'error', title: 'a,b', message: 'refused: arn:aws:iam::***:role/ci' },
    ]);
    expect(job?.summary.trim()).toBe('account ***');
    expect(job?.outputs).toEqual({ colour: 'red' });
    expect(run.log).not.toContain('::123456789012:');
  });

  test('fails the run with the job that failed, and skips the job that needed it', async () => {
    const run = await play(
      'fails',
      `
on: push
permissions: {}
jobs:
  # act may lose what a step wrote in its last moment.
  bad: {runs-on: ubuntu-latest, steps: [{run: 'echo "::error::broken"; sleep 0.3; exit 3'}]}
  after: {needs: bad, runs-on: ubuntu-latest, steps: [{run: echo never}]}
`,
    );
    expect(run.conclusion).toBe('failure');
    expect(run.jobs.map(({ conclusion }) => conclusion)).toEqual(['failure', 'skipped']);
    expect(run.jobs[0]?.annotations.map(({ message }) => message)).toEqual(['broken']);
  });

  test('sees the commit of the ref, and nothing uncommitted', async () => {
    const root = repositoryOf('uncommitted', {
      '.github/workflows/run.yml': `
on: {push: {branches: [main]}}
permissions: {contents: read}
jobs:
  look:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@${ZEROS}
      - run: test ! -e late.txt && test "$(git log -1 --format=%s)" = first
`,
    });
    writeFileSync(join(root, 'late.txt'), 'not committed');
    const trigger = { repository: 'acme/app', folder: root, event: 'push' } as const;
    const run = await runWorkflow(cloud, { ...trigger, ref: 'refs/heads/main' });
    expect(run.conclusion).toBe('success');
    await expect(runWorkflow(cloud, { ...trigger, ref: 'refs/heads/other' })).rejects.toThrow(
      'refs/heads/other',
    );
  });

  test('hands an artifact from one job to the next, without its mode and without hidden files', async () => {
    const run = await play(
      'artifacts',
      `
on: push
permissions: {}
jobs:
  build:
    runs-on: ubuntu-latest
    outputs: {digest: '\${{ steps.up.outputs.artifact-digest }}'}
    steps:
      - run: mkdir out && echo bytes > out/file && chmod 755 out/file && echo no > out/.hidden
      - id: up
        uses: actions/upload-artifact@${ZEROS}
        with: {name: thing, path: out, if-no-files-found: error}
  deploy:
    needs: build
    runs-on: ubuntu-latest
    steps:
      - uses: actions/download-artifact@${ZEROS}
        with: {name: thing, path: in}
      - run: test "$(cat in/file)" = bytes && test ! -x in/file && test ! -e in/.hidden
`,
    );
    expect(run.log).toContain('Kept 1 file(s) as thing');
    expect(run.conclusion).toBe('success');
    expect(run.jobs[0]?.outputs['digest']).toMatch(/^[0-9a-f]{64}$/);
  });

  test('gives tokens to the job that may ask for them alone, and makes the deployment of its environment', async () => {
    const run = await play(
      'tokens',
      `
on: push
permissions: {}
jobs:
  staging:
    permissions: {contents: read, id-token: write}
    uses: ${OURS}/.github/workflows/called.yml@${ZEROS}
    with: {environment: staging}
`,
      { runId: 99, attempt: 2, repository: 'acme/tokens' },
    );
    const [build, deploy] = run.jobs;
    const { id } = await getJson<{ id: number }>('/repos/acme/tokens');
    expect([build?.name, deploy?.name]).toEqual(['staging / build', 'staging / deploy']);
    expect(build?.annotations[0]?.message).toBe('no tokens');
    expect(claimsIn(JSON.parse(deploy?.outputs['token'] ?? '{}').value)).toMatchObject({
      sub: 'repo:acme/tokens:environment:staging',
      aud: 'sts.amazonaws.com',
      environment: 'staging',
      repository_id: String(id),
      ref: 'refs/heads/main',
      run_id: '99',
      run_attempt: '2',
      job_workflow_ref: `${OURS}/.github/workflows/called.yml@${ZEROS}`,
    });
    const [deployment] = await getJson<{ id: number }[]>('/repos/acme/tokens/deployments');
    expect(deployment).toMatchObject({ environment: 'staging' });
    const statuses = await getJson(`/repos/acme/tokens/deployments/${deployment?.id}/statuses`);
    expect(statuses).toMatchObject([
      { state: 'success', environment_url: 'https://staging.example.com' },
      { state: 'in_progress' },
    ]);
    expect(await getJson('/repos/acme/tokens/actions/runs/99/attempts/2')).toMatchObject({
      status: 'completed',
      conclusion: 'success',
    });
  });

  test('makes no deployment of an environment that says so, whose job runs all the same', async () => {
    const run = await play(
      'no-deployment',
      `
on: push
permissions: {}
jobs:
  look:
    runs-on: ubuntu-latest
    environment: {name: staging, deployment: false}
    steps: [{run: 'true'}]
`,
      { repository: 'acme/no-deployment' },
    );
    expect(run.conclusion).toBe('success');
    expect(await getJson('/repos/acme/no-deployment/deployments')).toEqual([]);
  });

  test('refuses a call that is granted less than the called workflow requests, as GitHub does', async () => {
    const workflow = `
on: push
permissions: {contents: read}
jobs:
  staging: {uses: '${OURS}/.github/workflows/called.yml@${ZEROS}', with: {environment: staging}}
`;
    await expect(play('ungranted', workflow)).rejects.toThrow(
      'staging / deploy requests id-token: write, but its caller grants id-token: none',
    );
  });

  test('refuses an action for which it has no stand-in', async () => {
    const workflow = `
on: push
permissions: {}
jobs: {one: {runs-on: ubuntu-latest, steps: [{uses: other/action@v1}]}}
`;
    await expect(play('unknown', workflow)).rejects.toThrow('no stand-in for other/action');
  });

  test('gives a build a Python of its own, and says when there is none of the wanted version', async () => {
    const run = await play(
      'python',
      `
on: push
permissions: {}
jobs:
  own:
    runs-on: ubuntu-latest
    steps:
      - run: python3 -m pip --version && python3 -c 'import sys; assert sys.prefix.startswith("/tmp/"), sys.prefix'
  none:
    runs-on: ubuntu-latest
    steps: [{uses: actions/setup-python@${ZEROS}, with: {python-version: '3.99'}}]
`,
    );
    expect(run.jobs.map(({ conclusion }) => conclusion)).toEqual(['success', 'failure']);
    expect(run.jobs[1]?.annotations[0]?.message).toMatch(
      /^Python 3\.99 is wanted, and this machine has 3\.\d+/,
    );
  });

  test('leaves no process and no folder behind when the program ends in the middle of a run', async () => {
    const root = repositoryOf('left', {
      '.github/workflows/run.yml': `
on: push
permissions: {}
jobs: {wait: {runs-on: ubuntu-latest, steps: [{run: 'setsid sleep 300 & echo "$! $XDG_CACHE_HOME"; wait'}]}}
`,
    });
    const trigger = { repository: 'acme/left', folder: root, event: 'push', ref: 'refs/heads/main' };
    const runner = join(import.meta.dirname, '../../rehearsal/runner/runner.ts');
    const program = `
      import { runWorkflow } from ${JSON.stringify(runner)};
      const onLine = (line) => {
        const seen = /\\| (\\d+) (\\/.*)$/.exec(line);
        if (seen) process.exit(console.log(seen[1] + ' ' + seen[2]));
      };
      await runWorkflow(${JSON.stringify(cloud)}, {...${JSON.stringify(trigger)}, onLine});`;
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--input-type=module',
      '--eval',
      program,
    ]);
    const [pid, cache = ''] = stdout.trim().split(' ');
    expect(cache).toMatch(/understudy-run-/);
    expect(existsSync(dirname(cache))).toBe(false);
    // Killed, and soon taken by init.
    for (let tries = 0; tries < 100 && identify(Number(pid)); tries += 1) await sleep(20);
    expect(identify(Number(pid))).toBeUndefined();
  });

  test('asks a cancelled step to end, and runs its post step', async () => {
    const cancelled = new AbortController();
    const run = await play(
      'cancelled',
      `
on: push
permissions: {}
jobs:
  wait: {runs-on: ubuntu-latest, steps: [{uses: '${OURS}/actions/wait@${ZEROS}'}, {run: echo never-printed}]}
`,
      {
        signal: cancelled.signal,
        onLine: (line) => {
          if (line.endsWith('| waiting')) cancelled.abort();
        },
      },
    );
    expect(run.conclusion).toBe('cancelled');
    expect(run.jobs[0]?.conclusion).toBe('cancelled');
    expect(run.jobs[0]?.annotations.map(({ message }) => message)).toEqual(['asked to end', 'cleaned up']);
    expect(run.log).not.toContain('| never-printed');
  });

  test('dies without a last word when its machine is lost, and GitHub calls the attempt failed', async () => {
    const lost = new AbortController();
    const run = await play(
      'lost',
      `
on: push
permissions: {}
jobs:
  wait: {runs-on: ubuntu-latest, steps: [{uses: '${OURS}/actions/wait@${ZEROS}'}]}
  after: {needs: wait, runs-on: ubuntu-latest, steps: [{run: echo never}]}
`,
      {
        ...{ repository: 'acme/lost', runId: 98, lost: lost.signal },
        onLine: (line) => {
          if (line.endsWith('| waiting')) lost.abort();
        },
      },
    );
    expect(run.conclusion).toBe('failure');
    expect(run.jobs.map(({ conclusion }) => conclusion)).toEqual(['failure', 'skipped']);
    expect(run.jobs[0]?.annotations).toEqual([]);
    expect(await getJson('/repos/acme/lost/actions/runs/98/attempts/1')).toMatchObject({
      ...{ status: 'completed', conclusion: 'failure' },
    });
  });
});
