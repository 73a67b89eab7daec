import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Cloud } from '../cloud/cloud.ts';
import { repositoryFolder } from '../ground/places.ts';
import { readWorkflowCommand, type WorkflowCommand } from './workflow-command.ts';

/** What one step of a job left: its exit code, what it told the runner, its outputs, its summary and its log. */
export interface Step {
  readonly code: number;
  readonly errors: readonly WorkflowCommand[];
  readonly outputs: Readonly<Record<string, string>>;
  readonly summary: string;
  readonly log: string;
}

/** A job of GitHub's, as far as a step sees one; no runner between the two. */
export class Job {
  readonly #cloud: Cloud;
  readonly #repository: string;
  readonly #id: number;

  private constructor(cloud: Cloud, repository: string, id: number) {
    this.#cloud = cloud;
    this.#repository = repository;
    this.#id = id;
  }

  static async open(cloud: Cloud, repository: string): Promise<Job> {
    const known = await (await fetch(`${cloud.githubUrl}/repos/${repository}`)).json();
    return new Job(cloud, repository, (known as { id: number }).id);
  }

  /** Runs the committed bundle of an action as a process of its own, with a runner's environment and no other. */
  async run(
    action: string,
    inputs: Readonly<Record<string, string>>,
    more: Readonly<Record<string, string>> = {},
  ): Promise<Step> {
    const folder = await mkdtemp(join(tmpdir(), 'understudy-step-'));
    const files = {
      output: join(folder, 'output'),
      state: join(folder, 'state'),
      summary: join(folder, 'md'),
    };
    try {
      for (const file of Object.values(files)) await writeFile(file, '');
      const env = {
        PATH: process.env['PATH'] ?? '',
        RUNNER_TEMP: folder,
        GITHUB_OUTPUT: files.output,
        GITHUB_STATE: files.state,
        GITHUB_STEP_SUMMARY: files.summary,
        ...this.#environment(),
        ...(await this.#tokens()),
        ...Object.fromEntries(
          Object.entries(inputs).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value]),
        ),
        ...more,
      };
      const { code, stdout } = await start(join(repositoryFolder, 'dist', action, 'index.js'), env);
      const commands = stdout.split('\n').flatMap((line) => readWorkflowCommand(line) ?? []);
      return {
        code,
        errors: commands.filter(({ name }) => name === 'error'),
        outputs: readOutputs(await readFile(files.output, 'utf8')),
        summary: await readFile(files.summary, 'utf8'),
        log: stdout,
      };
    } finally {
      await rm(folder, { recursive: true });
    }
  }

  #environment(): Record<string, string> {
    return {
      AWS_ENDPOINT_URL: this.#cloud.gatewayUrl,
      GITHUB_API_URL: this.#cloud.githubUrl,
      GITHUB_REPOSITORY: this.#repository,
      GITHUB_REPOSITORY_ID: String(this.#id),
      GITHUB_RUN_ID: '4242',
      GITHUB_RUN_ATTEMPT: '1',
      GITHUB_EVENT_NAME: 'push',
      GITHUB_REF: 'refs/heads/main',
      GITHUB_ACTOR: 'ada',
    };
  }

  async #tokens(): Promise<Record<string, string>> {
    const workflow = 'understudy-actions/understudy/.github/workflows/deploy-staging.yml';
    const claims = {
      sub: `repo:${this.#repository}:environment:staging`,
      repository: this.#repository,
      repository_id: String(this.#id),
      repository_owner: this.#repository.split('/')[0],
      ref: 'refs/heads/main',
      job_workflow_ref: `${workflow}@${'0'.repeat(40)}`,
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

/** No step that we run takes longer, even on a machine that does other things. */
const limitMs = 180_000;

function start(bundle: string, env: Record<string, string>): Promise<{ code: number; stdout: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [bundle],
      { env, timeout: limitMs, maxBuffer: 64 * 1024 * 1024 },
      (_, stdout) => resolve({ code: child.exitCode ?? -1, stdout }),
    );
  });
}

/** GITHUB_OUTPUT in the form of @actions/core: `name<<delimiter`, the value's lines, the delimiter. */
function readOutputs(text: string): Record<string, string> {
  const found = text.matchAll(/^([\w-]+)<<(\S+)\n([\s\S]*?)\n\2$/gm);
  return Object.fromEntries([...found].map(([, name = '', , value = '']) => [name, value]));
}
