import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { EC2Client, RunInstancesCommand } from '@aws-sdk/client-ec2';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { callerRepository, git } from '../rehearsal/cloud/caller.ts';
import { type Cloud, operatorClient } from '../rehearsal/cloud/cloud.ts';
import { provision } from '../rehearsal/cloud/provision.ts';
import { requireRecord } from '../rehearsal/cloud/record.ts';
import { baseImage } from '../rehearsal/gateway/ec2/images.ts';
import { type RecordedCall, readCalls } from '../rehearsal/gateway/record.ts';
import { repositoryFolder } from '../rehearsal/ground/places.ts';
import { ask } from '../rehearsal/ground/socket.ts';
import { Job } from '../rehearsal/runner/step.ts';
import { sha256 } from '../src/aws/bucket.ts';
import { type Details, detailsKey } from '../src/command/details.ts';
import { Agent, type Delivered } from '../tests/cloud/gateway/agent.ts';

const app = 'fleet';
const environment = 'staging';

/** What one real host told of a deploy: what each of the fleet tells, after as long a time. */
export interface Example {
  readonly details: Details;
  readonly scriptSeconds: number;
}

/**
 * Many instances without a machine: a gateway of its own, real but for the hosts behind it, and for each instance an
 * agent that speaks the agent's protocol, runs nothing, and answers what a real host did. Twenty real ones at work at
 * once on a machine of two cores would show how it is overloaded, not what our runner asks of AWS.
 */
export class Fleet {
  readonly #cloud: Cloud;
  readonly #gateway: ChildProcess;
  readonly #work: string;
  readonly #over = new AbortController();
  #agents: Promise<unknown> = Promise.resolve();

  private constructor(cloud: Cloud, gateway: ChildProcess, work: string) {
    this.#cloud = cloud;
    this.#gateway = gateway;
    this.#work = work;
  }

  static async raise(cloud: Cloud): Promise<Fleet> {
    const work = mkdtempSync(join(tmpdir(), 'understudy-fleet-'));
    const { gateway, url } = await startGateway(cloud, work);
    return new Fleet({ ...cloud, gatewayUrl: url }, gateway, work);
  }

