import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EC2Client, RunInstancesCommand, type RunInstancesCommandInput } from '@aws-sdk/client-ec2';
import { DescribeInstanceInformationCommand, SSMClient } from '@aws-sdk/client-ssm';
import { fabricNamespace, gatewayAddress, layFabric, metadataAddress } from '../fabric/fabric.ts';
import {
  baseFolder,
  cloudName,
  pythonTools,
  repositoryFolder,
  runFolder,
  stateFolder,
} from '../ground/places.ts';
import { isAlive } from '../ground/process.ts';
import { attempt, type Ended } from '../ground/run.ts';
import { ask } from '../ground/socket.ts';
import type { HostView } from '../hosts/hosts.ts';
import { enter } from '../hosts/machine.ts';
import type { HostState } from '../hosts/record.ts';
import { ownReadyLine, type Program, type ProgramPlan, startProgram, stopProgram } from './programs.ts';
import { type CloudRecord, readRecord, writeRecord } from './record.ts';
import { sweepCloud } from './sweep.ts';

/** A running local cloud, as tests, scenes and the command line hold it. */
export interface Cloud {
  readonly name: string;
  /** Everything the cloud writes: records, logs, the hosts' disks. */
  readonly state: string;
  /** The folder of its Unix sockets. */
  readonly run: string;
  readonly region: 'us-east-2';
  readonly account: string;
  /** Where every AWS API is, for what runs on this machine (hosts use http://198.18.0.1:8000). */
  readonly gatewayUrl: string;
  readonly githubUrl: string;
  readonly oidcUrl: string;
  readonly netns: string;
  /** The environment of an operator with every right. */
  readonly operatorEnv: Record<string, string>;
}

export interface StartOptions {
  /** `^[a-z][a-z0-9]{0,7}$`; a free one is made up when absent. */
  readonly name?: string;
  /** A folder with the binaries of the real amazon-ssm-agent, instead of our agent. */
  readonly agent?: string;
  /** Hears of each step. */
  readonly onStep?: (sentence: string) => void;
}

/** The image that hosts are launched from when nobody names another: the base. */
export const baseImage = 'ami-base0000000000000';

const region = 'us-east-2';
/** moto's default account. */
const account = '123456789012';

/**
 * Starts a cloud, or mends the one of that name: programs that ended are started again. When what they held in memory
 * is lost (moto's or the gateway's), the whole cloud starts anew. Throws with the program's name and the end of its log.
 */
export async function startCloud(options: StartOptions = {}): Promise<Cloud> {
  const name = options.name ?? freeName();
  const tell = options.onStep ?? (() => undefined);
  if (!cloudName.test(name)) throw new Error(`a cloud's name is like ${cloudName.source}, not "${name}"`);
  const known = readRecord(name);
  if (known !== undefined && lostItsMemory(known)) {
    tell(`The cloud ${name} has lost its memory (${memory.join(' or ')} ended): starting it anew.`);
    await stopCloud(name);
  }
  mkdirSync(stateFolder(name), { recursive: true });
  mkdirSync(runFolder(name), { recursive: true });
  await layFabric(name);
  const agent = options.agent ?? known?.agent;
  return new Starter(name, agent, tell).start();
}

/** The cloud of that name. Throws when it is not up. */
export function openCloud(name: string): Cloud {
  const record = readRecord(name);
  if (record === undefined)
    throw new Error(`there is no cloud "${name}": start it with "npm run cloud -- up"`);
  return handleOf(record);
}

/** Stops a cloud and removes all that it made; nothing happens when there is none. */
export async function stopCloud(name: string): Promise<void> {
  const programs = readRecord(name)?.programs ?? [];
  // Hosts last but two: what they still say on their way out must find nobody gone wild.
  await Promise.all(programs.map((program) => stopProgram(program.process)));
  await sweepCloud(name);
}

