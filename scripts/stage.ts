import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What a stage found. A stage that ran nothing has failed: `failed` is then at least 1. */
export interface Found {
  readonly passed: number;
  readonly failed: number;
  /** What went wrong, for the reader; already shown where the stage streams. */
  readonly complaint?: string;
}

export interface Stage {
  readonly name: string;
  /** Seconds after which the stage is ended and has failed. */
  readonly limit: number;
  readonly play: (signal: AbortSignal) => Promise<Found>;
}

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

// What the caller's shell or a GitHub job holds must not steer a test.
const FOREIGN = /^(ACTIONS|AWS|GITHUB|INPUT|RUNNER|STATE)_/;

/** Our own environment without what would steer the SDK or the Actions toolkit; colours for people only. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !FOREIGN.test(name)));
  return process.stdout.isTTY ? own : { ...own, NO_COLOR: '1' };
}

interface Play {
  readonly signal: AbortSignal;
  /** Show the output while it comes, rather than give it back only. */
  readonly stream?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Runs a command in a process group of its own; the signal ends the whole group: SIGTERM, then SIGKILL after 20 s. */
export function runCommand(command: string, args: readonly string[], play: Play): Promise<Ended> {
  const { signal, stream = false, env = {}, cwd = '.' } = play;
  const child = spawn(command, args, {
    cwd,
    detached: true,
    env: { ...cleanEnvironment(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const endGroup = (how: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, how);
    } catch {
      // The group has ended by itself.
    }
  };
  let killing: NodeJS.Timeout | undefined;
  const end = (): void => {
    endGroup('SIGTERM');
    killing = setTimeout(endGroup, 20_000, 'SIGKILL');
  };
  signal.addEventListener('abort', end, { once: true });
  return new Promise((resolve, reject) => {
    let output = '';
    const take = (chunk: string): void => {
      output += chunk;
      if (stream) process.stdout.write(chunk);
    };
    child.stdout.setEncoding('utf8').on('data', take);
    child.stderr.setEncoding('utf8').on('data', take);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(killing);
      signal.removeEventListener('abort', end);
      resolve({ code, output });
    });
  });
}

/** One check: a command that must exit with 0. */
export async function check(command: string, args: readonly string[], signal: AbortSignal): Promise<Found> {
  const { code, output } = await runCommand(command, args, { signal });
  return code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1, complaint: output };
}

interface JestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numRuntimeErrorTestSuites: number;
}

/** Plays the tests of one folder, showing them as they come. */
export async function jest(folder: string, workers: number, signal: AbortSignal): Promise<Found> {
  const work = mkdtempSync(join(tmpdir(), 'understudy-test-'));
  const report = join(work, 'report.json');
  const node = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
  const options = ['--ci', `--maxWorkers=${workers}`, '--json', '--outputFile', report, folder];
  try {
    const args = [...node, 'node_modules/jest/bin/jest.js', ...options];
    const { code } = await runCommand(process.execPath, args, { signal, stream: true });
    return foundBy(code, JSON.parse(readFileSync(report, 'utf8')) as JestReport);
  } catch (error) {
    return { passed: 0, failed: 1, complaint: `Jest left no report: ${String(error)}` };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** A suite that cannot be loaded counts as a failed test; so does an exit code that no test explains. */
function foundBy(code: number | null, report: JestReport): Found {
  const passed = report.numPassedTests;
  const failed = report.numFailedTests + report.numRuntimeErrorTestSuites;
  if (passed + failed === 0) return { passed: 0, failed: 1, complaint: 'no test was run' };
  if (code !== 0 && failed === 0) return { passed, failed: 1, complaint: `Jest ended with ${code}` };
  return { passed, failed };
}

/** Plays stages in order, each within its time, and tells how they went. */
export async function playAll(stages: readonly Stage[], interrupted: AbortSignal): Promise<Found> {
  const rows: string[] = [];
  let [passed, failed] = [0, 0];
  for (const [index, stage] of stages.entries()) {
    if (interrupted.aborted) break;
    console.log(`\n[${index + 1}/${stages.length}] ${stage.name}`);
    const started = performance.now();
    const found = await playWithin(stage, interrupted);
    passed += found.passed;
    failed += found.failed;
    if (found.complaint) console.log(found.complaint.trimEnd());
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const row = `${stage.name.padEnd(12)}${String(found.passed).padStart(6)} passed${String(found.failed).padStart(5)} failed${seconds.padStart(8)} s`;
    console.log(row);
    rows.push(row);
  }
  console.log(`\n${rows.join('\n')}`);
  return { passed, failed: interrupted.aborted ? failed + 1 : failed };
}

async function playWithin(stage: Stage, interrupted: AbortSignal): Promise<Found> {
  const late = AbortSignal.timeout(stage.limit * 1000);
  try {
    const found = await stage.play(AbortSignal.any([late, interrupted]));
    if (!late.aborted) return found;
    const complaint = `${found.complaint ?? ''}\n${stage.name} took longer than its ${stage.limit} s.`;
    return { passed: found.passed, failed: Math.max(found.failed, 1), complaint };
  } catch (error) {
    const complaint = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { passed: 0, failed: 1, complaint };
  }
}
