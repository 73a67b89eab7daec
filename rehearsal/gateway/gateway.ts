import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { type Fault, Faults } from '../faults/faults.ts';
import { Admin } from './admin.ts';
import { errorAnswer, jsonAnswer } from './answers.ts';
import type { Answer, Call } from './call.ts';
import { type Clock, createClock } from './clock.ts';
import { CloudFormation } from './cloudformation/service.ts';
import { connectMachines, imagineMachines } from './ec2/machines.ts';
import { Ec2 } from './ec2/service.ts';
import { notImplemented, ServiceError } from './errors.ts';
import { EmulatorError, forward } from './forward.ts';
import { faultsOfCalls, refusalBy, spoil } from './misbehave.ts';
import { createMoto } from './moto.ts';
import { type Principal, Principals } from './principals.ts';
import { CallRecord } from './record.ts';
import { resourceOf } from './resources.ts';
import { identify } from './routing.ts';
import { Ranges } from './s3/ranges.ts';
import { answerS3 } from './s3/service.ts';
import { refuseSkewed } from './signature.ts';
import { Input } from './ssm/input.ts';
import { Ssm } from './ssm/service.ts';
import { Sts } from './sts/service.ts';

/** How a gateway is set up; the flags of main.ts. */
export interface GatewayOptions {
  readonly moto: URL;
  readonly record: string;
  readonly region: string;
  readonly account: string;
  /** The hosts program's socket; without it, instances are imagined. */
  readonly hosts: string | undefined;
  readonly jwks: string | undefined;
  /** How much faster than real the services' time-outs pass. */
  readonly speed: number;
  /** Service seconds without a sign of life until an instance is ConnectionLost. */
  readonly onlineSeconds: number;
}

/** Where a request came in: only the operator's side may ask `/_cloud/`. */
type Door = 'aws' | 'admin';

/** The AWS endpoint of the local cloud. */
export class Gateway {
  readonly #options: GatewayOptions;
  readonly #clock: Clock;
  readonly #record: CallRecord;
  readonly #principals = new Principals();
  readonly #faults: Faults;
  readonly #ec2: Ec2;
  readonly #ssm: Ssm;
  readonly #sts: Sts;
  readonly #cloudFormation: CloudFormation;
  readonly #ranges: Ranges;
  readonly #admin: Admin;

