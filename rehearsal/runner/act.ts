import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { childrenOf, identify, isAlive, killNow, type ProcessIdentity, signal } from '../ground/process.ts';

/** What GitHub gives a cancelled action to end after each signal, in milliseconds. */
const PATIENCE = { SIGINT: 7_500, SIGTERM: 2_500, SIGKILL: 1_000 } as const;

/** How act is called for one run. */
export interface ActCall {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** While this file exists, an action that ended is not reported to act. */
  readonly holding: string;
  readonly onLine: (line: string) => void;
  readonly signal?: AbortSignal;
}

function descendantsOf(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)]);
}

function identities(pids: readonly number[]): ProcessIdentity[] {
  return pids.map(identify).filter((found) => found !== undefined);
}

async function awaitEnd(processes: readonly ProcessIdentity[], limit: number): Promise<boolean> {
  for (let waited = 0; waited < limit; waited += 50) {
    if (!processes.some(isAlive)) return true;
    await sleep(50);
  }
  return !processes.some(isAlive);
}

/** The shells that started the actions now at work (see `layPrograms`). */
function shellsOf(act: number, holding: string): number[] {
  const shell = join(dirname(holding), 'node');
  return childrenOf(act).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').includes(shell);
    } catch {
      return false;
    }
  });
}

/**
 * Cancels as GitHub does: SIGINT to the action, 7.5 s later SIGTERM, 2.5 s later SIGKILL, then the post steps.
 * act itself knows SIGKILL alone, so it is told last; a `run:` step gets no more than that.
 */
async function cancel(act: number, holding: string): Promise<void> {
  writeFileSync(holding, '');
  const shells = shellsOf(act, holding);
  const actions = identities(shells.flatMap(descendantsOf));
  for (const name of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
    for (const action of actions) signal(action, name);
    if (await awaitEnd(actions, PATIENCE[name])) break;
  }
  const held = identities(shells);
  process.kill(act, 'SIGINT');
  await awaitEnd(held, PATIENCE.SIGKILL);
  rmSync(holding, { force: true });
}

/**
 * Ends every process of a run, whatever session it made for itself.
 * @param cache act's own cache folder: in the environment of each of its processes, and of no other.
 */
export function endAll(cache: string): void {
  const mark = `XDG_CACHE_HOME=${cache}\0`;
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      if (readFileSync(`/proc/${entry}/environ`, 'latin1').includes(mark)) killNow(Number(entry));
    } catch {
      // It ended meanwhile, or belongs to somebody else.
    }
  }
}

/** Runs act to its end, which is after the post steps of a cancelled run. */
export async function runAct(call: ActCall): Promise<{ code: number | null }> {
  const act = spawn(call.program, [...call.args], {
    env: { ...call.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let cancelling: Promise<void> | undefined;
  const onAbort = () => {
    if (act.pid !== undefined) cancelling = cancel(act.pid, call.holding);
  };
  call.signal?.addEventListener('abort', onAbort, { once: true });
  for (const stream of [act.stdout, act.stderr]) createInterface(stream).on('line', call.onLine);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      act.once('error', reject);
      act.once('close', resolve);
      if (call.signal?.aborted) onAbort();
    });
    return { code };
  } finally {
    call.signal?.removeEventListener('abort', onAbort);
    await cancelling;
  }
}
