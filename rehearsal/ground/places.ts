import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** The root of this repository's work tree. */
export const repositoryFolder = join(import.meta.dirname, '..', '..');

/** Where things dear to fetch are kept between runs: `${XDG_CACHE_HOME:-~/.cache}/understudy`. */
export function cacheFolder(): string {
  const given = process.env['XDG_CACHE_HOME'];
  return join(given === undefined || given === '' ? join(homedir(), '.cache') : given, 'understudy');
}

// scripts/ground names these folders by the same rule: the first 12 digits of the SHA-256 of the files' bytes.
function digestOf(...files: string[]): string {
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(join(repositoryFolder, file)));
  return hash.digest('hex').slice(0, 12);
}

function laid(folder: string, what: string): string {
  if (!existsSync(folder)) {
    throw new Error(`${what} is not on this machine yet (${folder}): run "scripts/ground true" first`);
  }
  return folder;
}

/** The folder with the Python tools (moto_server, act, aws, zizmor, cfn-lint, go). Throws when ground was not laid. */
export function pythonTools(): string {
  const folder = join(cacheFolder(), `python-${digestOf('rehearsal/requirements.txt')}`, 'bin');
  return laid(folder, 'the set of Python tools');
}

/** The root file system that every host starts from. Throws when ground was not laid. */
export function baseFolder(): string {
  const digest = digestOf('rehearsal/hosts/base/packages.txt', 'rehearsal/hosts/base/requirements.txt');
  return laid(join(cacheFolder(), `base-${digest}`), "the hosts' root file system");
}

/** What the name of a cloud may be: it goes into names of network devices (15 bytes) and sockets (108 bytes). */
export const cloudName = /^[a-z][a-z0-9]{0,7}$/;

/** Everything that a cloud writes, but its sockets. */
export function stateFolder(name: string): string {
  return join(cacheFolder(), 'clouds', name);
}

/** A cloud's Unix sockets; short, for their paths end at 108 bytes. */
export function runFolder(name: string): string {
  return join('/run/understudy-cloud', name);
}
