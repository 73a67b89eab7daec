/**
 * Plays every stage, or those that are named: `npm test`, `npm test -- unit contract`.
 * The last line says `N passed, N failed`; a tool that finds nothing counts as one.
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { cacheFolder, pythonTools } from '../rehearsal/ground/places.ts';
import { compose, hostOperations } from '../src/document/compose.ts';
import { documentParameters } from '../src/document/parameters.ts';
import { build, differences, findActions } from './build.ts';
import { check, type Found, jest, playAll, runCommand, type Stage } from './stage.ts';
import { readManifest } from './tables.ts';

process.chdir(resolve(import.meta.dirname, '..'));

const tool = (name: string): string => join('node_modules/.bin', name);
const CODE = ['actions', 'bench', 'rehearsal', 'scripts', 'src', 'tests'];

const stages: readonly Stage[] = [
  { name: 'types', limit: 120, play: (signal) => check(tool('tsc'), ['--noEmit'], signal) },
  {
    name: 'biome',
    limit: 60,
    play: (signal) => check(tool('biome'), ['ci', '--error-on-warnings', '--colors=off'], signal),
  },
  {
    name: 'oxlint',
    limit: 120,
    play: (signal) =>
      check(
        tool('oxlint'),
        ['--type-aware', '--deny-warnings', '--config', 'scripts/oxlint.json', ...CODE],
        signal,
      ),
  },
  { name: 'knip', limit: 120, play: (signal) => check(tool('knip'), ['--no-progress'], signal) },
  { name: 'shellcheck', limit: 120, play: checkBash },
  { name: 'actionlint', limit: 300, play: checkWorkflows },
  {
    name: 'zizmor',
    limit: 120,
    play: (signal) => check(join(pythonTools(), 'zizmor'), ['--offline', '--no-progress', '.'], signal),
  },
  {
    name: 'cfn-lint',
    limit: 180,
    play: (signal) => check(join(pythonTools(), 'cfn-lint'), templates(), signal),
  },
  { name: 'unit', limit: 300, play: (signal) => jest('tests/unit', 2, signal) },
  { name: 'contract', limit: 300, play: (signal) => jest('tests/contract', 2, signal) },
  { name: 'dist', limit: 300, play: checkDist },
  { name: 'cloud', limit: 900, play: asRoot((signal) => jest('tests/cloud', 2, signal)) },
  { name: 'host', limit: 1800, play: asRoot((signal) => jest('tests/host', 2, signal)) },
  { name: 'end-to-end', limit: 1200, play: asRoot((signal) => jest('tests/end-to-end', 2, signal)) },
];

/** Hosts are real ones: they need mounts, namespaces and cgroups. */
function asRoot(play: Stage['play']): Stage['play'] {
  const complaint = 'This stage boots real systemd hosts: it needs root, on Linux.';
  return process.getuid?.() === 0 ? play : async () => ({ passed: 0, failed: 1, complaint });
}

/** Files of the work tree, committed or not, but not those that git ignores. */
function ownFiles(): string[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z']);
  const files = listed.toString().split('\0');
  return files.filter((file) => file !== '' && existsSync(file)).sort();
}

/** host/ holds parts; what runs on a host is what they make together, so that is what is checked. */
async function checkBash(signal: AbortSignal): Promise<Found> {
  const composed = mkdtempSync(join(tmpdir(), 'understudy-bash-'));
  try {
    const operations = hostOperations.map((operation) => {
      const parameters = Object.keys(documentParameters[operation]).map((name) => [name, `{{ ${name} }}`]);
      const path = join(composed, `${operation}.sh`);
      writeFileSync(path, compose(operation, Object.fromEntries(parameters) as Record<string, string>));
      return path;
    });
    const parts = /^(dist\/|host\/(library\/)?[^/]+$)/;
    const scripts = ownFiles().filter((file) => !parts.test(file) && isBash(file));
    const own = await shellcheck(scripts, [], signal);
    // The library offers what one operation or another leaves unused; only deploy sets all that the library reads.
    const unused = 'SC2034,SC2119,SC2120,SC2317';
    const [deploy, others] = [operations.slice(0, 1), operations.slice(1)];
    const whole = await shellcheck(deploy, [`--exclude=${unused}`], signal);
    const partial = await shellcheck(others, [`--exclude=${unused},SC2154`], signal);
    const found = [own, whole, partial];
    return {
      passed: found.reduce((sum, { passed }) => sum + passed, 0),
      failed: found.reduce((sum, { failed }) => sum + failed, 0),
      complaint: found.map(({ complaint }) => complaint ?? '').join(''),
    };
  } finally {
    rmSync(composed, { recursive: true, force: true });
  }
}

