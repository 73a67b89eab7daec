import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Cloud, inFabric } from '../cloud/cloud.ts';
import type { LoadReport } from './load.ts';
import type { Promised } from './users.ts';

/** Whom they ask, what, and how often. */
export interface Gathering {
  readonly url: string;
  /** The users of an app that the generator knows, or checks for others to ask. */
  readonly asks: string | readonly Promised[];
  /** Requests a second. */
  readonly rate: number;
}

/** Users of an app: the load generator, in the cloud's network, outside of the hosts. */
export interface Crowd {
  /** Sends them home; resolves to what they met. */
  readonly leave: () => Promise<LoadReport>;
  /** Ends them, whatever they do. To be called in the end, also after `leave`. */
  readonly end: () => Promise<void>;
}

/** Lets users come. Throws when the app does not answer the first of them. */
export async function gather(cloud: Cloud, { url, asks, rate }: Gathering): Promise<Crowd> {
  const folder = await mkdtemp(join(tmpdir(), 'understudy-load-'));
  const out = join(folder, 'report.json');
  const [command = '', ...args] = inFabric(cloud, [
    ...[process.execPath, join(import.meta.dirname, 'main.ts'), '--url', url, '--rate', String(rate)],
    ...(typeof asks === 'string' ? ['--kind', asks] : ['--checks', JSON.stringify(asks)]),
    ...['--until-stdin-closes', '--out', out],
  ]);
  // A group of its own: Ctrl-C is ours to hear, and what they met is still asked for.
  const load = spawn(command, args, { stdio: 'pipe', detached: true });
  let complaint = '';
  load.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text;
  });
  const ended = once(load, 'exit').then(([code]) => {
    if (code !== 0) throw new Error(`the load generator ended with ${code}: ${complaint}`);
  });
  // Whoever waits for it hears of it; until then it must not end the process.
  ended.catch(() => undefined);
  const end = async (): Promise<void> => {
    load.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await Promise.race([once(createInterface(load.stdout), 'line'), ended]);
  } catch (error) {
    await end();
    throw error;
  }
  return {
    leave: async () => {
      load.stdin.end();
      await ended;
      return JSON.parse(await readFile(out, 'utf8')) as LoadReport;
    },
    end,
  };
}