  constructor(options: GatewayOptions) {
    this.#options = options;
    const { account, region, moto: motoUrl } = options;
    const clock = createClock(options.speed);
    const moto = createMoto(motoUrl, region);
    const machines = options.hosts === undefined ? imagineMachines(clock) : connectMachines(options.hosts);
    this.#clock = clock;
    this.#faults = new Faults(() => clock.now());
    this.#record = new CallRecord(options.record);
    this.#ec2 = new Ec2({ motoUrl, moto, machines, account, clock, faults: this.#faults });
    this.#ssm = new Ssm({
      clock,
      fleet: this.#ec2.instances,
      region,
      account,
      faults: this.#faults,
      times: { appear: 250, delayed: 10_000, cancelGrace: 5_000, online: options.onlineSeconds * 1000 },
    });
    this.#sts = new Sts({ motoUrl, moto, principals: this.#principals, clock, account, jwks: options.jwks });
    this.#cloudFormation = new CloudFormation({
      ...{ motoUrl, moto, account, region, clock, record: this.#record },
      ...{ ssm: this.#ssm, sts: this.#sts, ec2: this.#ec2 },
    });
    this.#ranges = new Ranges(motoUrl);
    this.#admin = new Admin({
      instances: this.#ec2.instances,
      sts: this.#sts,
      record: this.#record,
      faults: this.#faults,
      cloudFormation: this.#cloudFormation,
    });
  }

  /** Makes what must be there before the first caller. */
  async prepare(): Promise<void> {
    await this.#ec2.images.registerBase();
  }

  /** A server for one door. */
  serve(door: Door): Server {
    const server = createServer((request, response) => {
      void this.#handle(request, response, door);
    });
    // GetMessages is held open for 20 s, uploads may take long.
    server.requestTimeout = 0;
    server.keepAliveTimeout = 65_000;
    return server;
  }

  async #handle(request: IncomingMessage, response: ServerResponse, door: Door): Promise<void> {
    try {
      const answer = await (isAdmin(request)
        ? this.#answerAdmin(request, door)
        : this.#answerAws(request, response));
      if (answer) await send(answer, response);
      else response.destroy();
    } catch (cause) {
      // The caller hung up, or the emulator broke off in the middle of its answer.
      if (!request.destroyed) console.error(`gateway: ${request.method} ${request.url}:`, cause);
      response.destroy();
    }
  }

  async #answerAdmin(request: IncomingMessage, door: Door): Promise<Answer> {
    try {
      // Whoever could ask this from a host would get another instance's credentials.
      if (door !== 'admin') throw new ServiceError('AccessDenied', 'Ask this on the Unix socket.', 403);
      return await this.#admin.answer(request);
    } catch (cause) {
      return errorAnswer(undefined, asServiceError(cause));
    }
  }

  /** Undefined when the answer is lost: the call is done, and its record says so. */
  async #answerAws(request: IncomingMessage, response: ServerResponse): Promise<Answer | undefined> {
    let call: Call | undefined;
    let caller: Principal = this.#principals.of(undefined);
    let answer: Answer;
    let fault: Fault | undefined;
    let failed = false;
    try {
      call = await identify(request, this.#options.region);
      caller = this.#principals.of(call.accessKey);
      fault = this.#meetFault(call, caller);
      // Hosts share this machine's clock; where a test gives one another, its agent is to go on.
      if (caller.instanceId === undefined) refuseSkewed(call, this.#timeTold(fault));
      const refusal = refusalBy(fault, call);
      if (refusal) throw refusal;
      answer = await this.#route(call, caller, response);
    } catch (cause) {
      failed = cause instanceof EmulatorError;
      const error = asServiceError(cause);
      if (error.status >= 500 && !fault)
        console.error(`gateway: ${call?.service} ${call?.action}: ${error.message}`);
      answer = errorAnswer(call, error);
    }
    this.#record.add({
      time: new Date(this.#clock.now()).toISOString(),
      service: call?.service ?? 'unknown',
      action: call?.action ?? 'unknown',
      resource: call === undefined ? '*' : resourceOf(call, this.#options.account),
      principal: caller.name,
      status: answer.status,
      ...(failed ? { error: 'emulator' } : answer.error === undefined ? {} : { error: answer.error }),
      ...(fault && { fault: fault.kind }),
    });
    return await spoil(answer, fault);
  }

  #meetFault(call: Call, caller: Principal): Fault | undefined {
    const resources = [resourceOf(call, this.#options.account)];
    const { service, action } = call;
    return this.#faults.meet({ service, action, resources, principal: caller.name }, faultsOfCalls);
  }

  /** What the service takes the time to be, and tells in its `Date`. */
  #timeTold(fault: Fault | undefined): number {
    return this.#clock.now() + (fault?.kind === 'date' ? (fault.seconds ?? 0) * 1000 : 0);
  }

  async #route(call: Call, caller: Principal, response: ServerResponse): Promise<Answer> {
    const { moto } = this.#options;
    switch (call.service) {
      case 'ssm':
        return await this.#answerSsm(call, caller);
      case 'ec2messages':
        return jsonAnswer(
          await this.#ssm.delivery.answer(call.action, Input.parse(call.body), caller, hangUp(response)),
        );
      case 'ssmmessages':
        throw notImplemented('ssmmessages: the agent falls back to ec2messages');
      case 'ec2':
        return await this.#ec2.answer(call);
      case 'sts':
        return await this.#sts.answer(call);
      case 'cloudformation':
        return await this.#cloudFormation.answer(call, caller);
      case 's3':
        return await answerS3(moto, this.#ranges, call, caller);
      default:
        return await forward(moto, call);
    }
  }

  async #answerSsm(call: Call, caller: Principal): Promise<Answer> {
    const input = Input.parse(call.body);
    if (this.#ssm.leavesToMoto(call.action, input)) return await forward(this.#options.moto, call);
    return jsonAnswer(await this.#ssm.answer(call.action, input, caller));
  }
}

function isAdmin(request: IncomingMessage): boolean {
  return (request.url ?? '').startsWith('/_cloud/');
}

function hangUp(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.on('close', () => controller.abort());
  return controller.signal;
}

function asServiceError(cause: unknown): ServiceError {
  if (cause instanceof ServiceError) return cause;
  console.error('gateway: unexpected:', cause);
  return new ServiceError('InternalError', cause instanceof Error ? cause.message : String(cause), 500);
}

async function send(answer: Answer, response: ServerResponse): Promise<void> {
  response.writeHead(answer.status, { 'x-amzn-requestid': 'local', ...answer.headers });
  if (Buffer.isBuffer(answer.body)) response.end(answer.body);
  else await pipeline(answer.body, response);
}
