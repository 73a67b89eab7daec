import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheFolder, stateFolder } from '../ground/places.ts';
import type { Program } from './programs.ts';

/** What a cloud's own file says of it; written after each program that came up. */
export interface CloudRecord {
  readonly name: string;
  /** Folder of the agent that hosts run; undefined means ours. */
  readonly agent?: string;
  /** Whether its hosts' agents wait as long as the real one; undefined means 2 s instead. */
  readonly realWaits?: boolean;
  readonly programs: readonly Program[];
}

const fileOf = (name: string): string => join(stateFolder(name), 'cloud.json');

/** The record of a cloud, or undefined when there is none of that name. */
export function readRecord(name: string): CloudRecord | undefined {
  const file = fileOf(name);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as CloudRecord) : undefined;
}

/** The record of a cloud. Throws when there is none, and says which there are and how to start one. */
export function requireRecord(name: string): CloudRecord {
  const record = readRecord(name);
  if (record !== undefined) return record;
  const others = listClouds().filter((other) => readRecord(other) !== undefined);
  const there = others.length === 0 ? '' : ` (there is: ${others.join(', ')})`;
  throw new Error(`there is no cloud "${name}"${there}: start it with ${upCommand(name)}`);
}

/** How a person starts or mends a cloud. */
export function upCommand(name: string): string {
  return `"npm run cloud -- up${name === usualName ? '' : ` --name ${name}`}"`;
}

export function writeRecord(record: CloudRecord): void {
  const file = fileOf(record.name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.part`, JSON.stringify(record, null, 2));
  renameSync(`${file}.part`, file);
}

/** The name of a cloud that nobody named. */
export const usualName = 'cloud';

/** The names of all clouds that this user has, running or left behind. */
function listClouds(): string[] {
  const folder = join(cacheFolder(), 'clouds');
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}
