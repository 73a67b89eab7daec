import type { Config } from '../config/config.ts';
import { configFile, descriptionFile } from './description.ts';
import { type Entry, refusal } from './entry.ts';

/** What the host would call in a release; another name would never be called, so it is taken for a slip. */
const hooks = ['prepare', 'migrate', 'check', 'scrub'];
const hookFolder = '.understudy/hooks/';
const workerFolder = '.understudy/workers/';

/**
 * Judges what a release must hold to be run.
 *
 * @throws ConfigurationError at what is missing, or cannot be run
 */
export function requireContents(entries: readonly Entry[], config: Config): void {
  const found = new Map(entries.map((entry) => [entry.path, entry]));
  requireLinksEnd(entries);
  requireRunnable(found, '.understudy/run', 'It starts the server; for example: exec gunicorn app:app');
  for (const worker of config.workers) {
    requireRunnable(
      found,
      workerFolder + worker,
      `understudy.yml names the worker ${worker}; this starts it.`,
    );
  }
  for (const { path } of entries.filter(
    (entry) => entry.path.startsWith(hookFolder) && entry.path !== hookFolder,
  )) {
    requireHook(found, path);
  }
}

/** What must be there before anything else can be judged. */
export function requireConfig(entries: readonly Entry[]): void {
  const files = entries.filter(({ kind }) => kind === 'file');
  if (files.length === 0) {
    throw refusal('.', 'holds no file.', 'Give the folder that your build wrote as `path`.');
  }
  if (!files.some(({ path }) => path === configFile)) {
    throw refusal(configFile, 'is missing.', 'It describes the app, and stands at the top of the release.');
  }
}

/** The description is written while packing; one in the tree would be of another release. */
export function requireNoDescription(entries: readonly Entry[]): void {
  if (entries.some(({ path }) => path === descriptionFile)) {
    throw refusal(descriptionFile, 'is in the folder already.', 'Remove it: packing writes it.');
  }
}

function requireRunnable(found: ReadonlyMap<string, Entry>, path: string, purpose: string): void {
  const entry = found.get(path);
  if (entry?.kind !== 'file') {
    throw refusal(path, 'is missing.', purpose);
  }
  if (!entry.executable) {
    throw refusal(path, 'is not executable.', `git update-index --chmod=+x ${path}`);
  }
}

/** As many links as Linux follows on one way. */
const mostLinks = 40;

/** A link that leads through itself has no end: the kernel gives it up, but not every program does. */
function requireLinksEnd(entries: readonly Entry[]): void {
  const links = new Map(
    entries.flatMap(({ kind, path, target }) => (kind === 'link' ? [[path, target]] : [])),
  );
  for (const path of links.keys()) {
    if (!hasEnd(path, links)) {
      throw refusal(path, 'is a link that leads back to itself.', 'Leave it out, or let it lead to a file.');
    }
  }
}

function hasEnd(path: string, links: ReadonlyMap<string, string>): boolean {
  const [ahead, behind]: [string[], string[]] = [path.split('/'), []];
  for (let followed = 0; followed <= mostLinks; ) {
    const name = ahead.shift();
    if (name === undefined) return true;
    if (name === '..') behind.pop();
    else if (name !== '' && name !== '.') behind.push(name);
    const target = links.get(behind.join('/'));
    if (target === undefined || name === '..') continue;
    followed += 1;
    behind.pop();
    ahead.unshift(...target.split('/'));
  }
  return false;
}

function requireHook(found: ReadonlyMap<string, Entry>, path: string): void {
  const name = path.slice(hookFolder.length);
  if (!hooks.includes(name)) {
    throw refusal(
      path,
      'is no hook that Understudy calls.',
      `There are ${hooks.join(', ')}; keep other files elsewhere.`,
    );
  }
  requireRunnable(found, path, 'A hook is a program.');
}
