import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export const INSTANCE = 'i-0123456789abcdef0';
const AGENT = join(import.meta.dirname, '../../../rehearsal/agent/agent.py');

/** The result of one step, in the fields of the agent's reply. */
export interface StepResult {
  readonly status: string;
  readonly code: number;
  readonly name: string;
  readonly output: string;
  readonly stepName: string;
  readonly standardOutput: string;
  readonly standardError: string;
  readonly startDateTime: string;
}

/** One reply, taken out of SendReply's payload. */
export interface Reply {
  readonly documentStatus: string;
  readonly documentTraceOutput: string;
  readonly runtimeStatus: Record<string, StepResult> | null;
  readonly additionalInfo: { readonly agent: { readonly name: string } };
}

/** What a test wants to be run; lines alone make one step called `step`. */
export interface Order {
  readonly lines?: readonly string[];
  readonly steps?: readonly Record<string, unknown>[];
  readonly timeout?: string;
  readonly declared?: Record<string, unknown>;
  readonly parameters?: Record<string, unknown>;
  readonly bucket?: string;
  readonly schemaVersion?: string;
}

/** One call that reached the rig: the action or method, what it was about, and how it was signed. */
export interface Call {
  readonly action: string;
  readonly about: string;
  readonly authorization: string;
  readonly body: Record<string, unknown>;
}

/** An agent on this machine, below a root of its own, and the whole of AWS that it talks to. */
export class Rig {
  readonly root: string;
  readonly calls: Call[] = [];
  readonly #settings: Record<string, number>;
  readonly #server: Server;
  readonly #queue: unknown[] = [];
  #agent: ChildProcess | undefined;
  #commands = 0;
  /** HTTP status for uploads. */
  s3Status = 200;
  /** Set to refuse replies, as a network that is cut does. */
  deaf = false;

