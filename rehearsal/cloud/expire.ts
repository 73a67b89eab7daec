import { join } from 'node:path';
import { ask } from '../ground/socket.ts';
import { openCloud } from './cloud.ts';
import type { Cloud } from './handle.ts';
import { say } from './say.ts';

/**
 * The moment at which the time to live of a stack is over: its schedule does what it is for, with nothing of GitHub in
 * it. @throws Error when there is no such stack, or its schedule may not do it
 */
export async function expireStack(cloud: Cloud, stack: string): Promise<void> {
  const { status, body } = await ask(join(cloud.run, 'gateway.sock'), 'POST', `/_cloud/expire/${stack}`);
  if (status !== 200) throw new Error((body as { message: string }).message);
}

/** Expires a stack, and says so. */
export async function expireStackOf(name: string, stack: string): Promise<number> {
  await expireStack(openCloud(name), stack);
  say(`The schedule of ${stack} has fired: AWS removes what it made.`);
  return 0;
}
