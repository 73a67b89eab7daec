import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Document } from 'yaml';
import { cacheFolder, repositoryFolder } from '../ground/places.ts';
import { run } from '../ground/run.ts';
import { type Call, type Plan, type PlannedJob, readWorkflow } from './workflow.ts';

/** How our repository is named in `uses:`, and by which ref in the tree (architecture.md, security rule 1). */
const OURS = 'understudy-actions/understudy';

/** GitHub's own actions that need GitHub: their stand-ins here, folder by name. `actions/checkout` is built into act. */
const STAND_INS: Readonly<Record<string, string>> = {
  'actions/upload-artifact': 'artifacts/upload',
  'actions/download-artifact': 'artifacts/download',
  'actions/setup-python': 'python',
};

/** Folders of one run. All that act and the jobs write is inside, and goes with it. */
export interface Workbench {
  readonly folder: string;
  /** The caller's repository at the commit of the run. */
  readonly checkout: string;
  /** The caller's workflow as act gets it. */
  readonly workflow: string;
  /** act's cache and the jobs' workspaces: also the mark by which the run's processes are known. */
  readonly cache: string;
  readonly home: string;
  readonly temporary: string;
  readonly artifacts: string;
  /** First on the jobs' PATH. */
  readonly programs: string;
  /** The jobs' own Python environment. */
  readonly python: string;
  /** While this file exists, an action that ended is not reported to act. */
  readonly holding: string;
  /** What act takes from a folder here in place of GitHub: `owner/repository@ref` → folder. */
  readonly repositories: Map<string, string>;
}

/** Makes the folders of one run. */
export function openWorkbench(): Workbench {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-run-'));
  const inside = (name: string) => join(folder, name);
  const bench: Workbench = {
    folder,
    checkout: inside('checkout'),
    workflow: inside('workflow'),
    cache: inside('cache'),
    home: inside('home'),
    temporary: inside('tmp'),
    artifacts: inside('artifacts'),
    programs: inside('bin'),
    python: inside('python'),
    holding: inside('bin/holding'),
    repositories: new Map(),
  };
  for (const name of ['workflow', 'cache', 'home', 'tmp', 'artifacts', 'bin']) mkdirSync(inside(name));
  return bench;
}

export function closeWorkbench(bench: Workbench): void {
  rmSync(bench.folder, { recursive: true, force: true });
}

/**
 * Puts first on PATH what the jobs' steps find there.
 *
 * `node` is a shell that starts the real one: act knows no other end than SIGKILL for a cancelled action, and GitHub
 * asks by SIGINT first. So the runner asks the action itself, and the shell keeps act waiting meanwhile.
 */
export function layPrograms(bench: Workbench, node: string): void {
  layScript(
    join(bench.programs, 'node'),
    // act asks node for its own path, and from then on starts what it is told.
    'if [ "$*" = "--no-warnings -e console.log(process.execPath)" ]; then echo "$0"; exit; fi',
    `'${node}' "$@"`,
    'code=$?',
    `while [ -e '${bench.holding}' ]; do sleep 0.05; done`,
    // act takes a step for over when its process is, and may lose what that wrote last (seen under load).
    'sleep 0.1',
    'exit "$code"',
  );
}

function layScript(path: string, ...lines: string[]): void {
  writeFileSync(path, ['#!/bin/bash', ...lines, ''].join('\n'), { mode: 0o755 });
}

/**
 * Makes the jobs a Python of their own, with pip: what a build installs goes with the run.
 * pip is linked from the ground's tools: to unpack it anew takes seconds, and Debian's Python has none.
 */
export async function layPython(bench: Workbench, tools: string): Promise<void> {
  await run([join(tools, 'python3'), '-m', 'venv', '--without-pip', bench.python]);
  const [from, to] = [sitePackages(dirname(tools)), sitePackages(bench.python)];
  for (const name of readdirSync(from).filter((entry) => /^pip(-[\d.]+\.dist-info)?$/.test(entry))) {
    symlinkSync(join(from, name), join(to, name));
  }
  for (const name of ['pip', 'pip3']) {
    layScript(join(bench.python, 'bin', name), `exec '${bench.python}/bin/python3' -m pip "$@"`);
  }
}

function sitePackages(environment: string): string {
  const [version = ''] = readdirSync(join(environment, 'lib'));
  return join(environment, 'lib', version, 'site-packages');
}

