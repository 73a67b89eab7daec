// The ground of the tests of host/*.sh: one prepared host of a cloud, and a small app to deploy to it.
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateImageCommand, EC2Client, waitUntilImageAvailable } from '@aws-sdk/client-ec2';
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import {
  askHosts,
  awaitState,
  type Cloud,
  launchHost,
  onHost,
  operatorClient,
  startCloud,
  stopCloud,
} from '../../rehearsal/cloud/cloud.ts';
import { compose, type HostOperation } from '../../src/document/compose.ts';
import { packApp, type Variant } from './app.ts';

const app = 'shop';
const environment = 'staging';
const bucket = 'shop-understudy';

// A name of its own for each process, so that two test runs do not disturb each other.
const cloudName = `h${process.pid.toString(36)}`;

/** Raises a cloud with one fresh host, for the tests of a file. */
export async function raiseHost(): Promise<{ cloud: Cloud; host: Host }> {
  await lowerHost();
  const cloud = await startCloud({ name: cloudName });
  return { cloud, host: await Host.launch(cloud) };
}

/** Takes both away again. */
export function lowerHost(): Promise<void> {
  return stopCloud(cloudName);
}

/** What a host script prints first. */
export interface Result {
  readonly result: string;
  readonly reason: string;
  readonly release: string;
  readonly previous: string;
  readonly met: boolean;
  readonly healthy: boolean;
  readonly wait_ms: number;
  readonly sentence: string;
  readonly details: string;
  readonly code: number;
  readonly [key: string]: unknown;
}

export interface Details {
  readonly steps: readonly {
    name: string;
    started: number;
    ended: number | null;
    ok: boolean;
    note: string;
  }[];
  readonly checks: readonly {
    where: string;
    ok: boolean;
    status: number;
    type: string;
    body: string;
    problem: string;
  }[];
  readonly log: readonly string[];
  readonly parameters: Readonly<Record<string, number>>;
}

export type Switch = 'pause' | 'overlap' | 'restart';

/** One instance, and what an operator does with it. */
export class Host {
  readonly #cloud: Cloud;
  readonly #s3: S3Client;
  readonly instanceId: string;
  #count = 0;
  #switch: Switch = 'pause';

  private constructor(cloud: Cloud, instanceId: string) {
    this.#cloud = cloud;
    this.#s3 = new S3Client({ ...operatorClient(cloud), forcePathStyle: true });
    this.instanceId = instanceId;
  }

