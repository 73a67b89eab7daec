/** The app's users while it is tortured: the load generator, in the cloud's network, outside of the host. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Cloud, describeHost, inFabric } from '../cloud/cloud.ts';
import type { LoadReport } from '../load/load.ts';

const requestsASecond = 10;

/** Who uses the app: `shop` writes with every second request, `shop-readers` never. */
export type Kind = 'shop' | 'shop-readers';

export interface Crowd {
  /** Sends them home; resolves to what they met. */
  readonly leave: () => Promise<LoadReport>;
}

/** Lets users come to the app of an instance. Throws when it does not answer the first of them. */
export async function gather(cloud: Cloud, instanceId: string, kind: Kind): Promise<Crowd> {
  const { ip } = await describeHost(cloud, instanceId);
  const out = join(cloud.state, `load-${instanceId}.json`);
  await rm(out, { force: true });
  const [command = '', ...args] = inFabric(cloud, [
    ...[process.execPath, join(import.meta.dirname, '../load/main.ts'), '--url', `http://${ip}:8080`],
    ...['--kind', kind, '--rate', String(requestsASecond), '--until-stdin-closes', '--out', out],
  ]);
  // A group of its own: Ctrl-C is ours to hear, and what they met is still asked for.
  const load = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  let complaint = '';
  load.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text;
  });
  const ended = once(load, 'exit').then(([code]) => {
    if (code !== 0) throw new Error(`the load generator ended with ${code}: ${complaint}`);
  });
  await Promise.race([once(createInterface(load.stdout), 'line'), ended]);
  return {
    leave: async () => {
      load.stdin.end();
      await ended;
      return JSON.parse(await readFile(out, 'utf8')) as LoadReport;
    },
  };
}