  async lower(): Promise<void> {
    this.#over.abort();
    await this.#agents;
    const ended = once(this.#gateway, 'exit');
    this.#gateway.kill();
    await ended;
    rmSync(this.#work, { recursive: true, force: true });
  }

  /** Deploys to so many instances through the bundle; gives the calls of the CI role, the first one first. */
  async deploy(instances: number, example: Example): Promise<RecordedCall[]> {
    const folder = await this.#repository();
    await provision(this.#cloud, { app, environment, folder, repository: `acme/${app}` });
    const ids = await this.#launch(instances);
    this.#agents = Promise.all(ids.map((id) => this.#serve(id, example)));
    const job = await Job.open(this.#cloud, `acme/${app}`);
    const archive = join(this.#work, 'release.tar.gz');
    const commit = (await git(folder, 'rev-parse', 'HEAD')).trim();
    const packed = await job.run('pack-release', { path: folder, archive, commit });
    const given = { archive, environment, excerpts: 'on', 'github-token': 'ghs_bench' };
    const deployed = await job.run('deploy-staging', { ...given, release: packed.outputs['release'] ?? '' });
    if (deployed.code !== 0) throw new Error(`the deploy to ${instances} failed:\n${deployed.log}`);
    return this.#calls().filter(({ principal }) => principal === `role/${app}-${environment}-ci`);
  }

  async #repository(): Promise<string> {
    const source = join(this.#work, 'source');
    cpSync(join(repositoryFolder, 'bench/app'), source, { recursive: true });
    for (const file of ['understudy.yml', ...workflowsIn(source)]) {
      const path = join(source, file);
      writeFileSync(path, readFileSync(path, 'utf8').replaceAll('bench', app));
    }
    return callerRepository(this.#cloud, app, source);
  }

  async #launch(count: number): Promise<string[]> {
    const tags = { App: app, Environment: environment };
    const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
    const launched = await new EC2Client(operatorClient(this.#cloud)).send(
      new RunInstancesCommand({
        ...{ ImageId: baseImage, MinCount: count, MaxCount: count, InstanceType: 't3.medium' },
        IamInstanceProfile: { Name: `${app}-${environment}-host` },
        MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1 },
        TagSpecifications: [{ ResourceType: 'instance', Tags }],
      }),
    );
    return (launched.Instances ?? []).flatMap(({ InstanceId }) => InstanceId ?? []);
  }

  /** One instance's agent, until the fleet is lowered. */
  async #serve(id: string, example: Example): Promise<void> {
    const socket = join(this.#work, 'gateway.sock');
    const { body } = await ask(socket, 'GET', `/_cloud/credentials/${id}`);
    const agent = new Agent(this.#cloud.gatewayUrl, id, (body as { AccessKeyId: string }).AccessKeyId);
    await agent.register();
    const signal = this.#over.signal;
    while (!signal.aborted) {
      const messages = await agent.poll(10, signal).catch(() => []);
      await Promise.all(messages.map((message) => this.#answer(agent, message, example)));
    }
  }

  async #answer(agent: Agent, message: Delivered, { details, scriptSeconds }: Example): Promise<void> {
    const sent = JSON.parse(message.Payload) as { DocumentName: string; Parameters: Record<string, unknown> };
    const operation = String(sent.Parameters['operation']);
    const common = { schema: 1, operation, result: 'done', instance: agent.instanceId, sentence: 'Well.' };
    await agent.reply(message, 'InProgress');
    await agent.acknowledge(message);
    if (sent.DocumentName === `${app}-probe`) {
      const state = { action: 'probe', reason: 'probed', live: '', healthy: false, running: '', about: null };
      await agent.reply(message, 'Success', { probe: { stdout: resultLine({ ...common, ...state }) } });
      return;
    }
    await sleep(scriptSeconds * 1000);
    const told = { action: 'deploy', reason: 'deployed', met: true, healthy: true, wait_ms: 0, down_ms: 0 };
    const digest = await this.#storeDetails(operation, agent.instanceId, details);
    const stdout = resultLine({ ...common, ...told, details: digest });
    await agent.reply(message, 'Success', { deploy: { stdout } });
  }

  /** As a host does, but not by its role: what is counted are the runner's calls. */
  async #storeDetails(operation: string, instance: string, details: Details): Promise<string> {
    const s3 = new S3Client({ ...operatorClient(this.#cloud), forcePathStyle: true });
    const Body = JSON.stringify(details);
    const Key = detailsKey(app, environment, operation, instance);
    await s3.send(new PutObjectCommand({ Bucket: `${app}-understudy`, Key, Body }));
    return sha256(Buffer.from(Body));
  }

  #calls(): RecordedCall[] {
    return readCalls(join(this.#work, 'calls.jsonl'));
  }
}

const resultLine = (fields: object): string => `UNDERSTUDY_RESULT ${JSON.stringify(fields)}\n`;

const workflowsIn = (folder: string): string[] =>
  readdirSync(join(folder, '.github/workflows')).map((name) => `.github/workflows/${name}`);

async function startGateway(cloud: Cloud, work: string): Promise<{ gateway: ChildProcess; url: string }> {
  const moto = requireRecord(cloud.name).programs.find(({ name }) => name === 'moto')?.ready['url'] ?? '';
  const main = join(repositoryFolder, 'rehearsal/gateway/main.ts');
  const gateway = spawn(
    process.execPath,
    [
      ...[main, '--moto', moto, '--region', cloud.region, '--jwks', `${cloud.oidcUrl}/.well-known/jwks`],
      ...['--socket', join(work, 'gateway.sock'), '--record', join(work, 'calls.jsonl')],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ended = once(gateway, 'exit').then(() => Promise.reject(new Error('the gateway of the fleet ended')));
  const [line] = (await Promise.race([once(createInterface(gateway.stdout), 'line'), ended])) as string[];
  const { url } = JSON.parse(line?.replace(/^ready /, '') ?? '{}') as { url: string };
  return { gateway, url };
}
