import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Cloud } from '../cloud/cloud.ts';
import { repositoryFolder } from '../ground/places.ts';
import { readWorkflowCommand, type WorkflowCommand } from './workflow-command.ts';

/** What one step of a job left: its exit code, what it told the runner, its outputs, state, summary and log. */
export interface Step {
  readonly code: number;
  readonly errors: readonly WorkflowCommand[];
  readonly outputs: Readonly<Record<string, string>>;
  /** What it saved for its post step. */
  readonly state: Readonly<Record<string, string>>;
  readonly summary: string;
  readonly log: string;
}

/** A step that runs. */
export interface Started {
  readonly ended: Promise<Step>;
  /** What it has printed so far. */
  readonly log: () => string;
  readonly kill: (signal: NodeJS.Signals) => void;
}

/** A job of GitHub's, as far as a step sees one; no runner between the two. */
export class Job {
  readonly #cloud: Cloud;
  readonly #repository: string;
  readonly #id: number;

  readonly #workflow: string;
  readonly #environment: string;

  private constructor(cloud: Cloud, repository: string, id: number, workflow: string, environment: string) {
    this.#cloud = cloud;
    this.#repository = repository;
    this.#id = id;
    this.#workflow = workflow;
    this.#environment = environment;
  }

  /**
   * @param workflow file name of the reusable workflow of ours whose job it is
   * @param environment what the job says of its `environment:`
   */
  static async open(
    cloud: Cloud,
    repository: string,
    workflow = 'deploy-staging.yml',
    environment = 'staging',
  ): Promise<Job> {
    const known = await (await fetch(`${cloud.githubUrl}/repos/${repository}`)).json();
    return new Job(cloud, repository, (known as { id: number }).id, workflow, environment);
  }

  /** Runs the committed bundle of an action as a process of its own, with a runner's environment and no other. */
  async run(
    action: string,
    inputs: Readonly<Record<string, string>>,
    more: Readonly<Record<string, string>> = {},
  ): Promise<Step> {
    return (await this.start(action, inputs, more)).ended;
  }

  /** Starts it, for one who does not only wait for its end. */
  async start(
    action: string,
    inputs: Readonly<Record<string, string>>,
    more: Readonly<Record<string, string>> = {},
  ): Promise<Started> {
    const folder = await mkdtemp(join(tmpdir(), 'understudy-step-'));
    const files = {
      output: join(folder, 'output'),
      state: join(folder, 'state'),
      summary: join(folder, 'md'),
    };
    for (const file of Object.values(files)) await writeFile(file, '');
    const env = {
      PATH: process.env['PATH'] ?? '',
      RUNNER_TEMP: folder,
      GITHUB_OUTPUT: files.output,
      GITHUB_STATE: files.state,
      GITHUB_STEP_SUMMARY: files.summary,
      ...this.#variables(),
      ...(await this.#tokens(more['GITHUB_REF'] ?? main)),
      ...Object.fromEntries(
        Object.entries(inputs).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value]),
      ),
      ...more,
    };
    const child = execFile(process.execPath, [join(repositoryFolder, 'dist', action, 'index.js')], {
      env,
      timeout: limitMs,
      maxBuffer: 64 * 1024 * 1024,
    });
    let log = '';
    child.stdout?.on('data', (text: string) => {
      log += text;
    });
    const closed = once(child, 'close').then(async (): Promise<Step> => {
      const commands = log.split('\n').flatMap((line) => readWorkflowCommand(line) ?? []);
      const read = (file: string): Promise<string> => readFile(file, 'utf8');
      const step = {
        code: child.exitCode ?? -1,
        errors: commands.filter(({ name }) => name === 'error'),
        outputs: readValues(await read(files.output)),
        state: readValues(await read(files.state)),
        summary: await read(files.summary),
        log,
      };
      await rm(folder, { recursive: true });
      return step;
    });
    return { ended: closed, log: () => log, kill: (signal) => child.kill(signal) };
  }

  #variables(): Record<string, string> {
    return {
      AWS_ENDPOINT_URL: this.#cloud.gatewayUrl,
      GITHUB_API_URL: this.#cloud.githubUrl,
      GITHUB_REPOSITORY: this.#repository,
      GITHUB_REPOSITORY_ID: String(this.#id),
      GITHUB_RUN_ID: '4242',
      GITHUB_RUN_ATTEMPT: '1',
      GITHUB_EVENT_NAME: 'push',
      GITHUB_REF: main,
      GITHUB_ACTOR: 'ada',
    };
  }

  async #tokens(ref: string): Promise<Record<string, string>> {
    const claims = {
      sub: `repo:${this.#repository}:environment:${this.#environment}`,
      repository: this.#repository,
      repository_id: String(this.#id),
      repository_owner: this.#repository.split('/')[0],
      ref,
      job_workflow_ref: `understudy-actions/understudy/.github/workflows/${this.#workflow}@${'0'.repeat(40)}`,
    };
    const asked = await fetch(`${this.#cloud.oidcUrl}/runs`, {
      method: 'POST',
      body: JSON.stringify(claims),
      headers: { 'content-type': 'application/json' },
    });
    const { requestUrl, requestToken } = (await asked.json()) as { requestUrl: string; requestToken: string };
    return { ACTIONS_ID_TOKEN_REQUEST_URL: requestUrl, ACTIONS_ID_TOKEN_REQUEST_TOKEN: requestToken };
  }
}

const main = 'refs/heads/main';

/** No step that we run takes longer, even on a machine that does other things. */
const limitMs = 180_000;

/** GITHUB_OUTPUT and GITHUB_STATE in the form of @actions/core: `name<<delimiter`, the value's lines, the delimiter. */
function readValues(text: string): Record<string, string> {
  const found = text.matchAll(/^([\w-]+)<<(\S+)\n([\s\S]*?)\n\2$/gm);
  return Object.fromEntries([...found].map(([, name = '', , value = '']) => [name, value]));
}
