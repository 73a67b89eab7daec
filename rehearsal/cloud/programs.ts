import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { identify, isAlive, type ProcessIdentity, signal } from '../ground/process.ts';

/** A program of the cloud: what to start, and how it says that it is ready. */
export interface ProgramPlan {
  readonly name: string;
  readonly argv: readonly string[];
  /** Finds what the program says of itself once it serves; undefined until then. */
  readonly ready: (output: string) => Record<string, string> | undefined;
}

/** A started program, as the cloud's record keeps it. */
export interface Program {
  readonly name: string;
  readonly process: ProcessIdentity;
  readonly ready: Record<string, string>;
}

/** Our programs print `ready {json}` on a line of its own. */
export function ownReadyLine(output: string): Record<string, string> | undefined {
  const json = /^ready (\{.*\})$/m.exec(output)?.[1];
  return json === undefined ? undefined : (JSON.parse(json) as Record<string, string>);
}

const patience = 40_000;

/**
 * Starts a program apart from us, so that it lives on when we end, and waits until it serves. `remember` hears of it
 * at once: one that never serves must be found again, too.
 */
export async function startProgram(
  plan: ProgramPlan,
  logs: string,
  remember: (program: Program) => void,
): Promise<Program> {
  const log = join(logs, `${plan.name}.log`);
  const process = launch(plan, log);
  remember({ name: plan.name, process, ready: {} });
  const until = Date.now() + patience;
  for (;;) {
    const ready = plan.ready(readFileSync(log, 'utf8'));
    if (ready !== undefined) return { name: plan.name, process, ready };
    if (!isAlive(process)) throw new Error(`${plan.name} ended before it was ready.\n${endOf(log)}`);
    if (Date.now() > until) {
      signal(process, 'SIGKILL', true);
      throw new Error(`${plan.name} was not ready after ${patience / 1000} s.\n${endOf(log)}`);
    }
    await sleep(30);
  }
}

function launch(plan: ProgramPlan, log: string): ProcessIdentity {
  mkdirSync(join(log, '..'), { recursive: true });
  // A fresh log each start: an old "ready" line must not be believed.
  if (existsSync(log)) writeFileSync(`${log}.old`, readFileSync(log));
  writeFileSync(log, '');
  const file = openSync(log, 'a');
  const [command = '', ...rest] = plan.argv;
  const child = spawn(command, rest, {
    detached: true,
    stdio: ['ignore', file, file],
    env: programEnvironment(),
  });
  closeSync(file);
  child.unref();
  child.on('error', (error) => writeFileSync(log, `${error.message}\n`));
  const identity = child.pid === undefined ? undefined : identify(child.pid);
  if (identity === undefined) throw new Error(`${plan.name} cannot be started: ${plan.argv.join(' ')}`);
  return identity;
}

// Nothing of the caller's AWS settings or Node flags may reach a program of the cloud.
function programEnvironment(): Record<string, string> {
  const kept = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'XDG_CACHE_HOME'];
  return Object.fromEntries(
    kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}

/** The end of a program's log, for an error that must be understood without looking for it. */
function endOf(log: string): string {
  const lines = readFileSync(log, 'utf8').trimEnd().split('\n').slice(-15);
  return `The end of ${log}:\n${lines.map((line) => `  ${line}`).join('\n')}`;
}

/** Asks a program to end, and makes it after some seconds. */
export async function stopProgram(program: ProcessIdentity, milliseconds = 10_000): Promise<void> {
  const until = Date.now() + milliseconds;
  signal(program, 'SIGTERM');
  while (isAlive(program) && Date.now() < until) await sleep(20);
  signal(program, 'SIGKILL', true);
  while (isAlive(program)) await sleep(20);
}
