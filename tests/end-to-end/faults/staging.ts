// A staging environment whose deploys are played by the bundle itself, as a job's main and post steps.

import { join } from 'node:path';
import { DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { type CommandFilter, ListCommandsCommand, SSMClient } from '@aws-sdk/client-ssm';
import { git } from '../../../rehearsal/cloud/caller.ts';
import { type Cloud, onHost, operatorClient } from '../../../rehearsal/cloud/cloud.ts';
import { ensureHosts } from '../../../rehearsal/cloud/enrol.ts';
import { provision } from '../../../rehearsal/cloud/provision.ts';
import { tellRun } from '../../../rehearsal/cloud/runs.ts';
import { type RecordedCall, readCalls } from '../../../rehearsal/gateway/record.ts';
import { Job, type Started, type Step } from '../../../rehearsal/runner/step.ts';
import { app, goAhead, makeRepository, writeVersion } from './app.ts';

const environment = 'staging';
const repository = `acme/${app}`;
const bucket = `${app}-understudy`;

/** A packed release of the app. */
export interface Packed {
  readonly id: string;
  readonly archive: string;
  readonly commit: string;
}

/** One attempt of a run, as GitHub counts them. */
export interface Attempt {
  readonly run: number;
  readonly attempt: number;
}

/** A deploy as a job played it. */
export interface Deploy {
  readonly operation: string;
  readonly main: Step;
  /** The JSON of main's output `result`. */
  readonly result: { readonly result: string; readonly reason: string; readonly sentence: string };
}

/** What the ledger says of an operation. */
export interface Entry {
  readonly operation: string;
  readonly time: string;
  readonly result: string;
  readonly reason: string;
  readonly release: string;
}

export class Staging {
  readonly cloud: Cloud;
  readonly instance: string;
  readonly #folder: string;
  readonly #job: Job;
  readonly #s3: S3Client;
  #version = 0;
  #run = 1000;

  private constructor(cloud: Cloud, instance: string, folder: string, job: Job) {
    this.cloud = cloud;
    this.instance = instance;
    this.#folder = folder;
    this.#job = job;
    this.#s3 = new S3Client({ ...operatorClient(cloud), forcePathStyle: true });
  }

  /** Provisions the account, launches a host, and enrols it. Its agent polls without the real one's pause. */
  static async open(cloud: Cloud): Promise<Staging> {
    const folder = await makeRepository(cloud);
    const place = { app, environment, folder };
    await provision(cloud, { ...place, repository });
    const [instance = ''] = await ensureHosts(cloud, place);
    const staging = new Staging(cloud, instance, folder, await Job.open(cloud, repository));
    const file = '/etc/amazon/ssm/amazon-ssm-agent.json';
    await staging.ask(
      `jq '.Agent.PollPauseSeconds = 0' ${file} > /tmp/c && cp /tmp/c ${file} && systemctl restart amazon-ssm-agent`,
    );
    await staging.letGo();
    return staging;
  }

  /** Commits the next version of the app, and packs it. */
  async pack(): Promise<Packed> {
    this.#version += 1;
    await writeVersion(this.#folder, this.#version);
    const archive = join(this.cloud.state, `release-${this.#version}.tar.gz`);
    const commit = (await git(this.#folder, 'rev-parse', 'HEAD')).trim();
    const { outputs } = await this.#job.run('pack-release', { path: this.#folder, archive, commit });
    return { id: outputs['release'] ?? '', archive, commit };
  }

  /** The first attempt of a new run. */
  nextRun(): Attempt {
    this.#run += 1;
    return { run: this.#run, attempt: 1 };
  }

  /**
   * Plays a deploy: main, then post, with GitHub told of the attempt's beginning and end. A post step that finds that
   * main did all is not played.
   */
  async deploy(packed: Packed, attempt = this.nextRun(), env: Record<string, string> = {}): Promise<Deploy> {
    const main = await (await this.start(packed, attempt, env)).ended;
    if (main.state['ended'] !== 'all') await this.post(packed, attempt, main.state, env);
    await this.tellGitHub(attempt, 'completed');
    return {
      operation: main.outputs['operation'] ?? '',
      main,
      result: JSON.parse(main.outputs['result'] ?? '{}'),
    };
  }

  /** Starts the main step alone. */
  async start(packed: Packed, attempt: Attempt, env: Record<string, string> = {}): Promise<Started> {
    await this.tellGitHub(attempt, 'in_progress');
    return this.#job.start('deploy-staging', inputsOf(packed), { ...envOf(attempt), ...env });
  }

  /** Plays the post step, with what main saved for it. */
  post(
    packed: Packed,
    attempt: Attempt,
    state: Readonly<Record<string, string>>,
    env: Record<string, string> = {},
  ): Promise<Step> {
    const saved = Object.fromEntries(Object.entries(state).map(([name, value]) => [`STATE_${name}`, value]));
    return this.#job.run('deploy-staging', inputsOf(packed), { ...envOf(attempt), ...saved, ...env });
  }

  async tellGitHub({ run, attempt }: Attempt, status: 'in_progress' | 'completed'): Promise<void> {
    await tellRun(this.cloud, { repository, id: run, attempt, status });
  }

  /** Runs a line on the host, as somebody would who sits before it. */
  async ask(line: string): Promise<string> {
    const { code, stdout, stderr } = await onHost(this.cloud, this.instance, ['bash', '-c', line]);
    if (code !== 0) throw new Error(`"${line}" ended with ${code}: ${stderr}`);
    return stdout.trim();
  }

  /** Lets the next deploys stand still on the host, before they change anything. */
  async hold(): Promise<void> {
    await this.ask(`rm -f ${goAhead}`);
  }

  async letGo(): Promise<void> {
    await this.ask(`touch ${goAhead}`);
  }

  /** Operations that are at work on the host. */
  async atWork(): Promise<string> {
    return this.ask(`systemctl list-units --no-legend 'understudy-${app}-*'`);
  }

  /** The first 12 digits of the release that is live. */
  async live(): Promise<string> {
    return (await this.ask(`readlink -f /srv/${app}/current || true`)).split('/').at(-1) ?? '';
  }

  /** How often each step of an operation was begun on the host; empty when it never began. */
  async stepsOf(operation: string): Promise<Record<string, number>> {
    const files = `/var/lib/understudy/${app}/operations/${operation}`;
    const lines = await this.ask(`find ${files} -name journal.jsonl -exec cat {} + 2>/dev/null || true`);
    const begun = lines
      .split('\n')
      .flatMap((line) => (line === '' ? [] : [JSON.parse(line) as { step?: string; event?: string }]))
      .filter(({ event }) => event === 'started');
    return Object.fromEntries(
      begun.map(({ step = '' }) => [step, begun.filter((one) => one.step === step).length]),
    );
  }

  /** How many commands of the deploy document Systems Manager has taken for an operation. */
  async commandsOf(operation: string): Promise<number> {
    const ssm = new SSMClient(operatorClient(this.cloud));
    const Filters: CommandFilter[] = [{ key: 'DocumentName', value: `${app}-deploy` }];
    const { Commands = [] } = await ssm.send(new ListCommandsCommand({ Filters }));
    return Commands.filter(({ Parameters }) => Parameters?.['operation']?.[0] === operation).length;
  }

  /** All calls of AWS so far, whoever made them. */
  calls(): RecordedCall[] {
    return readCalls(join(this.cloud.state, 'calls.jsonl'));
  }

  /** The last objects of the state bucket below a prefix, parsed. */
  async #newest<Value>(prefix: string): Promise<Value[]> {
    const listed = await this.#s3.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix }));
    return Promise.all(
      (listed.Contents ?? []).slice(-10).map(async ({ Key = '' }) => {
        const { Body } = await this.#s3.send(new GetObjectCommand({ Bucket: bucket, Key }));
        return JSON.parse((await Body?.transformToString()) ?? '') as Value;
      }),
    );
  }

  /** What the ledger says of an operation. */
  async ledger(operation: string): Promise<Entry[]> {
    const all = await this.#newest<Entry>(`ledger/${app}/`);
    return all.filter((entry) => entry.operation === operation);
  }

  async lease(): Promise<{ state: string; operation: string; fence: number; expires: string }> {
    const [lease] = await this.#newest<{ state: string; operation: string; fence: number; expires: string }>(
      `leases/${app}/`,
    );
    return lease ?? { state: 'none', operation: '', fence: 0, expires: '' };
  }

  /** Takes a release out of the bucket, so that the next deploy of it has to store it again. */
  async forgetStored({ id, commit }: Packed): Promise<void> {
    for (const Key of [`releases/${app}/${environment}/${id}.tar.gz`, `commits/${app}/${commit}.json`]) {
      await this.#s3.send(new DeleteObjectCommand({ Bucket: bucket, Key }));
    }
  }
}

function inputsOf({ archive, id }: Packed): Record<string, string> {
  return { archive, release: id, environment, excerpts: 'auto', 'github-token': 'ghs_x' };
}

function envOf({ run, attempt }: Attempt): Record<string, string> {
  return { GITHUB_RUN_ID: String(run), GITHUB_RUN_ATTEMPT: String(attempt) };
}