/** The settings of this machine for reaching its package registries, and no others of its environment. */
function registrySettings(): Record<string, string> {
  const taken = /^(PIP_\w+|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|(https?|no)_proxy)$/i;
  const settings = Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] => taken.test(entry[0]) && !!entry[1],
    ),
  );
  const own = [join(homedir(), '.config/pip/pip.conf'), join(homedir(), '.pip/pip.conf')].find(existsSync);
  if (own !== undefined) settings['PIP_CONFIG_FILE'] ??= own;
  // Jobs have a HOME of their own; what pip fetched and built stays for the next run.
  return { ...settings, PIP_CACHE_DIR: join(cacheFolder(), 'pip') };
}

/** What GitHub gives to one job alone: its token server, if it may ask, else the way to package registries. */
function settingsOf(job: PlannedJob, oidc: OidcRequest | undefined): Record<string, string> {
  if (oidc === undefined) return job.permissions['id-token'] === 'write' ? {} : registrySettings();
  return {
    ACTIONS_ID_TOKEN_REQUEST_URL: oidc.requestUrl,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: oidc.requestToken,
  };
}

/** Where a job asks for its OIDC tokens, as GitHub tells it by environment. */
export interface OidcRequest {
  readonly requestUrl: string;
  readonly requestToken: string;
}

function giveSettings(
  document: Document,
  jobs: readonly PlannedJob[],
  requests: ReadonlyMap<PlannedJob, OidcRequest>,
): void {
  for (const job of jobs) {
    for (const [name, value] of Object.entries(settingsOf(job, requests.get(job)))) {
      document.setIn(['jobs', job.id, 'env', name], value);
    }
    // act does not know it; whether a deployment is made is the GitHub stand-in's business.
    const deployment = ['jobs', job.id, 'environment', 'deployment'];
    if (document.hasIn(deployment)) document.deleteIn(deployment);
  }
}

/** Copies of our repository what GitHub would fetch to run it: never node_modules, which act would copy for each step. */
function copyOurs(from: string, to: string): void {
  for (const name of ['actions', 'dist', '.github/workflows']) {
    const source = join(from, name);
    if (existsSync(source)) cpSync(source, join(to, name), { recursive: true });
  }
}

/** The folder that stands in for an action of another repository; refuses those for which there is none. */
function folderOf(uses: string, ours: string): [repository: string, folder: string] | undefined {
  const match = /^([^/]+\/[^/@]+)[^@]*@(.+)$/.exec(uses);
  if (!match) throw new Error(`the local runner has no ${uses}`);
  const [, repository = '', ref = ''] = match;
  if (repository === 'actions/checkout') return undefined;
  const standIn = STAND_INS[repository];
  if (repository !== OURS && standIn === undefined) {
    throw new Error(`the local runner reaches no GitHub, and has no stand-in for ${repository}`);
  }
  return [`${repository}@${ref}`, standIn === undefined ? ours : join(import.meta.dirname, standIn)];
}

/** The called workflow's file in our repository. */
export function openCalled(call: Call, ours: string): Document {
  if (call.repository !== OURS)
    throw new Error(`the local runner reaches no GitHub: it cannot call ${call.repository}`);
  return readWorkflow(join(ours, call.path));
}

/**
 * Lays down the workflows of the run: the caller's, and for each call a copy of our repository, so that every job gets
 * what is its own. act would give one environment to all.
 */
export function layWorkflows(
  bench: Workbench,
  plan: Plan,
  requests: ReadonlyMap<PlannedJob, OidcRequest>,
  ours: string = repositoryFolder,
): void {
  const caller = readWorkflow(join(bench.checkout, '.github/workflows', plan.file));
  giveSettings(
    caller,
    plan.jobs.filter(({ calledBy }) => calledBy === undefined),
    requests,
  );
  for (const call of plan.calls) {
    const copy = join(bench.folder, `called-${call.jobId}`);
    const file = join(copy, call.path);
    mkdirSync(dirname(file), { recursive: true });
    copyFileSync(join(ours, call.path), file);
    const called = readWorkflow(file);
    giveSettings(
      called,
      plan.jobs.filter(({ calledBy }) => calledBy === call.jobId),
      requests,
    );
    writeFileSync(file, called.toString({ lineWidth: 0 }));
    bench.repositories.set(`${call.repository}@call-${call.jobId}`, copy);
    caller.setIn(['jobs', call.jobId, 'uses'], `${call.repository}/${call.path}@call-${call.jobId}`);
  }
  writeFileSync(join(bench.workflow, plan.file), caller.toString({ lineWidth: 0 }));
  const copy = join(bench.folder, 'understudy');
  copyOurs(ours, copy);
  for (const uses of plan.jobs.flatMap((job) => job.uses)) {
    const found = folderOf(uses, copy);
    if (found) bench.repositories.set(...found);
  }
}
