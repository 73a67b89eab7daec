import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cloud, inFabric } from '../rehearsal/cloud/cloud.ts';
import { repositoryFolder } from '../rehearsal/ground/places.ts';
import type { LoadReport, Sample } from '../rehearsal/load/load.ts';
import { waitsOf } from '../rehearsal/plots/series.ts';

/** Requests a second, each on a connection of its own, sent whether or not the earlier ones were answered. */
const rate = 225;

/** What users met before something happened, and from then on. */
export interface Met {
  readonly samples: readonly Sample[];
  readonly requests: number;
  /** Requests that were sent each second before it began; later at most 2,000 wait at a time, and no more are sent. */
  readonly perSecond: number;
  readonly lost: number;
  /** The longest wait of a request that was sent after it began, in milliseconds. */
  readonly longestMs: number;
  readonly p99BeforeMs: number;
  readonly longestBeforeMs: number;
}

/** What each user asks, and is promised. */
const asked = [{ path: '/health', status: 200, type: 'application/json' }];

const calmMs = 8_000;
const afterMs = 2_000;

/** Lets users ask at a steady rate: a while before the work, throughout, and a moment after. */
export async function underLoad(cloud: Cloud, url: string, work: () => Promise<void>): Promise<Met> {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-load-'));
  const out = join(folder, 'report.json');
  const main = join(repositoryFolder, 'rehearsal/load/main.ts');
  const flags = [
    '--url',
    url,
    '--checks',
    JSON.stringify(asked),
    '--rate',
    String(rate),
    '--until-stdin-closes',
    '--out',
    out,
  ];
  const [command = '', ...words] = inFabric(cloud, [process.execPath, main, ...flags]);
  const load = spawn(command, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(load, 'exit');
  try {
    const failed = ended.then(([code]) => Promise.reject(new Error(`the users left at once, with ${code}`)));
    await Promise.race([once(createInterface(load.stdout), 'line'), failed]);
    await sleep(calmMs);
    const begun = Date.now();
    await work();
    await sleep(afterMs);
    load.stdin.end();
    await ended;
    return metOf(JSON.parse(readFileSync(out, 'utf8')) as LoadReport, begun);
  } finally {
    // Nobody waits for what it would still report.
    load.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

function metOf({ samples }: LoadReport, begun: number): Met {
  const earlier = samples.filter(([start]) => start < begun);
  const before = waitsOf(earlier);
  const first = Math.min(...earlier.map(([start]) => start));
  const since = waitsOf(samples.filter(([start]) => start >= begun));
  return {
    samples,
    requests: samples.length,
    perSecond: before.requests / ((begun - first) / 1000),
    lost: before.lost + since.lost,
    longestMs: since.longestMs,
    p99BeforeMs: before.p99Ms,
    longestBeforeMs: before.longestMs,
  };
}
