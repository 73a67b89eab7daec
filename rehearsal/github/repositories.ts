import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { type Call, found, ok, Refusal, type Route, textOf } from './router.ts';
import type { Repository, State } from './state.ts';

const run = promisify(execFile);

/** Repositories, registered with a clone on this machine, and the comparison of their commits. */
export function repositoryRoutes(state: State): Route[] {
  return [
    ['PUT', '/_cloud/repositories', ({ body }) => ok(describe(register(state, body)))],
    ['GET', '/repos/:owner/:repo', ({ path }) => ok(describe(repositoryOf(state, path)))],
    [
      'GET',
      '/repos/:owner/:repo/compare/*basehead',
      async ({ path }) => ok(await compare(repositoryOf(state, path), path['basehead'] ?? '')),
    ],
    [
      'GET',
      '/repos/:owner/:repo/commits/*ref',
      async ({ path }) => ok({ sha: await commitOf(repositoryOf(state, path), path['ref'] ?? '') }),
    ],
  ];
}

/** The repository that a path names, or 404. */
export function repositoryOf(state: State, path: Call['path']): Repository {
  return found(state.repositories.get(`${path['owner']}/${path['repo']}`));
}

/** `{repository: 'acme/isso', path, visibility?: 'public'|'private', default_branch?}`; a second time it moves only the clone. */
function register(state: State, body: Call['body']): Repository {
  const fullName = textOf(body, 'repository');
  if (!/^[\w.-]+\/[\w.-]+$/.test(fullName)) throw new Refusal(422, `"${fullName}" is no owner/name`);
  const known = state.repositories.get(fullName);
  const fresh: Repository = {
    id: numberOf(fullName),
    fullName,
    folder: textOf(body, 'path'),
    visibility: (body['visibility'] ?? known?.visibility) === 'public' ? 'public' : 'private',
    defaultBranch: String(body['default_branch'] ?? known?.defaultBranch ?? 'main'),
    runs: known?.runs ?? new Map(),
    deployments: known?.deployments ?? [],
    issues: known?.issues ?? [],
    labels: known?.labels ?? [],
    releases: known?.releases ?? [],
    rulesets: known?.rulesets ?? [],
    environments: known?.environments ?? new Map(),
  };
  state.repositories.set(fullName, fresh);
  return fresh;
}

function describe(repository: Repository): unknown {
  const [owner = '', name = ''] = repository.fullName.split('/');
  return {
    id: repository.id,
    name,
    full_name: repository.fullName,
    owner: { login: owner, id: numberOf(owner), type: 'Organization' },
    private: repository.visibility === 'private',
    visibility: repository.visibility,
    default_branch: repository.defaultBranch,
    html_url: `https://github.com/${repository.fullName}`,
  };
}

/** The same name has the same number in every cloud, so that trust policies can be written before it starts. */
function numberOf(name: string): number {
  return Number.parseInt(createHash('sha256').update(name).digest('hex').slice(0, 7), 16);
}

async function compare(repository: Repository, basehead: string): Promise<unknown> {
  const [base, head, ...more] = basehead.split('...');
  if (!base || !head || more.length > 0) throw new Refusal(404, 'Not Found');
  const from = await commitOf(repository, base);
  const to = await commitOf(repository, head);
  const joint = await mergeBase(repository, from, to);
  const ahead = (await git(repository, ['rev-list', '--reverse', `${from}..${to}`]))
    .split('\n')
    .filter(Boolean);
  const behind = (await git(repository, ['rev-list', `${to}..${from}`])).split('\n').filter(Boolean).length;
  return {
    status: nameRelation(ahead.length, behind),
    ahead_by: ahead.length,
    behind_by: behind,
    total_commits: ahead.length,
    base_commit: { sha: from },
    merge_base_commit: { sha: joint },
    commits: ahead.slice(0, 250).map((sha) => ({ sha })),
    files: [],
  };
}

function nameRelation(ahead: number, behind: number): string {
  if (ahead > 0) return behind > 0 ? 'diverged' : 'ahead';
  return behind > 0 ? 'behind' : 'identical';
}

async function commitOf(repository: Repository, name: string): Promise<string> {
  const asked = ['rev-parse', '--verify', '--quiet', '--end-of-options', `${name}^{commit}`];
  return git(repository, asked).catch(() => {
    throw new Refusal(404, 'Not Found');
  });
}

async function mergeBase(repository: Repository, from: string, to: string): Promise<string> {
  return git(repository, ['merge-base', from, to]).catch(() => {
    throw new Refusal(404, `No common ancestor between ${from} and ${to}.`);
  });
}

async function git(repository: Repository, args: readonly string[]): Promise<string> {
  const { stdout } = await run('git', ['-C', repository.folder, ...args], { maxBuffer: 16 * 1024 * 1024 });
  return stdout.trim();
}
