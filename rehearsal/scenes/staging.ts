import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { type Cloud, describeHost, inFabric, onHost, operatorClient } from '../cloud/cloud.ts';
import { ensureHosts } from '../cloud/enrol.ts';
import { provision } from '../cloud/provision.ts';
import { type RecordedCall, readCalls } from '../gateway/record.ts';
import type { LoadReport, Sample } from '../load/load.ts';
import { type Run, runWorkflow } from '../runner/runner.ts';
import { type DeployRecord, type Recording, recordDeploys } from './recording.ts';
import { CallerRepository } from './repository.ts';

const PORT = 8080;
const REQUESTS_A_SECOND = 30;

/** The staging environment of one example app: a host, a caller's repository, and the ways to ask them. */
export class Staging {
  readonly cloud: Cloud;
  readonly app: string;
  readonly repository: CallerRepository;
  readonly instanceId: string;
  readonly address: string;
  /** Resources of the account that the emulator skips, and that the scenes therefore do not exercise. */
  readonly notExercised: readonly string[];
  readonly #stop: AbortSignal | undefined;
  #lastRun: Run | undefined;
  #callsSeen = 0;
  #requests: Sample[] = [];
  #deploys: DeployRecord[] = [];

  private constructor(
    cloud: Cloud,
    repository: CallerRepository,
    host: { id: string; ip: string },
    notExercised: readonly string[],
    stop: AbortSignal | undefined,
  ) {
    this.cloud = cloud;
    this.app = repository.app;
    this.repository = repository;
    this.instanceId = host.id;
    this.address = host.ip;
    this.notExercised = notExercised;
    this.#stop = stop;
  }

  /** Provisions the account for the app, launches a host, and enrols it. `stop` ends the runs that are under way. */
  static async open(cloud: Cloud, app: string, stop?: AbortSignal): Promise<Staging> {
    const repository = await CallerRepository.fromExample(app, cloud);
    const place = { app, environment: 'staging', folder: repository.folder };
    const notExercised = await provision(cloud, { ...place, repository: repository.name });
    const [instanceId = ''] = await ensureHosts(cloud, place);
    const host = await describeHost(cloud, instanceId);
    return new Staging(cloud, repository, host, notExercised, stop);
  }

  /** Plays a push to main on the runner; `cancel` cancels the run, as a person would. */
  async push(cancel?: AbortSignal): Promise<Run> {
    this.#lastRun = await this.#play({}, cancel);
    return this.#lastRun;
  }

  /** Re-runs the last push, as its next attempt: the same commit is built again. */
  async rerun(): Promise<Run> {
    const last = this.#lastRun;
    assert.ok(last, `nothing was pushed to ${this.repository.name} yet`);
    return this.#play({ runId: last.runId, attempt: last.attempt + 1 });
  }

  async #play(attempt: { runId?: number; attempt?: number }, cancel?: AbortSignal): Promise<Run> {
    const signals = [this.#stop, cancel].filter((signal) => signal !== undefined);
    const startMs = Date.now();
    const run = await runWorkflow(this.cloud, {
      repository: this.repository.name,
      folder: this.repository.folder,
      event: 'push',
      ref: 'refs/heads/main',
      signal: AbortSignal.any(signals),
      ...attempt,
    });
    const played = { run, startMs, endMs: Date.now() };
    this.#deploys.push(...(await recordDeploys(this.#s3(), this.app, played)));
    return run;
  }