  /** A fresh instance that nobody prepared, or one from an image. */
  static async launch(cloud: Cloud, image?: string): Promise<Host> {
    const tags = { App: app, Environment: environment };
    const { instanceId } = await launchHost(cloud, { tags, ...(image !== undefined && { image }) });
    const host = new Host(cloud, instanceId);
    // The tests of what is seen under users watch for long; the others need not.
    await host.watch(0);
    const LocationConstraint = cloud.region;
    const made = host.#s3.send(
      new CreateBucketCommand({ Bucket: bucket, CreateBucketConfiguration: { LocationConstraint } }),
    );
    await made.catch((error: Error) => {
      if (error.name !== 'BucketAlreadyOwnedByYou') throw error;
    });
    return host;
  }

  /** For how long a deploy looks at the new release under its users. */
  async watch(milliseconds: number): Promise<void> {
    await this.shell(`mkdir -p /etc/understudy; echo ${milliseconds} >/etc/understudy/watched-ms`);
  }

  /** A name for an operation that was not given before. */
  operation(): string {
    this.#count += 1;
    return `operation-${this.instanceId.slice(-4)}-${this.#count}`;
  }

  /** Runs a document's script as the agent does: no HOME, cwd /usr/bin, stdin empty, by `sh -c <path>`. */
  async run(
    operation: HostOperation,
    parameters: Record<string, string>,
    variables: readonly string[] = [],
  ): Promise<Result> {
    const script = compose(operation, {
      app,
      environment,
      operation: this.operation(),
      timeout: '300',
      ...parameters,
    });
    const start =
      'path=$(mktemp /root/script-XXXXXX); cat >"$path"; chmod 700 "$path"; cd /usr/bin; exec env -i PATH=/usr/bin:/bin "$@" sh -c "$path" </dev/null';
    const { code, stdout, stderr } = await onHost(
      this.#cloud,
      this.instanceId,
      ['sh', '-c', start, 'sh', ...variables],
      { input: script },
    );
    const line = stdout.split('\n')[0] ?? '';
    if (!line.startsWith('UNDERSTUDY_RESULT '))
      throw new Error(`no result, code ${code}: ${stdout}${stderr}`);
    return { ...JSON.parse(line.slice('UNDERSTUDY_RESULT '.length)), code };
  }

  prepare(parameters: Record<string, string> = {}): Promise<Result> {
    this.#switch = (parameters['switch'] ?? this.#switch) as Switch;
    return this.run('prepare-host', {
      user: 'shop',
      port: '8080',
      switch: this.#switch,
      notify: 'true',
      workers: 'none',
      bucket,
      region: this.#cloud.region,
      ...parameters,
    });
  }

  /** Stores a release of the app as the runner does. */
  async store(variant: Variant): Promise<string> {
    const archive = await packApp({ switch: this.#switch, ...variant });
    const release = createHash('sha256').update(archive).digest('hex');
    await this.put(release, archive);
    return release;
  }

  async put(release: string, archive: Uint8Array): Promise<void> {
    const Key = `releases/${app}/${environment}/${release}.tar.gz`;
    await this.#s3.send(new PutObjectCommand({ Bucket: bucket, Key, Body: archive }));
  }

  async deploy(variant: Variant, parameters: Record<string, string> = {}): Promise<Result> {
    return this.deployStored(await this.store(variant), parameters);
  }

  deployStored(release: string, parameters: Record<string, string> = {}): Promise<Result> {
    return this.run('deploy', { release, fence: '1', excerpts: 'on', ...parameters });
  }

  probe(about = 'none', ask = 'none'): Promise<Result> {
    return this.run('probe', { about, ask });
  }

  /** The object that the operation left in S3. */
  async details(result: Result): Promise<Details> {
    const text = await this.object(
      `results/${app}/${environment}/${result['operation']}/${this.instanceId}.json`,
    );
    if (createHash('sha256').update(text).digest('hex') !== result.details)
      throw new Error('not the details meant');
    return JSON.parse(text);
  }

  async object(Key: string): Promise<string> {
    const { Body } = await this.#s3.send(new GetObjectCommand({ Bucket: bucket, Key }));
    return (await Body?.transformToString()) ?? '';
  }

  /** Runs a shell command that must succeed. */
  async shell(command: string): Promise<string> {
    const { code, stdout, stderr } = await onHost(this.#cloud, this.instanceId, ['bash', '-c', command]);
    if (code !== 0) throw new Error(`"${command}" ended with ${code}: ${stderr}${stdout}`);
    return stdout.trim();
  }

  /** Lets requests run on the host, each on a connection of its own, until `stop` is called. */
  load(): { stop: () => Promise<Load> } {
    const running = onHost(this.#cloud, this.instanceId, ['python3', '-c', loadProgram]);
    return {
      stop: async () => {
        await this.shell('touch /run/stop-load');
        const { stdout, stderr } = await running;
        await this.shell('rm -f /run/stop-load');
        if (stdout === '') throw new Error(stderr);
        return JSON.parse(stdout);
      },
    };
  }

  /** Waits until the operation has begun a step. */
  async untilStep(operation: string, step: string): Promise<void> {
    await this.until(
      `grep -q '"step":"${step}","event":"started"' /var/lib/understudy/${app}/operations/${operation}/journal.jsonl`,
    );
  }

  /** Waits until a shell command succeeds there. */
  async until(command: string): Promise<void> {
    const over = Date.now() + 90_000;
    while ((await onHost(this.#cloud, this.instanceId, ['bash', '-c', command])).code !== 0) {
      if (Date.now() > over) throw new Error(`"${command}" did not come true`);
      await sleep(200);
    }
  }

  /** Cuts the power, and boots again. */
  async cutPower(): Promise<void> {
    await askHosts(this.#cloud, 'POST', `/hosts/${this.instanceId}/crash`);
    await awaitState(this.#cloud, this.instanceId, 'stopped');
    await askHosts(this.#cloud, 'POST', `/hosts/${this.instanceId}/start`);
    await awaitState(this.#cloud, this.instanceId, 'running');
  }

  /** An image of it as it is, running: what EC2 calls crash-consistent. */
  async image(): Promise<string> {
    const ec2 = new EC2Client(operatorClient(this.#cloud));
    const made = new CreateImageCommand({
      InstanceId: this.instanceId,
      Name: this.operation(),
      NoReboot: true,
    });
    const { ImageId = '' } = await ec2.send(made);
    await waitUntilImageAvailable(
      { client: ec2, maxWaitTime: 60, minDelay: 1, maxDelay: 1 },
      { ImageIds: [ImageId] },
    );
    return ImageId;
  }

  /** The units of releases that are up, sorted. */
  async units(): Promise<string[]> {
    const list = await this.shell(
      `systemctl list-units --plain --no-legend --state=active,activating,reloading '${app}@*' '${app}-rehearse@*' '${app}-pause*'`,
    );
    return list
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split(' ')[0] ?? '')
      .sort();
  }

  /** What the app answers at its public port. */
  health(): Promise<string> {
    return this.shell('curl --silent --max-time 30 http://127.0.0.1:8080/health');
  }

  /** The database, as the app sees it. */
  sql(statement: string): Promise<string> {
    return this.shell(`sqlite3 -cmd '.timeout 20000' /srv/${app}/shared/app.db "${statement}"`);
  }
}

export interface Load {
  readonly answered: Record<string, number>;
  readonly lost: Record<string, number>;
  /** Notes whose writing was acknowledged. */
  readonly acknowledged: readonly string[];
}

/** Three users without a pause between them and their next request but 10 ms; at most 60 s. */
const loadProgram = `
import collections, json, os, threading, time, urllib.request
answered, lost, acknowledged = collections.Counter(), collections.Counter(), []
over = time.time() + 60
def user(number):
    count = 0
    while time.time() < over and not os.path.exists('/run/stop-load'):
        count += 1
        note = f'{number}-{count}-{time.time_ns()}'
        try:
            with urllib.request.urlopen('http://127.0.0.1:8080/add?' + note, timeout=60) as answer:
                answered[json.load(answer)['version']] += 1
                acknowledged.append(note)
        except Exception as error:
            lost[str(error)] += 1
        time.sleep(0.01)
users = [threading.Thread(target=user, args=(number,)) for number in range(3)]
[one.start() for one in users]
[one.join() for one in users]
print(json.dumps({'answered': answered, 'lost': lost, 'acknowledged': acknowledged}))
`;