  private constructor(root: string, settings: Record<string, number>) {
    this.root = root;
    this.#settings = settings;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((trouble: unknown) => response.destroy(trouble as Error));
    });
  }

  static async open(settings: Record<string, number> = {}): Promise<Rig> {
    const rig = new Rig(mkdtempSync(join(tmpdir(), 'understudy-agent-')), settings);
    rig.#server.listen(0, '127.0.0.1');
    await once(rig.#server, 'listening');
    rig.#furnish();
    rig.start();
    return rig;
  }

  async close(): Promise<void> {
    await this.kill();
    this.#server.closeAllConnections();
    this.#server.close();
    rmSync(this.root, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Starts the agent, as systemd would: with next to nothing in its environment. */
  start(): void {
    this.#agent = spawn('python3', ['-B', AGENT], {
      env: {
        PATH: `${join(this.root, 'bin')}:/usr/sbin:/usr/bin:/sbin:/bin`,
        AWS_EC2_METADATA_SERVICE_ENDPOINT: this.#url(),
        UNDERSTUDY_AGENT_ROOT: this.root,
      },
      stdio: ['ignore', 'ignore', process.env['AGENT_LOG'] ? 'inherit' : 'ignore'],
      detached: true,
    });
  }

  /** kill -9 of the agent alone; its workers go on. */
  async kill(): Promise<void> {
    const agent = this.#agent;
    if (!agent || agent.exitCode !== null || agent.signalCode !== null) return;
    agent.kill('SIGKILL');
    await once(agent, 'exit');
  }

  /** A power cut: the agent, the worker of this command and its script are gone at once. */
  async crash(command: string): Promise<void> {
    await this.kill();
    // The script's own number lies in `pid`; above it stand `sh -c`, which leads the group, and the worker.
    const leader = parentOf(Number(readFileSync(this.file('pid'), 'utf8')));
    const worker = parentOf(leader);
    if (!readFileSync(`/proc/${worker}/cmdline`, 'utf8').includes(command))
      throw new Error(`${worker} is no worker`);
    process.kill(worker, 'SIGKILL');
    process.kill(-leader, 'SIGKILL');
  }

  /** A file of the test's own, below the root. */
  file(name: string): string {
    return join(this.root, name);
  }

  /** Where the agent keeps what a step left. */
  orchestration(command: string, step = 'step'): string {
    return join(this.root, 'var/lib/amazon/ssm', INSTANCE, 'document/orchestration', command, step);
  }

  /** Puts a command into the queue and gives its id; `again` repeats an earlier id. */
  send(order: Order, again?: string): string {
    const command = again ?? `00000000-0000-4000-8000-${this.#nextNumber()}`;
    this.#push(command, 'sendCommand', {
      CommandId: command,
      DocumentName: 'isso-deploy',
      DocumentContent: {
        schemaVersion: order.schemaVersion ?? '2.2',
        parameters: order.declared ?? {},
        mainSteps: order.steps ?? [
          step('step', order.lines ?? [], { timeoutSeconds: order.timeout ?? '60' }),
        ],
      },
      Parameters: order.parameters ?? {},
      OutputS3BucketName: order.bucket ?? '',
      OutputS3KeyPrefix: order.bucket ? 'logs/isso' : '',
      CloudWatchLogGroupName: '',
      CloudWatchOutputEnabled: 'false',
    });
    return command;
  }

  #nextNumber(): string {
    this.#commands += 1;
    return String(this.#commands).padStart(12, '0');
  }

  cancel(command: string): string {
    const id = `11111111-0000-4000-8000-${this.#nextNumber()}`;
    this.#push(id, 'cancelCommand', { CancelMessageId: `aws.ssm.${command}.${INSTANCE}` });
    return id;
  }

  /** All replies to a command so far. */
  replies(command: string): Reply[] {
    return this.calls
      .filter(({ action, about }) => action === 'SendReply' && about === command)
      .map(({ body }) => JSON.parse(String(body['Payload'])) as Reply);
  }

  /** Waits for the reply that ends a command. */
  async final(command: string): Promise<Reply> {
    const isFinal = ({ documentStatus }: Reply): boolean => documentStatus !== 'InProgress';
    await this.until(() => this.replies(command).some(isFinal));
    return this.replies(command).find(isFinal) as Reply;
  }

  /** Runs lines as one step to their end: its result. */
  async run(order: Order | readonly string[]): Promise<StepResult & { command: string }> {
    const command = this.send('length' in order ? { lines: order } : order);
    const { runtimeStatus } = await this.final(command);
    return { ...(Object.values(runtimeStatus ?? {})[0] as StepResult), command };
  }

  /** Waits until something is so; gives up after 20 seconds. */
  async until(holds: () => boolean): Promise<void> {
    for (const ends = Date.now() + 20_000; Date.now() < ends; await sleep(10)) if (holds()) return;
    throw new Error(
      `it did not become so: ${String(holds)}; calls: ${this.calls.map(({ action }) => action).join(' ')}`,
    );
  }

  async untilFile(name: string): Promise<void> {
    await this.until(() => existsSync(this.file(name)));
  }

  #furnish(): void {
    mkdirSync(join(this.root, 'etc/amazon/ssm'), { recursive: true });
    const endpoint = { Endpoint: this.#url() };
    const agent = { Region: 'us-east-2', PollPauseSeconds: 0.01, ...this.#settings };
    const config = { Agent: agent, Ssm: endpoint, Mds: endpoint };
    writeFileSync(join(this.root, 'etc/amazon/ssm/amazon-ssm-agent.json'), JSON.stringify(config));
    mkdirSync(join(this.root, 'bin'));
    writeFileSync(join(this.root, 'bin/shutdown'), `#!/bin/sh\necho "$@" >> ${this.file('shutdown')}\n`);
    chmodSync(join(this.root, 'bin/shutdown'), 0o755);
  }

  #url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #push(id: string, topic: string, payload: unknown): void {
    this.#queue.push({
      CreatedDate: new Date().toISOString(),
      Destination: INSTANCE,
      MessageId: `aws.ssm.${id}.${INSTANCE}`,
      Topic: `aws.ssm.${topic}.us.east.2.1`,
      Payload: JSON.stringify(payload),
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = Buffer.concat(await request.toArray()).toString();
    const target = request.headers['x-amz-target'];
    if (typeof target === 'string') {
      await this.#answerApi(target.split('.')[1] ?? '', JSON.parse(body), request, response);
      return;
    }
    const fixed = metadata(`${request.method} ${request.url}`);
    if (fixed !== undefined) return void response.end(fixed);
    this.#record(`${request.method}`, request.url ?? '', request, { content: body });
    response.writeHead(request.method === 'PUT' ? this.s3Status : 200).end();
  }

  async #answerApi(
    action: string,
    body: Record<string, unknown>,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (this.deaf) return void response.writeHead(500).end();
    if (action !== 'GetMessages') {
      this.#record(action, String(body['MessageId'] ?? '').split('.')[2] ?? '', request, body);
      return void response.end('{}');
    }
    this.#record(action, '', request, body);
    // A long poll: an answer as soon as there is something, or an empty one.
    for (const ends = Date.now() + 5000; this.#queue.length === 0 && Date.now() < ends; await sleep(5)) {
      if (response.destroyed) return;
    }
    const { Destination, MessagesRequestId } = body;
    response.end(JSON.stringify({ Destination, MessagesRequestId, Messages: this.#queue.splice(0, 1) }));
  }

  #record(action: string, about: string, request: IncomingMessage, body: Record<string, unknown>): void {
    this.calls.push({ action, about, authorization: request.headers.authorization ?? '', body });
  }
}

/** One entry of mainSteps. */
export function step(
  name: string,
  runCommand: unknown,
  inputs: Record<string, unknown> = {},
): Record<string, unknown> {
  return { action: 'aws:runShellScript', name, inputs: { runCommand, ...inputs } };
}

function metadata(request: string): string | undefined {
  const credentials = {
    AccessKeyId: 'ASIAEXAMPLE',
    SecretAccessKey: 'secret',
    Token: 'token',
    Expiration: '2099-01-01T00:00:00Z',
  };
  return {
    'PUT /latest/api/token': 'a-token',
    'GET /latest/meta-data/instance-id': INSTANCE,
    'GET /latest/meta-data/placement/availability-zone': 'us-east-2a',
    'GET /latest/meta-data/iam/security-credentials/': 'isso-staging-host',
    'GET /latest/meta-data/iam/security-credentials/isso-staging-host': JSON.stringify(credentials),
  }[request];
}

function parentOf(process: number): number {
  return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${process}/status`, 'utf8'))?.[1]);
}
