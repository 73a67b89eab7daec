import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { ListCommandInvocationsCommand, SSMClient } from '@aws-sdk/client-ssm';
import { callerRepository, commitAll, git } from '../rehearsal/cloud/caller.ts';
import {
  type Cloud,
  describeHost,
  onHost,
  operatorClient,
  startCloud,
  stopCloud,
} from '../rehearsal/cloud/cloud.ts';
import { enrol, ensureHosts } from '../rehearsal/cloud/enrol.ts';
import type { Place } from '../rehearsal/cloud/place.ts';
import { provision } from '../rehearsal/cloud/provision.ts';
import { type RecordedCall, readCalls } from '../rehearsal/gateway/record.ts';
import { repositoryFolder } from '../rehearsal/ground/places.ts';
import { Job, type Started } from '../rehearsal/runner/step.ts';
import { type Manifest, parseManifest } from '../src/backup/manifest.ts';
import { type Details, detailsKey, parseDetails } from '../src/command/details.ts';

const app = 'bench';
const environment = 'staging';
const bucket = `${app}-understudy`;
export const backups = `${bucket}-backups`;

/** How the app of the bench changes places, how long a worker of it needs to load, and which database is its data. */
export interface Form {
  readonly switch: 'overlap' | 'pause';
  readonly loadSeconds: number;
  /** Its own small one when absent. */
  readonly database?: string;
}

/** A release, packed. */
export interface Packed {
  readonly archive: string;
  readonly id: string;
}

/** One deploy through the bundle, and all that was seen of it. */
export interface Deployed {
  readonly result: { readonly result: string; readonly reason: string; readonly sentence: string };
  readonly instances: readonly { readonly sentence: string }[];
  /** Calls to AWS of the CI role, the first one first. */
  readonly calls: readonly RecordedCall[];
  /** What the host told beside its result; undefined where it could not store it. */
  readonly details: Details | undefined;
  /** The id of its command in Systems Manager. */
  readonly command: string;
}

/** One backup through the bundle, and all that was seen of it. */
export interface BackedUp {
  /** The manifest's key. */
  readonly key: string;
  readonly manifest: Manifest;
  /** Seconds that the agent ran the script. */
  readonly script: number;
  /** What the host told of its steps. */
  readonly steps: Details['steps'];
  readonly log: string;
}

/** A cloud with one prepared host, and a repository of the app of the bench. */
export class Grounds {
  readonly cloud: Cloud;
  readonly instanceId: string;
  readonly ip: string;
  readonly #place: Place;
  readonly #work: string;
  #runId = Date.now();
  #releases = 0;
  #form: Form | undefined;

  private constructor(cloud: Cloud, host: { id: string; ip: string }, place: Place) {
    this.cloud = cloud;
    this.instanceId = host.id;
    this.ip = host.ip;
    this.#place = place;
    this.#work = mkdtempSync(join(tmpdir(), 'understudy-bench-'));
  }

  static async raise(say: (step: string) => void): Promise<Grounds> {
    // A name of its own for each process, so that two runs do not disturb each other.
    const name = `b${process.pid.toString(36)}`;
    try {
      const cloud = await startCloud({ name, onStep: say });
      const folder = await callerRepository(cloud, app, join(repositoryFolder, 'bench/app'));
      const place = { app, environment, folder };
      await provision(cloud, { ...place, repository: `acme/${app}`, onStep: say });
      const [id = ''] = await ensureHosts(cloud, place);
      return new Grounds(cloud, await describeHost(cloud, id), place);
    } catch (error) {
      await stopCloud(name);
      throw error;
    }
  }