  /** What users met and what was deployed since this was asked last. */
  takeRecording(): Recording {
    const recording = { requests: this.#requests, deploys: this.#deploys };
    this.#requests = [];
    this.#deploys = [];
    return recording;
  }

  /** Plays a push while the load generator keeps asking; returns the run and what the users met. */
  async pushUnderLoad(): Promise<{ run: Run; load: LoadReport }> {
    const out = join(this.cloud.state, `load-${this.app}.json`);
    const [command = '', ...args] = inFabric(this.cloud, [
      process.execPath,
      join(import.meta.dirname, '../load/main.ts'),
      ...['--url', `http://${this.address}:${PORT}`, '--kind', this.app, '--rate', String(REQUESTS_A_SECOND)],
      ...['--until-stdin-closes', '--out', out],
    ]);
    const load = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = once(load, 'exit');
    try {
      await Promise.race([
        once(createInterface(load.stdout), 'line'),
        ended.then(([code]) => assert.fail(`the load generator ended at once with ${code}`)),
      ]);
      const run = await this.push();
      load.stdin.end();
      await ended;
      const report = JSON.parse(await readFile(out, 'utf8')) as LoadReport;
      this.#requests.push(...report.samples);
      return { run, load: report };
    } finally {
      load.kill();
    }
  }

  /** Runs a command on the host and returns its standard output; fails when the command does. */
  async ask(...argv: string[]): Promise<string> {
    const { code, stdout, stderr } = await onHost(this.cloud, this.instanceId, argv);
    assert.equal(code, 0, `${argv.join(' ')} on ${this.instanceId}: ${stderr}`);
    return stdout.trim();
  }

  /** Asks the app as a user would, on its public port. */
  async get(path: string): Promise<string> {
    return this.ask('curl', '--silent', '--show-error', '--fail', `http://127.0.0.1:${PORT}${path}`);
  }

  /** The first 12 digits of the release that is live on the host. */
  async liveRelease(): Promise<string> {
    const target = await this.ask('readlink', '--canonicalize', `/srv/${this.app}/current`);
    return target.split('/').at(-1) ?? '';
  }

  /** Tells one start of the live release from the next: systemd's invocation of its unit. */
  async liveInvocation(): Promise<string> {
    const unit = `${this.app}@${await this.liveRelease()}.service`;
    return this.ask('systemctl', 'show', '--property=InvocationID', '--value', unit);
  }

  /** Values of one column of the live database, read by the host's sqlite3. */
  async column(database: string, query: string): Promise<string[]> {
    const file = `/srv/${this.app}/shared/${database}`;
    return (await this.ask('sqlite3', '-readonly', file, query)).split('\n');
  }

  /** The AWS calls that the app's CI role has made since this was asked last. */
  async callsSince(): Promise<RecordedCall[]> {
    const own = readCalls(join(this.cloud.state, 'calls.jsonl')).filter(
      ({ principal }) => principal === `role/${this.app}-staging-ci`,
    );
    const since = own.slice(this.#callsSeen);
    this.#callsSeen = own.length;
    return since;
  }

  /** The lease of the environment, as it is written now. */
  async lease(): Promise<{ state: string; operation: string }> {
    const place = { Bucket: `${this.app}-understudy`, Key: `leases/${this.app}/staging.json` };
    const { Body: body } = await this.#s3().send(new GetObjectCommand(place));
    return JSON.parse((await body?.transformToString()) ?? '');
  }

  /** Keys of all that the state bucket holds of releases, and which of them stands for which commit. */
  async storedReleases(): Promise<string[]> {
    const s3 = this.#s3();
    const listed = ['commits/', 'releases/'].map((Prefix) =>
      s3.send(new ListObjectsV2Command({ Bucket: `${this.app}-understudy`, Prefix })),
    );
    return (await Promise.all(listed)).flatMap(({ Contents = [] }) => Contents.map(({ Key = '' }) => Key));
  }

  #s3(): S3Client {
    return new S3Client({ ...operatorClient(this.cloud), forcePathStyle: true });
  }

  /** The deployments that the GitHub stand-in holds of the repository, the first one first, each with its states. */
  async deployments(): Promise<{ environment: string; states: string[] }[]> {
    const answer = await fetch(`${this.cloud.githubUrl}/_cloud/state`);
    const { repositories } = JSON.parse(await answer.text()) as {
      repositories: Record<string, { deployments: { environment: string; statuses: { state: string }[] }[] }>;
    };
    const held = repositories[this.repository.name]?.deployments ?? [];
    return held
      .map(({ environment, statuses }) => {
        return { environment, states: statuses.map(({ state }) => state).toReversed() };
      })
      .toReversed();
  }
}
