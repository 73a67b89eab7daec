import { readFileSync } from 'node:fs';
import * as core from '@actions/core';
import { ConfigurationError, messageOf, OperationError, sentenceOf } from './errors.ts';
import { explain } from './reasons.ts';
import { tryThrice } from './tries.ts';

/** What GitHub tells a job of itself. */
export interface Job {
  /** `owner/name`. */
  readonly repository: string;
  readonly repositoryId: string;
  readonly runId: string;
  readonly attempt: number;
  readonly event: string;
  readonly ref: string;
  /** The commit of the event. */
  readonly sha: string;
  readonly actor: string;
  readonly apiUrl: string;
  readonly runUrl: string;
  /** Whether the run was caused by a pull request, by whatever way. */
  readonly fromPullRequest: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads the job from the variables that every runner sets. */
export function readJob(env: Environment = process.env): Job {
  const read = (name: string): string => {
    const value = env[name];
    if (value) return value;
    const how = 'This action runs inside a GitHub Actions job, which sets it.';
    throw new ConfigurationError({ where: name, what: 'The variable is not set.', how });
  };
  const number = (name: string): string => {
    const value = read(name);
    if (/^[1-9]\d{0,19}$/.test(value)) return value;
    const what = `${JSON.stringify(value)} is not a number.`;
    throw new ConfigurationError({ where: name, what, how: 'The runner sets it.' });
  };
  const [repository, runId] = [read('GITHUB_REPOSITORY'), number('GITHUB_RUN_ID')];
  const attempt = number('GITHUB_RUN_ATTEMPT');
  return {
    repository,
    repositoryId: number('GITHUB_REPOSITORY_ID'),
    runId,
    attempt: Number(attempt),
    event: read('GITHUB_EVENT_NAME'),
    ref: env['GITHUB_REF'] ?? '',
    sha: env['GITHUB_SHA'] ?? '',
    actor: env['GITHUB_ACTOR'] ?? '',
    apiUrl: env['GITHUB_API_URL'] || 'https://api.github.com',
    runUrl: `${env['GITHUB_SERVER_URL'] || 'https://github.com'}/${repository}/actions/runs/${runId}/attempts/${attempt}`,
    fromPullRequest: comesFromPullRequest(env),
  };
}

/** `workflow_run` runs with the rights of the default branch on behalf of whatever started the first run. */
function comesFromPullRequest(env: Environment): boolean {
  const events = [env['GITHUB_EVENT_NAME'] ?? '', triggeringEvent(env['GITHUB_EVENT_PATH'])];
  return (
    events.some((event) => event.startsWith('pull_request')) ||
    (env['GITHUB_REF'] ?? '').startsWith('refs/pull/')
  );
}

function triggeringEvent(path: string | undefined): string {
  if (!path) return '';
  try {
    const payload: unknown = JSON.parse(readFileSync(path, 'utf8'));
    const run = (payload as { workflow_run?: { event?: unknown } } | null)?.workflow_run;
    return typeof run?.event === 'string' ? run.event : '';
  } catch {
    return '';
  }
}

/** The name of this run of an action: unique by run, attempt, action and environment. */
export function operationOf(job: Job, action: string, environment: string): string {
  return `${job.repositoryId}-${job.runId}-${job.attempt}-${action}-${environment}`;
}

/** Refuses a run that a pull request caused: its code has not been merged by anyone. */
export function refusePullRequests(job: Job): void {
  if (!job.fromPullRequest) return;
  throw new OperationError({
    reason: 'pull-request',
    happened: `A pull request may change nothing here (event ${job.event}, ref ${job.ref}).`,
    stateNow: 'Nothing was changed.',
    todo: 'Merge it: the push to the branch may.',
  });
}

/** The audience that AWS expects in a job's token. */
const awsAudience = 'sts.amazonaws.com';

/** A fresh OIDC token of this job, for AWS. */
export async function identityToken(env: Environment = process.env): Promise<string> {
  if (!env['ACTIONS_ID_TOKEN_REQUEST_URL']) {
    throw new ConfigurationError({
      where: 'permissions of the job',
      what: 'The job may not ask for an identity token, so it cannot assume the role.',
      how: 'Grant it, in the calling workflow too: permissions: {id-token: write}',
      reason: 'role-refused',
    });
  }
  return askForToken();
}

/** Asked again when GitHub's token server does not answer: the toolkit itself repeats only some of its faults. */
function askForToken(): Promise<string> {
  return tryThrice(() => core.getIDToken(awsAudience)).catch((cause: unknown) => {
    throw noToken(cause);
  });
}

function noToken(cause: unknown): OperationError {
  return new OperationError({
    reason: 'github-failed',
    happened: `GitHub gave the job no identity token: ${sentenceOf(messageOf(cause).replace(/\s+/g, ' '))}`,
    stateNow: 'Nothing was changed.',
    todo: explain('github-failed').todo,
    cause,
  });
}
