import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { ListCommandInvocationsCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import type { Config } from '../../src/config/config.ts';
import { type Cloud, describeHost, inFabric, onHost, operatorClient } from '../cloud/cloud.ts';
import { ensureHosts } from '../cloud/enrol.ts';
import { readPlace } from '../cloud/place.ts';
import { provision } from '../cloud/provision.ts';
import { type RecordedCall, readCalls } from '../gateway/record.ts';
import type { HostView } from '../hosts/hosts.ts';
import type { LoadReport, Sample } from '../load/load.ts';
import { usersOf } from '../load/users.ts';
import { type Run, runWorkflow } from '../runner/runner.ts';
import { type DeployRecord, type Recording, recordDeploys } from './recording.ts';
import type { CallerRepository } from './repository.ts';
import { assertConclusion } from './verdict.ts';

const REQUESTS_A_SECOND = 30;

interface Opening {
  /** 1 when absent. */
  readonly hosts?: number;
  /** Ends the runs that are under way. */
  readonly stop?: AbortSignal;
}

/** What may become of a run while it plays. */
interface Interruption {
  /** Cancels it, as a person would. */
  readonly cancel?: AbortSignal;
  /** Takes its runner away. */
  readonly lost?: AbortSignal;
  /** Takes each line of its log as it comes. */
  readonly onLine?: (line: string) => void;
}

/** The staging environment of one app: its hosts, a caller's repository, and the ways to ask them. */
export class Staging {
  readonly cloud: Cloud;
  readonly app: string;
  readonly repository: CallerRepository;
  /** The first one, where there are several. */
  readonly instanceId: string;
  readonly address: string;
  readonly instances: readonly string[];
  /** Resources of the account that the emulator skips, and that the scenes therefore do not exercise. */
  readonly notExercised: readonly string[];
  readonly #config: Config;
  readonly #stop: AbortSignal | undefined;
  #lastRun: Run | undefined;
  #callsSeen = 0;
  #requests: Sample[] = [];
  #deploys: DeployRecord[] = [];

  private constructor(
    cloud: Cloud,
    repository: CallerRepository,
    config: Config,
    hosts: readonly HostView[],
    notExercised: readonly string[],
    stop: AbortSignal | undefined,
  ) {
    this.cloud = cloud;
    this.app = repository.app;
    this.repository = repository;
    this.instances = hosts.map(({ id }) => id);
    this.instanceId = hosts[0]?.id ?? '';
    this.address = hosts[0]?.ip ?? '';
    this.notExercised = notExercised;
    this.#config = config;
    this.#stop = stop;
  }

  /** Provisions the account for the app, launches its hosts, and enrols them. */
  static async open(
    cloud: Cloud,
    repository: CallerRepository,
    { hosts = 1, stop }: Opening = {},
  ): Promise<Staging> {
    const place = { app: repository.app, environment: 'staging', folder: repository.folder };
    const notExercised = await provision(cloud, { ...place, repository: repository.name });
    const ids = await ensureHosts(cloud, place, hosts);
    const views = await Promise.all(ids.map((id) => describeHost(cloud, id)));
    return new Staging(cloud, repository, readPlace(place), views, notExercised, stop);
  }

  /** Enrols the hosts again, as an operator does whose understudy.yml wants another service. */
  async enrol(): Promise<void> {
    const { app, folder } = this.repository;
    await ensureHosts(this.cloud, { app, environment: 'staging', folder }, this.instances.length);
  }

  /** Plays a push to main on the runner. */
  async push(interruption: Interruption = {}): Promise<Run> {
    this.#lastRun = await this.#play({}, interruption);
    return this.#lastRun;
  }

  /** Re-runs the last push, as its next attempt: the same commit is built again. */
  async rerun(interruption: Interruption = {}): Promise<Run> {
    const last = this.#lastRun;
    assert.ok(last, `nothing was pushed to ${this.repository.name} yet`);
    this.#lastRun = await this.#play({ runId: last.runId, attempt: last.attempt + 1 }, interruption);
    return this.#lastRun;
  }

  /** Makes sure that something is live: a scene that plays alone has no other before it. */
  async ensureLive(): Promise<void> {
    if ((await this.liveRelease()) === '') assertConclusion(await this.push(), 'success');
    await this.callsSince();
    this.takeRecording();
  }

  async #play(attempt: { runId?: number; attempt?: number }, interruption: Interruption): Promise<Run> {
    const { cancel, ...rest } = interruption;
    const signals = [this.#stop, cancel].filter((signal) => signal !== undefined);
    const startMs = Date.now();
    const run = await runWorkflow(this.cloud, {
      repository: this.repository.name,
      folder: this.repository.folder,
      event: 'push',
      ref: 'refs/heads/main',
      signal: AbortSignal.any(signals),
      ...attempt,
      ...rest,
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
      ...[
        '--url',
        `http://${this.address}:${this.#config.service.listen}`,
        '--rate',
        String(REQUESTS_A_SECOND),
      ],
      ...(this.app in usersOf ? ['--kind', this.app] : ['--checks', JSON.stringify(this.#config.checks)]),
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
    return this.ask(
      'curl',
      '--silent',
      '--show-error',
      '--fail',
      `http://127.0.0.1:${this.#config.service.listen}${path}`,
    );
  }

  /** The first 12 digits of the release that is live on the host; empty where none is. */
  async liveRelease(): Promise<string> {
    const link = `/srv/${this.app}/current`;
    const target = await this.ask('bash', '-c', `[[ ! -L ${link} ]] || readlink --canonicalize ${link}`);
    return target.split('/').at(-1) ?? '';
  }

  /** Has a hook of the app wait, or wait no longer: see the hooks of kiosk. */
  async hold(hook: 'prepare' | 'migrate'): Promise<void> {
    await this.ask('touch', `/etc/hold-${hook}`);
  }

  async letGo(hook: 'prepare' | 'migrate'): Promise<void> {
    await this.ask('rm', '--force', `/etc/hold-${hook}`);
  }

  /** Waits until an operation that has not ended is in a step, or has been asked to stop there. */
  async untilIn(step: string, { cancelled = false } = {}): Promise<void> {
    const found = `for folder in /var/lib/understudy/${this.app}/operations/*-deploy-staging; do
      [[ -f $folder/line ]] && continue
      ${cancelled ? '[[ -f $folder/cancel ]] || continue' : ''}
      last=$(grep '"event":' "$folder/journal.jsonl" 2>/dev/null | tail -n 1)
      [[ $last != *'"step":"${step}","event":"started"'* ]] || exit 0
    done; exit 1`;
    await this.until(found);
  }

  /** Waits until a shell command succeeds on the host. */
  async until(command: string): Promise<void> {
    const limit = Date.now() + 120_000;
    while ((await onHost(this.cloud, this.instanceId, ['bash', '-c', command])).code !== 0) {
      this.#stop?.throwIfAborted();
      assert.ok(Date.now() < limit, `this did not come true on ${this.instanceId}: ${command}`);
      await sleep(100);
    }
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

  /** Whether somebody holds the lease of the environment now, as it is written. */
  async lease(): Promise<'held' | 'released'> {
    const place = { Bucket: `${this.app}-understudy`, Key: `leases/${this.app}/staging.json` };
    const { Body: body } = await this.#s3().send(new GetObjectCommand(place));
    return JSON.parse((await body?.transformToString()) ?? '').state;
  }

  /** The units of releases that are up, or coming up. */
  async unitsUp(): Promise<string[]> {
    const states = '--state=active,activating,reloading';
    const listed = await this.ask(
      'systemctl',
      'list-units',
      '--plain',
      '--no-legend',
      states,
      `${this.app}@*.service`,
    );
    return listed.split('\n').flatMap((line) => line.split(' ')[0] || []);
  }

  /** Puts a secret into Parameter Store, as an operator does. */
  async putSecret(name: string, Value: string): Promise<void> {
    const Name = `/${this.app}/staging/${name}`;
    const put = new PutParameterCommand({ Name, Value, Type: 'SecureString', Overwrite: true });
    await new SSMClient(operatorClient(this.cloud)).send(put);
  }

  /** Files of the host that hold a text, on any disk: not on those that are memory (/run, /proc, …). */
  async filesWith(text: string): Promise<string[]> {
    const search = `journalctl --sync; find / /tmp /var/tmp -xdev -type f -exec grep --fixed-strings --file=- \
      --files-with-matches --no-messages {} + <<<"$1" || true`;
    return (await this.ask('bash', '-c', search, 'search', text)).split('\n').filter((line) => line !== '');
  }

  /** All objects of the app's buckets, unpacked. */
  async objects(): Promise<{ key: string; text: string }[]> {
    const s3 = this.#s3();
    const buckets = [`${this.app}-understudy`, `${this.app}-understudy-backups`];
    const lists = await Promise.all(
      buckets.map(async (Bucket) => {
        const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket }));
        return Contents.map(({ Key = '' }) => ({ Bucket, Key }));
      }),
    );
    return Promise.all(
      lists.flat().map(async (place) => {
        const { Body: body } = await s3.send(new GetObjectCommand(place));
        const bytes = Buffer.from((await body?.transformToByteArray()) ?? []);
        const text = (place.Key.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1');
        return { key: `${place.Bucket}/${place.Key}`, text };
      }),
    );
  }

  /** All that Systems Manager shows of what commands printed on the hosts. */
  async commandOutputs(): Promise<string> {
    const ssm = new SSMClient(operatorClient(this.cloud));
    const outputs: string[] = [];
    for (const InstanceId of this.instances) {
      const { CommandInvocations: found = [] } = await ssm.send(
        new ListCommandInvocationsCommand({ InstanceId, Details: true, MaxResults: 50 }),
      );
      outputs.push(JSON.stringify(found));
    }
    return outputs.join('\n');
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
