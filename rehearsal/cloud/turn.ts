import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { runFolder } from '../ground/places.ts';

/**
 * Does something to a cloud while nobody else does: one start or stop at a time, whichever process asks. The lock is
 * the kernel's (flock), held by a child that ends with us, so none is left behind by a crash.
 */
export async function inTurn<T>(cloud: string, work: () => Promise<T>): Promise<T> {
  const file = `${runFolder(cloud)}.lock`;
  mkdirSync(dirname(file), { recursive: true });
  const holder = spawn('flock', [file, 'sh', '-c', 'echo held; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(holder, 'exit');
  try {
    await Promise.race([
      once(holder.stdout, 'data'),
      ended.then(() => Promise.reject(new Error(`${file} cannot be locked`))),
    ]);
    return await work();
  } finally {
    holder.stdin.end();
    await ended;
  }
}