  async lower(): Promise<void> {
    rmSync(this.#work, { recursive: true, force: true });
    await stopCloud(this.cloud.name);
  }

  /** Makes the app one that changes places so, prepares the host for it, and deploys it: what comes next replaces it. */
  async take(form: Form): Promise<void> {
    if (JSON.stringify(form) === JSON.stringify(this.#form)) return;
    const file = join(this.#place.folder, 'understudy.yml');
    const config = readFileSync(file, 'utf8')
      .replace(/switch: \w+/, `switch: ${form.switch}`)
      .replace(/databases: \[.*?\]/, `databases: [${form.database ?? 'app.db'}]`);
    writeFileSync(file, config);
    writeFileSync(join(this.#place.folder, 'load-seconds'), `${form.loadSeconds}\n`);
    await enrol(this.cloud, this.instanceId, this.#place);
    this.#form = form;
    await this.deploy(await this.pack());
  }

  /** Commits the next release of the app, and packs it as the build job does. */
  async pack(): Promise<Packed> {
    this.#releases += 1;
    writeFileSync(join(this.#place.folder, 'number'), `${this.#releases}\n`);
    await commitAll(this.#place.folder, `Release ${this.#releases}`);
    const commit = (await git(this.#place.folder, 'rev-parse', 'HEAD')).trim();
    const archive = join(this.#work, `release-${this.#releases}.tar.gz`);
    const job = await Job.open(this.cloud, `acme/${app}`);
    const { outputs, log } = await job.run('pack-release', { path: this.#place.folder, archive, commit });
    const id = outputs['release'];
    if (id === undefined) throw new Error(`pack-release gave no release:\n${log}`);
    return { archive, id };
  }

  /** Deploys by the bundle, as the deploy job does. Throws where it was not deployed. */
  async deploy({ archive, id }: Packed): Promise<Deployed> {
    const before = this.#calls().length;
    const job = await Job.open(this.cloud, `acme/${app}`);
    this.#runId += 1;
    const inputs = { archive, release: id, environment, excerpts: 'on', 'github-token': 'ghs_bench' };
    const step = await job.run('deploy-staging', inputs, { GITHUB_RUN_ID: String(this.#runId) });
    const result = JSON.parse(step.outputs['result'] ?? '{"result":"none"}');
    if (result.result !== 'done') throw new Error(`a deploy ended as ${result.result}:\n${step.log}`);
    const calls = this.#calls().slice(before);
    const details = await this.#details(step.outputs['operation'] ?? '');
    const command = commandIn(step.log, 'deploy');
    return { result, instances: result.instances, calls, details, command };
  }

  /** Goes back by the bundle to the release before, with the operator's credentials; when it began, and what the host did. */
  async goBack(): Promise<{ readonly began: number; readonly steps: Details['steps'] }> {
    const job = await Job.open(this.cloud, `acme/${app}`);
    this.#runId += 1;
    const inputs = {
      ...{ environment, what: 'release', config: this.#config(), excerpts: 'on' },
      'github-token': 'ghs_bench',
    };
    const began = Date.now();
    const more = { ...this.cloud.operatorEnv, GITHUB_RUN_ID: String(this.#runId) };
    const step = await job.run('rollback', inputs, more);
    const { steps = [] } = (await this.#details(step.outputs['operation'] ?? '')) ?? {};
    if (step.code !== 0) throw new Error(`a rollback ended with ${step.code}:\n${step.log}`);
    return { began, steps };
  }

  /** Backs up by the bundle, as the backup job does. Throws where it was not backed up. */
  async backUp(): Promise<BackedUp> {
    const job = await Job.open(this.cloud, `acme/${app}`);
    this.#runId += 1;
    const inputs = { environment, config: this.#config(), excerpts: 'on', 'github-token': 'ghs_bench' };
    const step = await job.run('backup', inputs, { GITHUB_RUN_ID: String(this.#runId) });
    const key = step.outputs['manifest'] ?? '';
    if (step.code !== 0 || key === '') throw new Error(`a backup ended with ${step.code}:\n${step.log}`);
    const { steps = [] } = (await this.#details(step.outputs['operation'] ?? '')) ?? {};
    return {
      key,
      manifest: parseManifest(await this.read(key, backups)),
      script: await this.scriptSeconds(commandIn(step.log, 'backup')),
      steps,
      log: step.log,
    };
  }

  /** Starts a drill by the bundle, on this machine, with the operator's credentials. */
  async drill(level: string): Promise<Started> {
    const job = await Job.open(this.cloud, `acme/${app}`);
    this.#runId += 1;
    const inputs = {
      environment,
      config: this.#config(),
      level,
      where: 'runner',
      'github-token': 'ghs_bench',
    };
    const more = { ...this.cloud.operatorEnv, GITHUB_RUN_ID: String(this.#runId) };
    return job.start('verify-backup', inputs, more);
  }

  #config(): string {
    return join(this.#place.folder, 'understudy.yml');
  }

  /** How long the agent ran the script of a command, by its own clock. */
  async scriptSeconds(CommandId: string): Promise<number> {
    const ssm = new SSMClient(operatorClient(this.cloud));
    const asked = new ListCommandInvocationsCommand({ CommandId, Details: true });
    const { CommandInvocations = [] } = await ssm.send(asked);
    const plugin = CommandInvocations[0]?.CommandPlugins?.[0];
    const [from, to] = [plugin?.ResponseStartDateTime, plugin?.ResponseFinishDateTime];
    if (from === undefined || to === undefined) throw new Error(`the command ${CommandId} tells no times`);
    return (to.getTime() - from.getTime()) / 1000;
  }

  #calls(): RecordedCall[] {
    const all = readCalls(join(this.cloud.state, 'calls.jsonl'));
    return all.filter(({ principal }) => principal === `role/${app}-${environment}-ci`);
  }

  async #details(operation: string): Promise<Details | undefined> {
    const key = detailsKey(app, environment, operation, this.instanceId);
    const text = await this.read(key).catch((error: Error) => {
      if (error.name === 'NoSuchKey') return undefined;
      throw error;
    });
    return text === undefined ? undefined : parseDetails(text);
  }

  async read(Key: string, Bucket = bucket): Promise<string> {
    const { Body } = await this.#s3().send(new GetObjectCommand({ Bucket, Key }));
    return (await Body?.transformToString()) ?? '';
  }

  #s3(): S3Client {
    return new S3Client({ ...operatorClient(this.cloud), forcePathStyle: true });
  }

  /** Puts a release where hosts find it, for a deploy that is not ours; gives its id. */
  async storeAsOperator({ archive, id }: Packed): Promise<string> {
    const Key = `releases/${app}/${environment}/${id}.tar.gz`;
    await this.#s3().send(new PutObjectCommand({ Bucket: bucket, Key, Body: readFileSync(archive) }));
    return id;
  }

  /** The fencing number that the last operation had. */
  async fence(): Promise<number> {
    return JSON.parse(await this.read(`leases/${app}/${environment}.json`)).fence;
  }

  /** Runs a shell command on the host that must succeed; gives its output. */
  async shell(command: string): Promise<string> {
    const { code, stdout, stderr } = await onHost(this.cloud, this.instanceId, ['bash', '-c', command]);
    if (code !== 0) throw new Error(`"${command}" ended with ${code}: ${stderr}${stdout}`);
    return stdout.trim();
  }
}

/** The id of the command that a job sent. */
function commandIn(log: string, document: string): string {
  return / as command (\S+)$/m.exec(log.slice(log.indexOf(`sent ${app}-${document}`)))?.[1] ?? '';
}
