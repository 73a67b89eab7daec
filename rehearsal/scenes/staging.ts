import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../src/config/config.ts';
import { type Cloud, describeHost } from '../cloud/cloud.ts';
import { ensureHosts } from '../cloud/enrol.ts';
import { readPlace } from '../cloud/place.ts';
import { provision } from '../cloud/provision.ts';
import type { HostView } from '../hosts/hosts.ts';
import { type Gathering, gather } from '../load/crowd.ts';
import type { LoadReport, Sample } from '../load/load.ts';
import { usersOf } from '../load/users.ts';
import { type Run, runWorkflow, type Trigger } from '../runner/runner.ts';
import { Account } from './account.ts';
import { Host } from './host.ts';
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
  readonly hosts: readonly Host[];
  readonly account: Account;
  /** Resources of the account that the emulator skips, and that the scenes therefore do not exercise. */
  readonly notExercised: readonly string[];
  readonly #config: Config;
  readonly #stop: AbortSignal | undefined;
  #lastRun: Run | undefined;
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
    const served = { app: this.app, port: config.service.listen, stop };
    this.hosts = hosts.map((view) => new Host(cloud, view, served));
    this.account = new Account(cloud, this.app);
    this.notExercised = notExercised;
    this.#config = config;
    this.#stop = stop;
  }

  /** The only host, or the first of several. */
  get host(): Host {
    const [first] = this.hosts;
    assert.ok(first, `${this.app} has no host`);
    return first;
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
    await ensureHosts(this.cloud, { app, environment: 'staging', folder }, this.hosts.length);
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
    if ((await this.host.liveRelease()) === '') assertConclusion(await this.push(), 'success');
    await this.account.callsSince();
    this.takeRecording();
  }

  /** Plays a press on "Run workflow" of one of its workflows. */
  dispatch(
    workflow: string,
    { inputs = {}, ...interruption }: Interruption & Pick<Trigger, 'inputs'> = {},
  ): Promise<Run> {
    return this.#run({ event: 'workflow_dispatch', workflow, inputs }, interruption);
  }

  /** Plays a workflow while users do nothing but write, so many times a second; returns the run and what they met. */
  async dispatchUnderWrites(workflow: string, rate: number): Promise<{ run: Run; load: LoadReport }> {
    const writers = { asks: `${this.app}-writers`, rate };
    return this.#underLoad(writers, async () => {
      // Some of what they write is there before.
      await sleep(3_000);
      return this.dispatch(workflow);
    });
  }

  async #play(attempt: { runId?: number; attempt?: number }, interruption: Interruption): Promise<Run> {
    const startMs = Date.now();
    const run = await this.#run({ event: 'push', ...attempt }, interruption);
    const played = { run, startMs, endMs: Date.now() };
    this.#deploys.push(...(await recordDeploys(this.account.s3, this.app, played)));
    return run;
  }

  #run(
    event: Pick<Trigger, 'event' | 'workflow' | 'inputs' | 'runId' | 'attempt'>,
    { cancel, ...rest }: Interruption,
  ): Promise<Run> {
    const signals = [this.#stop, cancel].filter((signal) => signal !== undefined);
    return runWorkflow(this.cloud, {
      repository: this.repository.name,
      folder: this.repository.folder,
      ref: 'refs/heads/main',
      signal: AbortSignal.any(signals),
      ...event,
      ...rest,
    });
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
    return this.#underLoad(this.#users, () => this.push());
  }

  /** Plays a press on a button while the load generator keeps asking. */
  async dispatchUnderLoad(
    workflow: string,
    inputs: Readonly<Record<string, string>>,
  ): Promise<{ run: Run; load: LoadReport }> {
    return this.#underLoad(this.#users, () => this.dispatch(workflow, { inputs }));
  }

  get #users(): Omit<Gathering, 'url'> {
    return { asks: this.app in usersOf ? this.app : this.#config.checks, rate: REQUESTS_A_SECOND };
  }

  async #underLoad(
    users: Omit<Gathering, 'url'>,
    play: () => Promise<Run>,
  ): Promise<{ run: Run; load: LoadReport }> {
    const url = `http://${this.host.address}:${this.#config.service.listen}`;
    const crowd = await gather(this.cloud, { url, ...users });
    try {
      const run = await play();
      const load = await crowd.leave();
      this.#requests.push(...load.samples);
      return { run, load };
    } finally {
      await crowd.end();
    }
  }
}