async function shellcheck(files: string[], options: string[], signal: AbortSignal): Promise<Found> {
  const { code, output } = await runCommand('shellcheck', ['--format=gcc', ...options, ...files], { signal });
  return code === 0 ? { passed: files.length, failed: 0 } : { passed: 0, failed: 1, complaint: output };
}

function isBash(file: string): boolean {
  const first = readFileSync(file, 'latin1').slice(0, 64);
  return !/\.(md|ts|py|ya?ml|json)$/.test(file) && /^#!.*\b(ba)?sh\b/.test(first);
}

const ACTIONLINT = 'v1.7.12';

/** actionlint is had from its source alone: the packages of its name are old, or download at install. */
async function actionlint(signal: AbortSignal): Promise<string> {
  const folder = join(cacheFolder(), 'bin', `actionlint-${ACTIONLINT}`);
  const path = join(folder, 'actionlint');
  if (existsSync(path)) return path;
  console.log(`building actionlint ${ACTIONLINT} once, into ${folder}`);
  mkdirSync(folder, { recursive: true });
  const source = `github.com/rhysd/actionlint/cmd/actionlint@${ACTIONLINT}`;
  const env = { GOBIN: folder, GOTOOLCHAIN: 'local' };
  const { code, output } = await runCommand(join(pythonTools(), 'go'), ['install', source], { signal, env });
  if (code !== 0) throw new Error(`actionlint could not be built:\n${output}`);
  return path;
}

async function checkWorkflows(signal: AbortSignal): Promise<Found> {
  const workflows = ownFiles().filter((file) => /(^|\/)\.github\/workflows\/[^/]+\.ya?ml$/.test(file));
  if (workflows.length === 0) throw new Error('no workflow was found');
  return check(await actionlint(signal), ['-no-color', ...workflows], signal);
}

function templates(): string[] {
  const files = readdirSync('infra').filter((file) => file.endsWith('.yaml'));
  if (files.length === 0) throw new Error('no template was found in infra/');
  return files.sort().map((file) => join('infra', file));
}

/** dist/ is what a fresh build gives, and each bundle starts. */
async function checkDist(signal: AbortSignal): Promise<Found> {
  const fresh = mkdtempSync(join(tmpdir(), 'understudy-dist-'));
  try {
    await build(fresh);
    const complaints = differences(fresh, 'dist').map((sentence) => `dist/${sentence}: npm run build`);
    const checks = [complaints.length === 0];
    for (const name of findActions()) {
      const complaint = await startBundle(fresh, name, signal);
      checks.push(complaint === undefined);
      if (complaint) complaints.push(complaint);
    }
    const passed = checks.filter(Boolean).length;
    return { passed, failed: checks.length - passed, complaint: complaints.join('\n') };
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** A bundle can build well and die on import: given nonsense, it must end with its own sentence. */
async function startBundle(dist: string, name: string, signal: AbortSignal): Promise<string | undefined> {
  const inputs = Object.keys(readManifest(name).inputs ?? {});
  const env = Object.fromEntries(inputs.map((input) => [`INPUT_${input.toUpperCase()}`, 'two\nlines']));
  const { code, output } = await runCommand(process.execPath, [join(name, 'index.js')], {
    signal,
    env,
    cwd: dist,
  });
  const refusal = /^::error.*::refused \(bad-input\): .+/m.test(output);
  return code === 1 && refusal ? undefined : `dist/${name} did not refuse nonsense in a sentence:\n${output}`;
}

function chosen(names: readonly string[]): readonly Stage[] {
  const unknown = names.filter((name) => !stages.some((stage) => stage.name === name));
  if (unknown.length === 0)
    return names.length === 0 ? stages : stages.filter(({ name }) => names.includes(name));
  throw new Error(
    `no stage is called ${unknown.join(', ')}; there are: ${stages.map(({ name }) => name).join(' ')}`,
  );
}

const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interruption.abort());

const { passed, failed } = await playAll(chosen(process.argv.slice(2)), interruption.signal);
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
