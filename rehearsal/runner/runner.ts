import { writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { pythonTools, repositoryFolder } from '../ground/places.ts';
import { run as runCommand } from '../ground/run.ts';
import { endAll, runAct } from './act.ts';
import { type Attempt, GithubRun, type GithubUrls, openRepository, openTokens } from './github.ts';
import { type Job, type Moment, RunLog } from './log.ts';
import {
  closeWorkbench,
  layPrograms,
  layPython,
  layWorkflows,
  type OidcRequest,
  openCalled,
  openWorkbench,
  type Workbench,
} from './workbench.ts';
import { fillInputs, findWorkflow, type Occasion, type Plan, type PlannedJob, planRun } from './workflow.ts';

export type { Job } from './log.ts';

/** The parts of a cloud that a runner meets. */
export interface RunnerCloud extends GithubUrls {
  readonly gatewayUrl: string;
}

/** One event in a caller's repository. */
export interface Trigger {
  /** `owner/name`, as GitHub knows the repository. */
  readonly repository: string;
  /** The real git repository that stands for it; the run sees the commit of `ref`, and nothing uncommitted. */
  readonly folder: string;
  readonly event: 'push' | 'workflow_dispatch' | 'schedule' | 'pull_request';
  /** A full ref, `refs/heads/main`. */
  readonly ref: string;
  /** File name of the workflow, needed where more than one listens to the event. */
  readonly workflow?: string;
  /** Inputs of `workflow_dispatch`. */
  readonly inputs?: Readonly<Record<string, string>>;
  readonly runId?: number;
  /** 1 for a first run; a re-run is the next attempt of the same `runId`. */
  readonly attempt?: number;
  /** Takes each line of the log as it comes. */
  readonly onLine?: (line: string) => void;
  /** Cancels the run as a person would: the step at work is asked to end, post steps run. */
  readonly signal?: AbortSignal;
  /** Takes the runner's machine away: all its processes die at once, and GitHub calls the attempt failed. */
  readonly lost?: AbortSignal;
  /** Folder of the repository that stands for ours; this one, but in tests of the runner. */
  readonly ours?: string;
  /** Folder of the programs `act` and `python3`; the laid ground's, but in development. */
  readonly tools?: string;
}

/** How a run ended. */
export interface Run {
  readonly runId: number;
  readonly attempt: number;
  readonly conclusion: 'success' | 'failure' | 'cancelled';
  readonly jobs: readonly Job[];
  readonly log: string;
  readonly seconds: number;
}

const ACTOR = 'ada';
/** Folder of the Node that runs this: Node 24, which the actions want, whatever the machine has. */
const NODE = process.execPath;

let lastRunId = 0;

function newRunId(): number {
  lastRunId = Math.max(Date.now(), lastRunId + 1);
  return lastRunId;
}

async function checkOut(bench: Workbench, { folder, ref, repository }: Trigger): Promise<string> {
  const git = (...args: string[]) => runCommand(['git', '-c', 'advice.detachedHead=false', ...args]);
  await git('clone', '--quiet', '--no-checkout', folder, bench.checkout);
  const sha = (await git('-C', folder, 'rev-parse', `${ref}^{commit}`)).trim();
  await git('-C', bench.checkout, 'checkout', '--quiet', sha);
  await git('-C', bench.checkout, 'remote', 'set-url', 'origin', `https://github.com/${repository}`);
  return sha;
}

/** The workflow that an event starts, and what that is given. */
function startOf({ checkout }: Workbench, trigger: Trigger): { file: string; occasion: Occasion } {
  const occasion: Occasion = { ...trigger, inputs: trigger.inputs ?? {} };
  const file = findWorkflow(checkout, occasion, trigger.workflow);
  return { file, occasion: { ...occasion, inputs: fillInputs(checkout, file, occasion) } };
}

/** Throws where GitHub would start no run for the event; nothing is started. */
export async function expectStart(trigger: Trigger): Promise<void> {
  const bench = openWorkbench();
  try {
    await checkOut(bench, trigger);
    startOf(bench, trigger);
  } finally {
    closeWorkbench(bench);
  }
}

async function describe(cloud: RunnerCloud, trigger: Trigger, plan: Plan, sha: string): Promise<Attempt> {
  const known = await openRepository(cloud, trigger.repository, trigger.folder);
  return {
    repository: trigger.repository,
    repositoryId: known.id,
    owner: trigger.repository.split('/')[0] ?? '',
    ownerId: 1,
    visibility: known.visibility,
    defaultBranch: known.default_branch,
    runId: trigger.runId ?? newRunId(),
    attempt: trigger.attempt ?? 1,
    event: trigger.event,
    ref: trigger.ref,
    sha,
    actor: ACTOR,
    workflow: plan.name,
    workflowRef: `${trigger.repository}/.github/workflows/${plan.file}@${trigger.ref}`,
  };
}

function eventOf(run: Attempt, trigger: Trigger): Record<string, unknown> {
  const name = run.repository.split('/')[1];
  return {
    ref: run.ref,
    after: run.sha,
    inputs: trigger.inputs,
    repository: {
      id: run.repositoryId,
      name,
      full_name: run.repository,
      private: run.visibility !== 'public',
      visibility: run.visibility,
      default_branch: run.defaultBranch,
      owner: { login: run.owner, id: run.ownerId },
    },
    sender: { login: run.actor },
  };
}

/** What GitHub puts into the environment of every job; act makes the rest itself. */
function jobEnvironment(cloud: RunnerCloud, run: Attempt, bench: Workbench): Record<string, string> {
  return {
    AWS_ENDPOINT_URL: cloud.gatewayUrl,
    GITHUB_API_URL: cloud.githubUrl,
    GITHUB_REPOSITORY: run.repository,
    GITHUB_REPOSITORY_ID: String(run.repositoryId),
    GITHUB_REPOSITORY_OWNER: run.owner,
    GITHUB_REPOSITORY_OWNER_ID: String(run.ownerId),
    GITHUB_RUN_ID: String(run.runId),
    GITHUB_RUN_ATTEMPT: String(run.attempt),
    GITHUB_REF: run.ref,
    GITHUB_TRIGGERING_ACTOR: run.actor,
    GITHUB_WORKFLOW_REF: run.workflowRef,
    GITHUB_WORKFLOW_SHA: run.sha,
    RUNNER_NAME: 'understudy-rehearsal',
    RUNNER_ENVIRONMENT: 'github-hosted',
    // GitHub tells its artifact actions by this name where to ask; our stand-ins find a folder there.
    ACTIONS_RESULTS_URL: pathToFileURL(bench.artifacts).href,
  };
}

async function actArguments(bench: Workbench, run: Attempt, trigger: Trigger, env: Record<string, string>) {
  const event = join(bench.folder, 'event.json');
  await writeFile(event, JSON.stringify(eventOf(run, trigger)));
  return [
    ...[run.event, '--json', '--no-cache-server', '--platform', 'ubuntu-latest=-self-hosted'],
    ...['--directory', bench.checkout, '--workflows', bench.workflow, '--eventpath', event],
    ...[
      '--actor',
      run.actor,
      '--defaultbranch',
      run.defaultBranch,
      '--secret',
      'GITHUB_TOKEN=ghs_of-the-rehearsal',
    ],
    ...Object.entries(env).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
    ...Object.entries(trigger.inputs ?? {}).flatMap(([name, value]) => ['--input', `${name}=${value}`]),
    ...[...bench.repositories].flatMap(([name, folder]) => ['--local-repository', `${name}=${folder}`]),
  ];
}

function actEnvironment(bench: Workbench): Record<string, string> {
  const path = [
    bench.programs,
    join(bench.python, 'bin'),
    dirname(NODE),
    '/usr/local/sbin',
    '/usr/local/bin',
    '/usr/sbin',
    '/usr/bin',
    '/sbin',
    '/bin',
  ];
  return {
    PATH: path.join(delimiter),
    HOME: bench.home,
    TMPDIR: bench.temporary,
    XDG_CACHE_HOME: bench.cache,
    LANG: 'C.UTF-8',
  };
}

async function tokensFor(
  cloud: RunnerCloud,
  run: Attempt,
  plan: Plan,
): Promise<Map<PlannedJob, OidcRequest>> {
  const requests = new Map<PlannedJob, OidcRequest>();
  for (const job of plan.jobs) {
    if (job.permissions['id-token'] === 'write') requests.set(job, await openTokens(cloud, run, job));
  }
  return requests;
}

function concluded(jobs: readonly Job[], aborted: boolean): Run['conclusion'] {
  const conclusions = new Set(jobs.map(({ conclusion }) => conclusion));
  if (aborted && conclusions.has('cancelled')) return 'cancelled';
  return conclusions.has('failure') || conclusions.has('cancelled') ? 'failure' : 'success';
}

/** Tells the stand-in one moment after the other, in the order in which they came. */
class Teller {
  #last: Promise<void> = Promise.resolve();
  readonly #github: GithubRun;

  constructor(github: GithubRun) {
    this.#github = github;
  }

  tell(moment: Moment): void {
    this.#last = this.#last.then(() =>
      moment.kind === 'started'
        ? this.#github.startDeployment(moment.job)
        : this.#github.endDeployment(moment.job, moment.conclusion, moment.environmentUrl),
    );
    // Awaited by `done`; without this a failure in between would end the process.
    this.#last.catch(() => undefined);
  }

  done(): Promise<void> {
    return this.#last;
  }
}