// What ends with these cannot be had back: the account's resources, and who is who in it.
const memory = ['moto', 'gateway'];

function lostItsMemory(record: CloudRecord): boolean {
  return record.programs.some((program) => memory.includes(program.name) && !isAlive(program.process));
}

/** Starts a cloud's programs in their order, and writes each down before the next. */
class Starter {
  readonly #name: string;
  readonly #agent: string | undefined;
  readonly #tell: (sentence: string) => void;
  #programs: Program[];

  constructor(name: string, agent: string | undefined, tell: (sentence: string) => void) {
    this.#name = name;
    this.#agent = agent;
    this.#tell = tell;
    this.#programs = (readRecord(name)?.programs ?? []).filter((program) => isAlive(program.process));
  }

  async start(): Promise<Cloud> {
    const run = runFolder(this.#name);
    const state = stateFolder(this.#name);
    const first = [
      this.#moto(),
      this.#door(run),
      this.#hosts(run, state),
      own('oidc', local),
      own('github', local),
    ];
    await this.#startAll(first);
    await this.#startAll([this.#gateway(run, state)]);
    await this.#startAll([this.#metadata(run)]);
    return handleOf(this.#record());
  }

  async #startAll(plans: readonly ProgramPlan[]): Promise<void> {
    const missing = plans
      .filter(isWritten)
      .filter((plan) => !this.#programs.some((program) => program.name === plan.name));
    const results = await Promise.allSettled(missing.map((plan) => this.#startOne(plan)));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async #startOne(plan: ProgramPlan): Promise<void> {
    const program = await startProgram(plan, join(stateFolder(this.#name), 'logs'));
    this.#programs.push(program);
    writeRecord(this.#record());
    this.#tell(`${plan.name} is up`);
  }

  #record(): CloudRecord {
    const base = { name: this.#name, programs: this.#programs };
    return this.#agent === undefined ? base : { ...base, agent: this.#agent };
  }

  #moto(): ProgramPlan {
    return {
      name: 'moto',
      argv: [join(pythonTools(), 'moto_server'), '--host', '127.0.0.1', '--port', '0'],
      ready: (output) => {
        const url = /Running on (http:\/\/127\.0\.0\.1:\d+)/.exec(output)?.[1];
        return url === undefined ? undefined : { url };
      },
    };
  }

  #door(run: string): ProgramPlan {
    const flags = ['--listen', `${gatewayAddress}:8000`, '--to', join(run, 'gateway.sock')];
    return this.#inside({ ...own('door', flags), argv: node('fabric/door.ts', flags) });
  }

  #hosts(run: string, state: string): ProgramPlan {
    const agent = this.#agent === undefined ? [] : ['--agent', this.#agent];
    const where = [
      '--state',
      join(state, 'hosts'),
      '--socket',
      join(run, 'hosts.sock'),
      '--base',
      baseFolder(),
    ];
    return own('hosts', ['--name', this.#name, ...where, '--netns', fabricNamespace(this.#name), ...agent]);
  }

  #gateway(run: string, state: string): ProgramPlan {
    const moto = this.#programs.find((program) => program.name === 'moto')?.ready['url'] ?? '';
    const sockets = ['--socket', join(run, 'gateway.sock'), '--hosts', join(run, 'hosts.sock')];
    const record = ['--record', join(state, 'calls.jsonl'), '--region', region];
    return own('gateway', ['--moto', moto, ...local, ...sockets, ...record]);
  }

  #metadata(run: string): ProgramPlan {
    const flags = ['--listen', `${metadataAddress}:80`, '--gateway', join(run, 'gateway.sock')];
    return this.#inside(own('metadata', flags));
  }

  #inside(plan: ProgramPlan): ProgramPlan {
    return { ...plan, argv: [...fabricPrefix(this.#name), ...plan.argv] };
  }
}

// While the programs are being written: those that are not there yet are left out.
const isWritten = (plan: ProgramPlan): boolean =>
  plan.argv.every((word) => !word.endsWith('/main.ts') || existsSync(word));

const local = ['--listen', '127.0.0.1:0'];

function node(entry: string, flags: readonly string[]): string[] {
  return [process.execPath, join(repositoryFolder, 'rehearsal', entry), ...flags];
}

function own(name: string, flags: readonly string[]): ProgramPlan {
  return { name, argv: node(`${name}/main.ts`, flags), ready: ownReadyLine };
}

function handleOf(record: CloudRecord): Cloud {
  const url = (name: string): string => {
    const found = record.programs.find((program) => program.name === name)?.ready['url'];
    if (!existsSync(join(repositoryFolder, 'rehearsal', name, 'main.ts'))) return '';
    if (found === undefined)
      throw new Error(`${name} of the cloud "${record.name}" is not up: "npm run cloud -- up"`);
    return found;
  };
  const gatewayUrl = url('gateway');
  return {
    name: record.name,
    state: stateFolder(record.name),
    run: runFolder(record.name),
    region,
    account,
    gatewayUrl,
    githubUrl: url('github'),
    oidcUrl: url('oidc'),
    netns: fabricNamespace(record.name),
    operatorEnv: {
      AWS_ENDPOINT_URL: gatewayUrl,
      AWS_REGION: region,
      AWS_DEFAULT_REGION: region,
      AWS_ACCESS_KEY_ID: 'operator',
      AWS_SECRET_ACCESS_KEY: 'operator',
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    },
  };
}

function freeName(): string {
  for (;;) {
    const name = `c${Math.floor(Math.random() * 36 ** 5).toString(36)}`;
    if (!existsSync(stateFolder(name))) return name;
  }
}

export interface LaunchOptions {
  readonly tags?: Record<string, string>;
  readonly instanceProfile?: string;
  /** The image to launch from; the base when absent. */
  readonly image?: string;
  /** Size of the root disk in GiB. */
  readonly rootGiB?: number;
}

/** How the SDK's clients reach the cloud as its operator. */
export function operatorClient(cloud: Cloud): {
  region: string;
  endpoint: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
} {
  return {
    region: cloud.region,
    endpoint: cloud.gatewayUrl,
    credentials: { accessKeyId: 'operator', secretAccessKey: 'operator' },
  };
}

/** Launches an instance through EC2 and waits until Systems Manager says that it is online. */
export async function launchHost(
  cloud: Cloud,
  options: LaunchOptions = {},
): Promise<{ instanceId: string; ip: string }> {
  const ec2 = new EC2Client(operatorClient(cloud));
  const answer = await ec2.send(new RunInstancesCommand(launchRequest(options)));
  const instanceId = answer.Instances?.[0]?.InstanceId;
  if (instanceId === undefined) throw new Error('EC2 launched no instance');
  await awaitOnline(cloud, instanceId);
  const host = await describeHost(cloud, instanceId);
  return { instanceId, ip: host.ip };
}

function launchRequest(options: LaunchOptions): RunInstancesCommandInput {
  const tags = Object.entries(options.tags ?? {}).map(([Key, Value]) => ({ Key, Value }));
  return {
    ImageId: options.image ?? baseImage,
    MinCount: 1,
    MaxCount: 1,
    InstanceType: 't3.medium',
    MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1 },
    ...(tags.length === 0 ? {} : { TagSpecifications: [{ ResourceType: 'instance', Tags: tags }] }),
    ...(options.instanceProfile === undefined
      ? {}
      : { IamInstanceProfile: { Name: options.instanceProfile } }),
    ...(options.rootGiB === undefined
      ? {}
      : { BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { VolumeSize: options.rootGiB } }] }),
  };
}

const onlinePatience = 90_000;

/** Waits until the instance's agent has told Systems Manager that it is there. */
export async function awaitOnline(cloud: Cloud, instanceId: string): Promise<void> {
  const ssm = new SSMClient(operatorClient(cloud));
  const until = Date.now() + onlinePatience;
  const filter = { Filters: [{ Key: 'InstanceIds', Values: [instanceId] }] };
  while (Date.now() < until) {
    const answer = await ssm.send(new DescribeInstanceInformationCommand(filter));
    if (answer.InstanceInformationList?.[0]?.PingStatus === 'Online') return;
    await sleep(200);
  }
  throw new Error(`${instanceId} is not online in Systems Manager after ${onlinePatience / 1000} s`);
}

/** Asks the hosts program; throws its own sentence when it refuses. */
export async function askHosts(cloud: Cloud, method: string, path: string, body?: unknown): Promise<unknown> {
  const answer = await ask(join(cloud.run, 'hosts.sock'), method, path, body);
  if (answer.status < 300) return answer.body;
  const { error } = answer.body as { error: string };
  throw new Error(error);
}

/** What the hosts program knows of a host. */
export async function describeHost(cloud: Cloud, instanceId: string): Promise<HostView> {
  return (await askHosts(cloud, 'GET', `/hosts/${instanceId}`)) as HostView;
}

/**
 * Boots a host that EC2 knows nothing of, and waits until its systemd is up: for trying the host's side alone.
 */
export async function bootHost(
  cloud: Cloud,
  instanceId: string,
  options: { readonly image?: string; readonly rootGiB?: number } = {},
): Promise<HostView> {
  await askHosts(cloud, 'PUT', `/hosts/${instanceId}`, options);
  return awaitState(cloud, instanceId, 'running');
}

const statePatience = 60_000;

/** Waits until a host has come to a state. */
export async function awaitState(cloud: Cloud, instanceId: string, state: HostState): Promise<HostView> {
  const until = Date.now() + statePatience;
  for (;;) {
    const host = await describeHost(cloud, instanceId);
    if (host.state === state) return host;
    if (Date.now() > until) {
      throw new Error(`${instanceId} is ${host.state}, not ${state}, after ${statePatience / 1000} s`);
    }
    await sleep(50);
  }
}

export interface OnHostOptions {
  readonly input?: string;
  /** The user to be; root when absent. */
  readonly user?: string;
}

/** Runs a command on a host, as somebody would who sits before it: not through Systems Manager. */
export async function onHost(
  cloud: Cloud,
  instanceId: string,
  argv: readonly string[],
  options: OnHostOptions = {},
): Promise<Ended> {
  const words = [...(await hostPrefix(cloud, instanceId)), ...asUser(options.user), ...argv];
  return attempt(words, options.input === undefined ? {} : { input: options.input });
}

/** The words to put before a command so that it runs on the host, with an environment of its own. */
export async function hostPrefix(cloud: Cloud, instanceId: string): Promise<string[]> {
  const { leader, state } = await describeHost(cloud, instanceId);
  if (leader === null) throw new Error(`${instanceId} is ${state}: nothing can run on it`);
  const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  return [...enter(leader), 'env', '-i', path, 'HOME=/root', 'LANG=C.UTF-8'];
}

function asUser(user: string | undefined): string[] {
  return user === undefined ? [] : ['runuser', '-u', user, '--'];
}

/** A host's root folder as seen from here. Links in it count from its own root: read with care, write with more. */
export async function hostRoot(cloud: Cloud, instanceId: string): Promise<string> {
  const host = await describeHost(cloud, instanceId);
  return host.leader === null ? host.root : `/proc/${host.leader}/root`;
}

/** A command's words, so that it runs inside the cloud's network. */
export function inFabric(cloud: Pick<Cloud, 'name'>, argv: readonly string[]): string[] {
  return [...fabricPrefix(cloud.name), ...argv];
}

const fabricPrefix = (name: string): string[] => [
  'nsenter',
  `--net=/run/netns/${fabricNamespace(name)}`,
  '--',
];
