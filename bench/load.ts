import { setTimeout as sleep } from 'node:timers/promises';
import type { Cloud } from '../rehearsal/cloud/cloud.ts';
import { gather } from '../rehearsal/load/crowd.ts';
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
  const crowd = await gather(cloud, { url, asks: asked, rate });
  try {
    await sleep(calmMs);
    const begun = Date.now();
    await work();
    await sleep(afterMs);
    return metOf(await crowd.leave(), begun);
  } finally {
    // Nobody waits for what it would still report.
    await crowd.end();
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
