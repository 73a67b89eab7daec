import type { Job } from './log.ts';
import type { OidcRequest } from './workbench.ts';
import type { PlannedJob } from './workflow.ts';

/** The stand-ins that play GitHub beside the runner. */
export interface GithubUrls {
  readonly githubUrl: string;
  readonly oidcUrl: string;
}

/** One attempt of one run, as the page of the run names it. */
export interface Attempt {
  readonly repository: string;
  readonly repositoryId: number;
  readonly owner: string;
  readonly ownerId: number;
  readonly visibility: string;
  readonly defaultBranch: string;
  readonly runId: number;
  readonly attempt: number;
  readonly event: string;
  readonly ref: string;
  readonly sha: string;
  readonly actor: string;
  readonly workflow: string;
  readonly workflowRef: string;
}

async function send(url: string, method: string, body?: unknown): Promise<unknown> {
  const response = await fetch(url, {
    method,
    ...(body !== undefined && {
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${url} answered ${response.status}: ${text.slice(0, 300)}`);
  return text === '' ? undefined : JSON.parse(text);
}

/** The claims of GitHub's OIDC token for one job (documented under "OpenID Connect reference"). */
function claimsOf(run: Attempt, job: PlannedJob): Record<string, string> {
  const place = job.environment === undefined ? subjectOf(run) : `environment:${job.environment}`;
  return {
    sub: `repo:${run.repository}:${place}`,
    repository: run.repository,
    repository_id: String(run.repositoryId),
    repository_owner: run.owner,
    repository_owner_id: String(run.ownerId),
    repository_visibility: run.visibility,
    ref: run.ref,
    ref_type: run.ref.startsWith('refs/tags/') ? 'tag' : 'branch',
    sha: run.sha,
    event_name: run.event,
    actor: run.actor,
    workflow: run.workflow,
    workflow_ref: run.workflowRef,
    workflow_sha: run.sha,
    job_workflow_ref: job.workflowRef,
    run_id: String(run.runId),
    run_number: '1',
    run_attempt: String(run.attempt),
    runner_environment: 'github-hosted',
    ...(job.environment !== undefined && { environment: job.environment }),
  };
}

function subjectOf(run: Attempt): string {
  return run.event.startsWith('pull_request') ? 'pull_request' : `ref:${run.ref}`;
}

/** Asks the token server for a way to ask for tokens, for a job that may. */
export async function openTokens(urls: GithubUrls, run: Attempt, job: PlannedJob): Promise<OidcRequest> {
  return (await send(`${urls.oidcUrl}/runs`, 'POST', claimsOf(run, job))) as OidcRequest;
}

/** The stand-in's view of one run: its status, and the deployments of its jobs. */
export class GithubRun {
  readonly #api: string;
  readonly #run: Attempt;
  readonly #deployments = new Map<PlannedJob, number>();

  constructor(urls: GithubUrls, run: Attempt) {
    this.#api = urls.githubUrl;
    this.#run = run;
  }

  async tell(
    status: 'queued' | 'in_progress' | 'completed',
    conclusion: string | null = null,
  ): Promise<void> {
    const { repository, runId, attempt, event, ref, sha, actor, workflow } = this.#run;
    await send(`${this.#api}/_cloud/runs`, 'PUT', {
      repository,
      id: runId,
      run_attempt: attempt,
      status,
      conclusion,
      event,
      head_branch: ref.replace(/^refs\/(heads|tags)\//, ''),
      head_sha: sha,
      actor,
      name: workflow,
    });
  }

  /** GitHub makes a deployment for each job with `environment:` when it starts, unless that says otherwise. */
  async startDeployment(job: PlannedJob): Promise<void> {
    if (job.environment === undefined || !job.deploys) return;
    const { repository, ref, sha } = this.#run;
    const made = (await send(`${this.#api}/repos/${repository}/deployments`, 'POST', {
      ref: ref.replace(/^refs\/(heads|tags)\//, ''),
      sha,
      environment: job.environment,
      task: 'deploy',
      auto_merge: false,
      required_contexts: [],
    })) as { id: number };
    this.#deployments.set(job, made.id);
    await this.#status(made.id, 'in_progress', job.environment);
  }

  async endDeployment(job: PlannedJob, conclusion: Job['conclusion'], environmentUrl: string): Promise<void> {
    const id = this.#deployments.get(job);
    if (id === undefined || job.environment === undefined) return;
    const state = conclusion === 'success' || conclusion === 'failure' ? conclusion : 'error';
    await this.#status(id, state, job.environment, environmentUrl);
  }

  async #status(deployment: number, state: string, environment: string, url = ''): Promise<void> {
    const { repository, runId } = this.#run;
    await send(`${this.#api}/repos/${repository}/deployments/${deployment}/statuses`, 'POST', {
      state,
      environment,
      environment_url: url,
      log_url: `https://github.com/${repository}/actions/runs/${runId}`,
    });
  }
}

/** What the stand-in knows of a repository. */
export interface Repository {
  readonly id: number;
  readonly visibility: string;
  readonly default_branch: string;
}

/** Asks the stand-in for a repository, registering its folder first so that commits can be compared. */
export async function openRepository(urls: GithubUrls, name: string, folder: string): Promise<Repository> {
  await send(`${urls.githubUrl}/_cloud/repositories`, 'PUT', { repository: name, path: folder });
  return (await send(`${urls.githubUrl}/repos/${name}`, 'GET')) as Repository;
}
