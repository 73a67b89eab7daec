/** The front door of the local cloud: start, open and stop one; launch hosts in it, and reach them. */
import { mkdirSync } from 'node:fs';
import { layFabric } from '../fabric/fabric.ts';
import { cloudName, runFolder, stateFolder } from '../ground/places.ts';
import { isAlive } from '../ground/process.ts';
import { type Cloud, handleOf } from './handle.ts';
import { stopProgram } from './programs.ts';
import { type CloudRecord, readRecord, requireRecord } from './record.ts';
import { Starter } from './starter.ts';
import { sweepCloud } from './sweep.ts';
import { inTurn } from './turn.ts';

// biome-ignore lint/performance/noBarrelFile: scenes and tests know one door, and what stands behind it may move
export { askHosts, type Cloud, inFabric, operatorClient } from './handle.ts';
export { awaitState, awaitUpAnew, bootHost, describeHost, hostRoot, onHost } from './host.ts';
export { launchHost } from './launch.ts';

export interface StartOptions {
  /** `^[a-z][a-z0-9]{0,7}$` */
  readonly name: string;
  /** A folder with the binaries of the real amazon-ssm-agent, instead of our agent. */
  readonly agent?: string;
  /** Lets the hosts' agents wait as long as the real one: a minute after a reboot, where they wait 2 s otherwise. */
  readonly realWaits?: boolean;
  /** Hears of each step. */
  readonly onStep?: (sentence: string) => void;
}

/**
 * Starts a cloud, or mends the one of that name: programs that ended are started again. When what they held in memory
 * is lost (moto's or the gateway's), the whole cloud starts anew. Throws with the program's name and the end of its log.
 */
export async function startCloud({
  name,
  onStep: tell = () => undefined,
  ...hosts
}: StartOptions): Promise<Cloud> {
  if (!cloudName.test(name)) throw new Error(`a cloud's name is like ${cloudName.source}, not "${name}"`);
  return inTurn(name, () => raise(name, hosts, tell));
}

async function raise(
  name: string,
  { agent, realWaits }: Pick<StartOptions, 'agent' | 'realWaits'>,
  tell: (sentence: string) => void,
): Promise<Cloud> {
  const known = readRecord(name);
  if (known !== undefined && lostItsMemory(known)) {
    tell(`the cloud "${name}" has lost its memory (${memory.join(' or ')} ended): starting it anew`);
    await raze(name);
  }
  const before = readRecord(name);
  if (before !== undefined && agent !== undefined && agent !== before.agent) {
    throw new Error(
      `the cloud "${name}" runs ${before.agent ?? 'our own agent'}: take it down before you change that`,
    );
  }
  for (const folder of [stateFolder(name), runFolder(name)]) mkdirSync(folder, { recursive: true });
  await layFabric(name);
  const wished = { agent: agent ?? known?.agent, realWaits: realWaits ?? known?.realWaits ?? false };
  return new Starter(name, wished, tell).start();
}

/** The cloud of that name. Throws when there is none. */
export function openCloud(name: string): Cloud {
  return handleOf(requireRecord(name));
}

/** Stops a cloud and removes all that it made, whatever state it is in; nothing happens when there is none. */
export async function stopCloud(name: string): Promise<void> {
  if (!cloudName.test(name)) throw new Error(`a cloud's name is like ${cloudName.source}, not "${name}"`);
  await inTurn(name, () => raze(name));
}

async function raze(name: string): Promise<void> {
  const programs = readRecord(name)?.programs ?? [];
  await Promise.all(programs.map((program) => stopProgram(program.process)));
  await sweepCloud(name);
}

// What ends with these cannot be had back: the account's resources, and the commands under way.
const memory = ['moto', 'gateway'];

function lostItsMemory(record: CloudRecord): boolean {
  const alive = (name: string): boolean =>
    record.programs.some((program) => program.name === name && isAlive(program.process));
  return !memory.every(alive);
}
