import { spawn } from 'node:child_process';

/** What a command left: its exit code (128 + signal when it was killed) and its output. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string | Uint8Array;
  readonly env?: Record<string, string>;
  readonly cwd?: string;
}

/** Runs a command to its end, whatever its exit code; rejects only when it cannot be started. */
export function attempt(argv: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const [command, ...rest] = argv;
  if (command === undefined) throw new Error('a command needs at least one word');
  return new Promise((resolve, reject) => {
    const child = spawn(command, rest, {
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      stdio: 'pipe',
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const exit = code ?? 128 + (signal === 'SIGKILL' ? 9 : 15);
      resolve({ code: exit, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() });
    });
    // A command that ends without reading its input closes the pipe: that is its own business.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
}

/** Runs a command that must succeed, and gives its stdout. Throws with the command and its stderr. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const ended = await attempt(argv, options);
  if (ended.code !== 0) {
    throw new Error(
      `"${argv.join(' ')}" ended with ${ended.code}: ${ended.stderr.trim() || ended.stdout.trim()}`,
    );
  }
  return ended.stdout;
}
