import { join } from 'node:path';
import { gatewayAddress, metadataAddress } from '../fabric/fabric.ts';
import { baseFolder, pythonTools, repositoryFolder, runFolder, stateFolder } from '../ground/places.ts';
import { isAlive } from '../ground/process.ts';
import { type Cloud, handleOf, inFabric, region } from './handle.ts';
import { ownReadyLine, type Program, type ProgramPlan, startProgram } from './programs.ts';
import { type CloudRecord, readRecord, writeRecord } from './record.ts';

/** How the hosts of a cloud are furnished. */
interface Furnishing {
  /** A folder with the real agent's binaries; ours when undefined. */
  readonly agent: string | undefined;
  readonly realWaits: boolean;
}

/** Starts those of a cloud's programs that do not run, in their order, and writes each down before the next. */
export class Starter {
  readonly #name: string;
  readonly #hostsWish: Furnishing;
  readonly #tell: (sentence: string) => void;
  readonly #run: string;
  readonly #state: string;
  readonly #programs: Program[];
  /** What is on record of this cloud, whether it runs or not. */
  readonly #before: readonly Program[];

  constructor(name: string, hosts: Furnishing, tell: (sentence: string) => void) {
    this.#name = name;
    this.#hostsWish = hosts;
    this.#tell = tell;
    this.#run = runFolder(name);
    this.#state = stateFolder(name);
    this.#before = readRecord(name)?.programs ?? [];
    this.#programs = this.#before.filter((program) => isAlive(program.process));
  }

  /** Throws with the name of the program that did not come up, and the end of its log. */
  async start(): Promise<Cloud> {
    const github = own('github', this.#listen('github'));
    await this.#startAll([this.#moto(), this.#door(), this.#hosts(), github, this.#oidc()]);
    await this.#startAll([this.#gateway()]);
    await this.#startAll([this.#metadata()]);
    return handleOf(this.#record());
  }

  async #startAll(plans: readonly ProgramPlan[]): Promise<void> {
    const missing = plans.filter((plan) => !this.#programs.some((program) => program.name === plan.name));
    const results = await Promise.allSettled(missing.map((plan) => this.#startOne(plan)));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async #startOne(plan: ProgramPlan): Promise<void> {
    const remember = (program: Program): void => {
      const at = this.#programs.findIndex(({ name }) => name === program.name);
      this.#programs.splice(at < 0 ? this.#programs.length : at, at < 0 ? 0 : 1, program);
      writeRecord(this.#record());
    };
    remember(await startProgram(plan, join(this.#state, 'logs'), remember));
    this.#tell(`${plan.name} is up`);
  }

  #record(): CloudRecord {
    const { agent, realWaits } = this.#hostsWish;
    const wish = { ...(agent !== undefined && { agent }), ...(realWaits && { realWaits }) };
    return { name: this.#name, ...wish, programs: this.#programs };
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

  #door(): ProgramPlan {
    // Not the gateway's own socket: from there a host could ask for another's credentials.
    const flags = ['--listen', `${gatewayAddress}:8000`, '--to', join(this.#run, 'door.sock')];
    return this.#inside({ name: 'door', argv: node('fabric/door.ts', flags), ready: ownReadyLine });
  }

  #hosts(): ProgramPlan {
    const where = ['--state', join(this.#state, 'hosts'), '--socket', join(this.#run, 'hosts.sock')];
    const { agent, realWaits } = this.#hostsWish;
    const wish = [
      ...(agent === undefined ? [] : ['--agent', agent]),
      ...(realWaits ? ['--waits', 'real'] : []),
    ];
    return own('hosts', ['--name', this.#name, ...where, '--base', baseFolder(), ...wish]);
  }

  #oidc(): ProgramPlan {
    return own('oidc', this.#listen('oidc'));
  }

  /** A free port of this machine; for a program that ran before, the one that others know it by. */
  #listen(name: string): string[] {
    const url = this.#before.find((program) => program.name === name)?.ready['url'];
    return ['--listen', `127.0.0.1:${url === undefined ? 0 : new URL(url).port}`];
  }

  #urlOf(name: string): string {
    const url = this.#programs.find((program) => program.name === name)?.ready['url'];
    if (url === undefined) throw new Error(`${name} is not up`);
    return url;
  }

  #gateway(): ProgramPlan {
    const upstream = ['--moto', this.#urlOf('moto'), '--jwks', `${this.#urlOf('oidc')}/.well-known/jwks`];
    const at = (name: string): string => join(this.#run, `${name}.sock`);
    const sockets = ['--socket', at('gateway'), '--door', at('door'), '--hosts', at('hosts')];
    const record = ['--record', join(this.#state, 'calls.jsonl'), '--region', region];
    return own('gateway', [...upstream, ...this.#listen('gateway'), ...sockets, ...record]);
  }

  #metadata(): ProgramPlan {
    const flags = ['--listen', `${metadataAddress}:80`, '--gateway', join(this.#run, 'gateway.sock')];
    return this.#inside(own('metadata', flags));
  }

  #inside(plan: ProgramPlan): ProgramPlan {
    return { ...plan, argv: inFabric({ name: this.#name }, plan.argv) };
  }
}

function node(entry: string, flags: readonly string[]): string[] {
  return [process.execPath, join(repositoryFolder, 'rehearsal', entry), ...flags];
}

function own(name: string, flags: readonly string[]): ProgramPlan {
  return { name, argv: node(`${name}/main.ts`, flags), ready: ownReadyLine };
}
