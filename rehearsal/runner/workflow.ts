import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Document, parseDocument } from 'yaml';

/** What a job may do with its token, as GitHub names it. */
export type Permissions = Readonly<Record<string, 'read' | 'write' | 'none'>>;

/** One job of a run, read from the caller's workflow or from a reusable one that it calls. */
export interface PlannedJob {
  /** As GitHub shows it: `deploy`, or `staging / deploy` for a job of a called workflow. */
  readonly name: string;
  readonly id: string;
  /** The caller's job that calls the workflow this one is in; absent for the caller's own. */
  readonly calledBy?: string;
  /** `owner/repository/path@ref` of the file that the job is written in: GitHub's claim `job_workflow_ref`. */
  readonly workflowRef: string;
  readonly permissions: Permissions;
  readonly environment?: string;
  /** Where the environment is reached, as the workflow writes it: may be known only when the job has ended. */
  readonly environmentUrl?: string;
  /** Whether GitHub makes a deployment of it: not where the environment says `deployment: false`. */
  readonly deploys: boolean;
  /** Declared outputs: name → expression. */
  readonly outputs: Readonly<Record<string, string>>;
  /** Actions of other repositories that its steps use, as `owner/repository[/path]@ref`. */
  readonly uses: readonly string[];
}

/** A call of a reusable workflow. */
export interface Call {
  readonly jobId: string;
  readonly repository: string;
  readonly path: string;
  readonly ref: string;
}

/** What a run will do, as far as it can be known before it starts. */
export interface Plan {
  readonly file: string;
  readonly name: string;
  readonly jobs: readonly PlannedJob[];
  readonly calls: readonly Call[];
}

/** The event and repository that a workflow is planned for. */
export interface Occasion {
  readonly repository: string;
  readonly event: string;
  readonly ref: string;
  /** Inputs of `workflow_dispatch`. */
  readonly inputs: Readonly<Record<string, string>>;
}

interface RawJob {
  readonly name?: string;
  readonly uses?: string;
  readonly with?: Record<string, unknown>;
  readonly permissions?: string | Record<string, string>;
  readonly environment?: string | { name: string; url?: string; deployment?: boolean };
  readonly outputs?: Record<string, string>;
  readonly steps?: readonly { uses?: string }[];
}

interface RawWorkflow {
  readonly name?: string;
  readonly on?: string | readonly string[] | Record<string, unknown>;
  readonly permissions?: string | Record<string, string>;
  readonly jobs: Record<string, RawJob>;
}

/** What a token may do when nobody says: GitHub's restricted default for new repositories. */
const DEFAULT_PERMISSIONS: Permissions = { contents: 'read', packages: 'read' };
const RANK = { none: 0, read: 1, write: 2 } as const;

/** Reads one workflow file; fails with the parser's own line and column. */
export function readWorkflow(file: string): Document {
  const document = parseDocument(readFileSync(file, 'utf8'));
  const [error] = document.errors;
  if (error) throw new Error(`${file}: ${error.message}`);
  return document;
}

function contentOf(document: Document): RawWorkflow {
  return document.toJS() as RawWorkflow;
}

function matchesGlob(patterns: unknown, name: string): boolean {
  if (!Array.isArray(patterns)) return true;
  return patterns.some((pattern) => {
    const expression = String(pattern)
      .replace(/[.+^$()|[\]{}\\]/g, '\\$&')
      .replace(/\*\*|\*/g, (stars) => (stars === '**' ? '.*' : '[^/]*'));
    return new RegExp(`^${expression}$`).test(name);
  });
}

function listensTo(on: RawWorkflow['on'], event: string, ref: string): boolean {
  if (typeof on === 'string') return on === event;
  if (Array.isArray(on)) return on.includes(event);
  const events = (on ?? {}) as Record<string, Record<string, unknown> | null>;
  if (!(event in events)) return false;
  const filter = events[event] ?? {};
  if (event !== 'push') return true;
  if (ref.startsWith('refs/heads/')) {
    return !('tags' in filter && !('branches' in filter)) && matchesGlob(filter['branches'], ref.slice(11));
  }
  return !('branches' in filter && !('tags' in filter)) && matchesGlob(filter['tags'], ref.slice(10));
}

/**
 * The workflow file of `folder` that GitHub would start for the occasion.
 * @throws when none or more than one listens: each would be a run of its own, so say which by `name`; and where it
 *   would not take the inputs.
 */
