import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getOctokit } from '@actions/github';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createGithub } from '../../rehearsal/github/server.ts';

const AT = { owner: 'acme', repo: 'isso' };

/** A repository with main at three commits, and a side branch from the second. */
function makeClone(): { folder: string; git: (...args: string[]) => string } {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-clone-'));
  const who = ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.com'];
  const git = (...args: string[]): string =>
    execFileSync('git', ['-C', folder, ...who, ...args], { encoding: 'utf8' }).trim();
  git('init', '--quiet', '--initial-branch=main');
  for (const message of ['one', 'two']) git('commit', '--quiet', '--allow-empty', '-m', message);
  git('branch', 'side/way');
  git('commit', '--quiet', '--allow-empty', '-m', 'three');
  return { folder, git };
}

describe('the stand-in for GitHub, asked with the toolkit of our actions', () => {
  let server: Server;
  let base: string;
  let clone: ReturnType<typeof makeClone>;
  let octokit: ReturnType<typeof getOctokit>['rest'];

  beforeAll(async () => {
    clone = makeClone();
    server = createGithub().listen(0, '127.0.0.1');
    await once(server, 'listening');
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await tell('repositories', { repository: 'acme/isso', path: clone.folder });
    octokit = getOctokit('any-token', { baseUrl: base }).rest;
  });

  afterAll(() => {
    server.close();
    rmSync(clone.folder, { recursive: true });
  });

  async function tell(what: string, body: unknown): Promise<Response> {
    const headers = { 'content-type': 'application/json' };
    return fetch(`${base}/_cloud/${what}`, { method: 'PUT', body: JSON.stringify(body), headers });
  }

  async function compare(basehead: string) {
    const { data } = await octokit.repos.compareCommitsWithBasehead({ ...AT, basehead });
    return data;
  }

  test('tells a repository by id, visibility and default branch', async () => {
    const { data } = await octokit.repos.get(AT);
    expect(data).toMatchObject({ private: true, visibility: 'private', default_branch: 'main' });
    expect(data.id).toBeGreaterThan(0);
    expect(data.owner.login).toBe('acme');
  });

  test('keeps a repository and its id when its clone is registered again', async () => {
    const before = (await octokit.repos.get(AT)).data.id;
    await octokit.issues.create({ ...AT, title: 'kept' });
    await tell('repositories', { repository: 'acme/isso', path: clone.folder });
    expect((await octokit.repos.get(AT)).data.id).toBe(before);
    expect((await octokit.issues.listForRepo(AT)).data.map(({ title }) => title)).toContain('kept');
  });

  test('answers 404 for a repository that nobody registered', async () => {
    await expect(octokit.repos.get({ owner: 'acme', repo: 'nothing' })).rejects.toMatchObject({
      status: 404,
    });
  });

  test('tells each attempt of a run, and the latest as the run', async () => {
    const run = { repository: 'acme/isso', id: 77, head_sha: 'abc' };
    await tell('runs', { ...run, run_attempt: 1, status: 'completed', conclusion: 'failure' });
    await tell('runs', { ...run, run_attempt: 2, status: 'in_progress' });
    const latest = await octokit.actions.getWorkflowRun({ ...AT, run_id: 77 });
    expect(latest.data).toMatchObject({ run_attempt: 2, status: 'in_progress', conclusion: null });
    const first = await octokit.actions.getWorkflowRunAttempt({ ...AT, run_id: 77, attempt_number: 1 });
    expect(first.data).toMatchObject({ status: 'completed', conclusion: 'failure', head_sha: 'abc' });
    const third = octokit.actions.getWorkflowRunAttempt({ ...AT, run_id: 77, attempt_number: 3 });
    await expect(third).rejects.toMatchObject({ status: 404 });
  });

  test('refuses a run with a status that GitHub does not know', async () => {
    const answer = await tell('runs', { repository: 'acme/isso', id: 78, status: 'done' });
    expect(answer.status).toBe(422);
  });

  test('compares commits of the real repository', async () => {
    const [one, three] = [clone.git('rev-parse', 'main~2'), clone.git('rev-parse', 'main')];
    expect(await compare(`${one}...${three}`)).toMatchObject({
      status: 'ahead',
      ahead_by: 2,
      behind_by: 0,
      merge_base_commit: { sha: one },
    });
    expect((await compare(`${three}...${one}`)).status).toBe('behind');
    expect((await compare(`main...${three}`)).status).toBe('identical');
  });

  test('sees that commits went different ways, by branch names with a slash', async () => {
    clone.git('checkout', '--quiet', 'side/way');
    clone.git('commit', '--quiet', '--allow-empty', '-m', 'aside');
    clone.git('checkout', '--quiet', 'main');
    expect(await compare('main...side/way')).toMatchObject({ status: 'diverged', ahead_by: 1, behind_by: 1 });
  });

  test.each(['main...no-such-branch', 'main...--all', `main...${'0'.repeat(40)}`])(
    'answers 404 for the comparison %s',
    async (basehead) => {
      await expect(compare(basehead)).rejects.toMatchObject({ status: 404 });
    },
  );

  test('makes the earlier deployment of an environment inactive when a later one succeeds', async () => {
    const deploy = { ...AT, ref: 'main', environment: 'staging', required_contexts: [] };
    const ids = [];
    for (const _ of [1, 2]) {
      const { data } = await octokit.repos.createDeployment(deploy);
      const deployment_id = (data as { id: number }).id;
      await octokit.repos.createDeploymentStatus({ ...AT, deployment_id, state: 'success' });
      ids.push(deployment_id);
    }
    const [first = 0, second = 0] = ids;
    const statuses = async (deployment_id: number) =>
      (await octokit.repos.listDeploymentStatuses({ ...AT, deployment_id })).data.map(({ state }) => state);
    expect(await statuses(first)).toEqual(['inactive', 'success']);
    expect(await statuses(second)).toEqual(['success']);
    const { data } = await octokit.repos.listDeployments({ ...AT, environment: 'staging' });
    expect(data.map(({ id }) => id)).toEqual([second, first]);
  });

  test('keeps issues with their comments and labels', async () => {
    const { data } = await octokit.issues.create({ ...AT, title: 'Drill failed', labels: ['drill'] });
    const at = { ...AT, issue_number: data.number };
    await octokit.issues.createComment({ ...at, body: 'again' });
    await octokit.issues.addLabels({ ...at, labels: ['drill', 'urgent'] });
    await octokit.issues.removeLabel({ ...at, name: 'drill' });
    await octokit.issues.update({ ...at, state: 'closed' });
    expect((await octokit.issues.get(at)).data).toMatchObject({
      state: 'closed',
      comments: 1,
      labels: [{ name: 'urgent' }],
    });
    expect((await octokit.issues.listForRepo({ ...AT, labels: 'urgent' })).data).toEqual([]);
    const closed = await octokit.issues.listForRepo({ ...AT, labels: 'urgent', state: 'closed' });
    expect(closed.data.map(({ title }) => title)).toEqual(['Drill failed']);
  });

  test('changes the text of a release', async () => {
    const { data } = await octokit.repos.createRelease({ ...AT, tag_name: 'v1.2.0', body: 'notes' });
    await octokit.repos.updateRelease({ ...AT, release_id: data.id, body: 'notes, deployed' });
    const read = await octokit.repos.getReleaseByTag({ ...AT, tag: 'v1.2.0' });
    expect(read.data.body).toBe('notes, deployed');
    const again = octokit.repos.createRelease({ ...AT, tag_name: 'v1.2.0' });
    await expect(again).rejects.toMatchObject({ status: 422 });
  });

  test('cuts long lists into pages with a link to the next', async () => {
    for (const number of [1, 2, 3]) await octokit.repos.createRelease({ ...AT, tag_name: `page-${number}` });
    const all = await getOctokit('any', { baseUrl: base }).paginate('GET /repos/{owner}/{repo}/releases', {
      ...AT,
      per_page: 2,
    });
    expect(all.filter(({ tag_name }) => tag_name.startsWith('page-'))).toHaveLength(3);
  });

  test('shows all that it holds below /_cloud/state', async () => {
    const state = (await (await fetch(`${base}/_cloud/state`)).json()) as {
      repositories: Record<string, { deployments: unknown[]; runs: { run_attempt: number }[] }>;
    };
    expect(state.repositories['acme/isso']?.deployments).toHaveLength(2);
    expect(state.repositories['acme/isso']?.runs.map((run) => run.run_attempt)).toEqual([1, 2]);
  });

  test('refuses what it does not implement with 501 and a sentence', async () => {
    const answer = await fetch(`${base}/repos/acme/isso/branches`);
    expect(answer.status).toBe(501);
    expect(await answer.json()).toMatchObject({
      message: 'this stand-in for GitHub does not implement GET /repos/acme/isso/branches',
    });
  });
});