/**
 * Plays one event in a caller's repository on the real runner (act, host mode), and tells the GitHub stand-in.
 *
 * @throws where GitHub would not start the run (no workflow listens, a called one wants more than its caller grants),
 *   and where a workflow needs of GitHub what cannot be had here.
 */
export async function runWorkflow(cloud: RunnerCloud, trigger: Trigger): Promise<Run> {
  const began = performance.now();
  const ours = trigger.ours ?? repositoryFolder;
  const tools = trigger.tools ?? pythonTools();
  const bench = openWorkbench();
  const leaveNothing = () => {
    endAll(bench.cache);
    closeWorkbench(bench);
  };
  process.once('exit', leaveNothing);
  const die = () => endAll(bench.cache);
  trigger.lost?.addEventListener('abort', die);
  try {
    const sha = await checkOut(bench, trigger);
    const { file, occasion } = startOf(bench, trigger);
    const plan = planRun(bench.checkout, file, occasion, (call) => openCalled(call, ours));
    const run = await describe(cloud, trigger, plan, sha);
    const github = new GithubRun(cloud, run);
    await github.tell('queued');
    layPrograms(bench, NODE);
    await layPython(bench, tools);
    layWorkflows(bench, plan, await tokensFor(cloud, run, plan), ours);
    await github.tell('in_progress');
    const started = { ...trigger, inputs: occasion.inputs, tools };
    const log = await playOn(bench, cloud, run, plan, started, github);
    const conclusion = concluded(log.jobs, trigger.signal?.aborted ?? false);
    await github.tell('completed', conclusion);
    const { runId, attempt } = run;
    const seconds = (performance.now() - began) / 1000;
    return { runId, attempt, conclusion, jobs: log.jobs, log: log.text, seconds };
  } finally {
    trigger.lost?.removeEventListener('abort', die);
    process.removeListener('exit', leaveNothing);
    leaveNothing();
  }
}

async function playOn(
  bench: Workbench,
  cloud: RunnerCloud,
  run: Attempt,
  plan: Plan,
  trigger: Trigger & { tools: string },
  github: GithubRun,
): Promise<RunLog> {
  const log = new RunLog(plan.jobs);
  const teller = new Teller(github);
  trigger.lost?.throwIfAborted();
  const { code } = await runAct({
    program: join(trigger.tools, 'act'),
    args: await actArguments(bench, run, trigger, jobEnvironment(cloud, run, bench)),
    env: actEnvironment(bench),
    holding: bench.holding,
    ...(trigger.signal && { signal: trigger.signal }),
    onLine: (text) => {
      const { line, moment } = log.take(text);
      if (moment) teller.tell(moment);
      trigger.onLine?.(line);
    },
  });
  if (trigger.lost?.aborted) for (const moment of log.lose()) teller.tell(moment);
  await teller.done();
  if (
    code !== 0 &&
    log.jobs.every(({ conclusion }) => conclusion === 'success' || conclusion === 'skipped')
  ) {
    throw new Error(`act ended with ${code} though no job failed:\n${log.text.slice(-3000)}`);
  }
  return log;
}