export function findWorkflow(folder: string, occasion: Occasion, name?: string): string {
  const home = join(folder, '.github/workflows');
  const files = workflowsIn(home);
  if (name !== undefined && !files.includes(name)) {
    throw new Error(`there is no workflow ${name} in ${home}; there is: ${files.join(', ') || 'none'}`);
  }
  const listening = (name === undefined ? files : [name]).filter((file) =>
    listensTo(contentOf(readWorkflow(join(home, file))).on, occasion.event, occasion.ref),
  );
  const [file] = listening;
  if (file === undefined || listening.length > 1) {
    const found = listening.length === 0 ? 'none' : listening.join(', ');
    const what = name === undefined ? `exactly one workflow of ${folder}` : name;
    throw new Error(`${occasion.event} of ${occasion.ref} must start ${what}; it would start: ${found}`);
  }
  return file;
}

interface DispatchInput {
  readonly description?: string;
  readonly required?: boolean;
  readonly default?: unknown;
  readonly type?: string;
  readonly options?: readonly unknown[];
}

/**
 * The inputs of a dispatched workflow, with its defaults, as GitHub checks them before it starts a run.
 * @throws on one that it does not declare, wants and did not get, or does not take.
 */
export function fillInputs(
  folder: string,
  file: string,
  { event, inputs }: Pick<Occasion, 'event' | 'inputs'>,
): Readonly<Record<string, string>> {
  if (event !== 'workflow_dispatch') return inputs;
  const { on } = contentOf(readWorkflow(join(folder, '.github/workflows', file)));
  const declared = declaredInputs(on);
  const names = Object.keys(declared);
  for (const key of Object.keys(inputs).filter((given) => !names.includes(given))) {
    throw new Error(`${file} has no input ${key}; it has: ${names.join(', ') || 'none'}`);
  }
  return Object.fromEntries(names.map((key) => [key, inputOf(file, key, declared[key] ?? {}, inputs[key])]));
}

function declaredInputs(on: RawWorkflow['on']): Record<string, DispatchInput | null> {
  if (typeof on !== 'object' || Array.isArray(on)) return {};
  const { workflow_dispatch: dispatch } = on as Record<
    string,
    { inputs?: Record<string, DispatchInput | null> } | null
  >;
  return dispatch?.inputs ?? {};
}

function inputOf(file: string, key: string, declared: DispatchInput, given: string | undefined): string {
  const { required = false, type = 'string', options = [], description = '' } = declared;
  if (given === undefined && declared.default === undefined && required) {
    throw new Error(
      `${file} wants the input ${key}${description && ` (${description})`}: give it as ${key}=…`,
    );
  }
  const value = given ?? String(declared.default ?? (type === 'boolean' ? 'false' : ''));
  const allowed =
    type === 'boolean' ? ['true', 'false'] : type === 'choice' ? options.map(String) : undefined;
  if (allowed === undefined || given === undefined || allowed.includes(given)) return value;
  throw new Error(`the input ${key} of ${file} is one of ${allowed.join(', ')}, not "${given}"`);
}

function readPermissions(raw: string | Record<string, string> | undefined): Permissions | undefined {
  if (raw === undefined) return undefined;
  if (typeof raw === 'string')
    throw new Error(`permissions: ${raw} is not known to the local runner; list them`);
  return raw as Permissions;
}

/** Fills in `${{ inputs.x }}` and `${{ github.x }}`; refuses any other expression. */
function evaluate(template: string, contexts: Record<string, Record<string, string>>): string {
  return template.replace(/\$\{\{\s*(.*?)\s*\}\}/g, (_, expression: string) => {
    const [context = '', key = '', ...more] = expression.split('.');
    const value = contexts[context]?.[key];
    if (value === undefined || more.length > 0) {
      throw new Error(`the local runner cannot know \${{ ${expression} }} before the run starts`);
    }
    return value;
  });
}

function mayCall(caller: Permissions, job: PlannedJob): void {
  for (const [scope, level] of Object.entries(job.permissions)) {
    if (RANK[level] <= RANK[caller[scope] ?? 'none']) continue;
    throw new Error(
      `${job.name} requests ${scope}: ${level}, but its caller grants ${scope}: ${caller[scope] ?? 'none'}`,
    );
  }
}

