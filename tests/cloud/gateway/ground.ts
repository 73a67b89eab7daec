import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { EC2Client } from '@aws-sdk/client-ec2';
import { S3Client } from '@aws-sdk/client-s3';
import { SSMClient } from '@aws-sdk/client-ssm';
import { STSClient } from '@aws-sdk/client-sts';
import type { RecordedCall } from '../../../rehearsal/gateway/record.ts';
import { pythonTools, repositoryFolder } from '../../../rehearsal/ground/places.ts';
import { Agent } from './agent.ts';

export const region = 'us-east-2';
export const account = '123456789012';
export const baseImage = 'ami-0ba5e000000000000';

/** A trust policy that lets EC2 hand out a role's credentials. */
const trustsEc2 = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { Service: 'ec2.amazonaws.com' }, Action: 'sts:AssumeRole' }],
});

/** A gateway of its own before a moto of its own. */
export class Ground {
  readonly url: string;
  readonly moto: string;
  readonly #programs: ChildProcess[];
  readonly #folder: string;

  private constructor(url: string, moto: string, programs: ChildProcess[], folder: string) {
    this.url = url;
    this.moto = moto;
    this.#programs = programs;
    this.#folder = folder;
  }

  /** @param flags more flags for the gateway, such as `--speed 100`. */
  static async open(...flags: string[]): Promise<Ground> {
    const folder = mkdtempSync(join(tmpdir(), 'gateway-'));
    const moto = await start(
      [join(pythonTools(), 'moto_server'), '-H', '127.0.0.1', '-p', '0'],
      /Running on (http:\/\/127\.0\.0\.1:\d+)/,
    );
    const main = join(repositoryFolder, 'rehearsal/gateway/main.ts');
    const sockets = ['--socket', join(folder, 'gateway.sock'), '--door', join(folder, 'door.sock')];
    const places = [...sockets, '--record', join(folder, 'calls.jsonl')];
    const gateway = await start(
      [process.execPath, main, '--moto', moto.found, '--region', region, ...places, ...flags],
      /^ready \{"url":"([^"]+)"\}/m,
    );
    return new Ground(gateway.found, moto.found, [gateway.child, moto.child], folder);
  }

  async close(): Promise<void> {
    for (const program of this.#programs) {
      const ended = new Promise((resolve) => program.once('exit', resolve));
      program.kill('SIGTERM');
      await ended;
    }
    rmSync(this.#folder, { recursive: true });
  }

  get socket(): string {
    return join(this.#folder, 'gateway.sock');
  }

  /** Where hosts come in. */
  get door(): string {
    return join(this.#folder, 'door.sock');
  }

  get ssm(): SSMClient {
    return new SSMClient(this.#settings());
  }

  get ec2(): EC2Client {
    return new EC2Client(this.#settings());
  }

  get s3(): S3Client {
    return new S3Client({ ...this.#settings(), forcePathStyle: true });
  }

  get sts(): STSClient {
    return new STSClient(this.#settings());
  }

  get cloudFormation(): CloudFormationClient {
    return new CloudFormationClient(this.#settings());
  }

  /** Runs the AWS CLI and gives its JSON output; throws with its error. */
  aws(...words: string[]): Promise<unknown> {
    const env = {
      PATH: process.env['PATH'] ?? '',
      HOME: this.#folder,
      AWS_ENDPOINT_URL: this.url,
      AWS_ACCESS_KEY_ID: 'operator',
      AWS_SECRET_ACCESS_KEY: 'operator',
      AWS_DEFAULT_REGION: region,
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_MAX_ATTEMPTS: '1',
    };
    const argv = [...words, '--output', 'json'];
    return new Promise((resolve, reject) => {
      execFile(join(pythonTools(), 'aws'), argv, { env }, (error, stdout, stderr) => {
        if (error !== null) reject(new Error(stderr.trim() || error.message));
        else resolve(stdout === '' ? undefined : (JSON.parse(stdout) as unknown));
      });
    });
  }

  /** A question on the Unix socket, as the metadata program asks it. */
  admin<T>(path: string, socketPath = this.socket): Promise<{ status: number; body: T }> {
    return new Promise((resolve, reject) => {
      request({ socketPath, path }, async (response) => {
        const chunks: Buffer[] = [];
        for await (const chunk of response) chunks.push(chunk as Buffer);
        const text = Buffer.concat(chunks).toString('utf8');
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as T });
      })
        .on('error', reject)
        .end();
    });
  }

  async calls(): Promise<{ emulatorErrors: number; calls: RecordedCall[] }> {
    return (await this.admin<{ emulatorErrors: number; calls: RecordedCall[] }>('/_cloud/calls')).body;
  }

  /** A role that EC2 may hand out, in an instance profile of the same name. */
  async makeRole(name: string, trust = trustsEc2): Promise<void> {
    await this.aws('iam', 'create-role', '--role-name', name, '--assume-role-policy-document', trust);
    await this.aws('iam', 'create-instance-profile', '--instance-profile-name', name);
    await this.aws(
      'iam',
      'add-role-to-instance-profile',
      '--instance-profile-name',
      name,
      '--role-name',
      name,
    );
  }

  /** An agent that works with the credentials of its instance, as the metadata service hands them out. */
  async agentOf(instanceId: string): Promise<Agent> {
    const { body } = await this.admin<{ AccessKeyId: string }>(`/_cloud/credentials/${instanceId}`);
    return new Agent(this.url, instanceId, body.AccessKeyId);
  }

  #settings() {
    const credentials = { accessKeyId: 'operator', secretAccessKey: 'operator' };
    return { endpoint: this.url, region, credentials, maxAttempts: 1 };
  }
}

/** Asks until the answer is there. @throws Error after the patience (milliseconds), with the last answer. */
export async function until<T>(
  ask: () => Promise<T>,
  isThere: (answer: T) => boolean,
  patience = 10_000,
): Promise<T> {
  const end = Date.now() + patience;
  for (;;) {
    const answer = await ask();
    if (isThere(answer)) return answer;
    if (Date.now() > end) throw new Error(`never came: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

function start(argv: string[], ready: RegExp): Promise<{ child: ChildProcess; found: string }> {
  const [command = '', ...rest] = argv;
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  return new Promise((resolve, reject) => {
    const look = (chunk: Buffer) => {
      output += chunk.toString('utf8');
      const found = ready.exec(output)?.[1];
      if (found !== undefined) resolve({ child, found });
    };
    child.stdout.on('data', look);
    child.stderr.on('data', look);
    child.on('exit', (code) => reject(new Error(`${command} ended with ${code}:\n${output}`)));
  });
}