function githubContext({ event, ref, repository }: Occasion): Record<string, string> {
  return { event_name: event, ref, ref_name: ref.replace(/^refs\/(heads|tags)\//, ''), repository };
}

function planJob(
  [id, job]: [string, RawJob],
  workflow: RawWorkflow,
  workflowRef: string,
  contexts: Record<string, Record<string, string>>,
  calledBy?: string,
): PlannedJob {
  const {
    name: environment,
    url,
    deployment = true,
  } = typeof job.environment === 'object' ? job.environment : { name: job.environment };
  const ownName = job.name ?? id;
  return {
    id,
    name: calledBy === undefined ? ownName : `${calledBy} / ${ownName}`,
    ...(calledBy !== undefined && { calledBy }),
    workflowRef,
    permissions:
      readPermissions(job.permissions) ?? readPermissions(workflow.permissions) ?? DEFAULT_PERMISSIONS,
    ...(environment !== undefined && { environment: evaluate(environment, contexts) }),
    ...(url !== undefined && { environmentUrl: url }),
    deploys: environment !== undefined && deployment,
    outputs: job.outputs ?? {},
    uses: (job.steps ?? []).flatMap(({ uses }) => (uses && !uses.startsWith('./') ? [uses] : [])),
  };
}

/**
 * The reusable workflows that a repository's own ones call, as GitHub's claim `job_workflow_ref` names them.
 * @throws when it calls none.
 */
export function calledWorkflows(folder: string): string[] {
  const home = join(folder, '.github/workflows');
  const jobs = workflowsIn(home).flatMap((file) =>
    Object.entries(contentOf(readWorkflow(join(home, file))).jobs),
  );
  // A workflow of the repository itself is its own, and no other that would have to be trusted.
  const calls = jobs.flatMap(([id, { uses }]) =>
    uses?.startsWith('./') === false ? [readCall(id, uses)] : [],
  );
  if (calls.length === 0) throw new Error(`no workflow in ${home} calls a reusable workflow`);
  return [...new Set(calls.map(refOf))];
}

function workflowsIn(home: string): string[] {
  return existsSync(home) ? readdirSync(home).filter((file) => /\.ya?ml$/.test(file)) : [];
}

function refOf({ repository, path, ref }: Call): string {
  return `${repository}/${path}@${fullRef(ref)}`;
}

function readCall(jobId: string, uses: string): Call {
  const match = /^([^/]+\/[^/]+)\/(\.github\/workflows\/[^@]+)@(.+)$/.exec(uses);
  if (!match) throw new Error(`the local runner calls workflows as owner/repository/path@ref, not ${uses}`);
  const [, repository = '', path = '', ref = ''] = match;
  return { jobId, repository, path, ref };
}

/** `v1` is a tag, a full SHA is itself, anything else a branch: as GitHub writes it into the claim. */
function fullRef(ref: string): string {
  if (/^[0-9a-f]{40}$/.test(ref) || ref.startsWith('refs/')) return ref;
  return /^v\d/.test(ref) ? `refs/tags/${ref}` : `refs/heads/${ref}`;
}

function inputsOfCall(
  called: RawWorkflow,
  job: RawJob,
  contexts: Record<string, Record<string, string>>,
): Record<string, string> {
  const on = called.on as { workflow_call?: { inputs?: Record<string, { default?: unknown }> } };
  const inputs: Record<string, string> = {};
  for (const [name, { default: value }] of Object.entries(on.workflow_call?.inputs ?? {})) {
    inputs[name] = value === undefined ? '' : String(value);
  }
  for (const [name, value] of Object.entries(job.with ?? {})) {
    // Only an environment's name must be known beforehand; act evaluates everything else in time.
    try {
      inputs[name] = evaluate(String(value), contexts);
    } catch {
      delete inputs[name];
    }
  }
  return inputs;
}

/**
 * Reads what a run of `file` will do: its jobs and those of the workflows that it calls, what each may do, and where.
 * @param openCalled gives the called workflow's file.
 * @throws where GitHub would refuse to start the run, and where the local runner cannot know enough.
 */
export function planRun(
  folder: string,
  file: string,
  occasion: Occasion,
  openCalled: (call: Call) => Document,
): Plan {
  const workflow = contentOf(readWorkflow(join(folder, '.github/workflows', file)));
  const path = `.github/workflows/${file}`;
  const workflowRef = `${occasion.repository}/${path}@${occasion.ref}`;
  const contexts = { github: githubContext(occasion), inputs: { ...occasion.inputs } };
  const jobs: PlannedJob[] = [];
  const calls: Call[] = [];
  for (const [id, job] of Object.entries(workflow.jobs)) {
    const own = planJob([id, job], workflow, workflowRef, contexts);
    if (job.uses === undefined) {
      jobs.push(own);
      continue;
    }
    const call = readCall(id, job.uses);
    const called = contentOf(openCalled(call));
    const inside = { ...contexts, inputs: inputsOfCall(called, job, contexts) };
    for (const entry of Object.entries(called.jobs)) {
      const planned = planJob(entry, called, refOf(call), inside, id);
      mayCall(own.permissions, planned);
      jobs.push(planned);
    }
    calls.push(call);
  }
  return { file, name: workflow.name ?? file, jobs, calls };
}
