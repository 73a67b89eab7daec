import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ask, Users } from './users.ts';

/** How hard and how long to ask; all of it bounded. */
export interface LoadPlan {
  readonly url: string;
  /** Requests a second, sent whether or not the earlier ones were answered. */
  readonly rate: number;
  /** Stops sending; requests on their way are still awaited. */
  readonly stop: AbortSignal;
  /** Most requests on their way at a time; those that would be more are not sent. */
  readonly concurrency: number;
  /** The longest that a user waits, in milliseconds. */
  readonly patience: number;
}

/** A request that was not answered as promised. */
export interface Failure {
  /** Milliseconds since the load began. */
  readonly at: number;
  readonly request: string;
  readonly problem: string;
}

/** One request: when it was sent (ms since 1970), how long its end took (ms), and 1 where it was as promised. */
export type Sample = readonly [startMs: number, latencyMs: number, ok: 0 | 1];

/** What the users met. */
export interface LoadReport {
  readonly requests: number;
  readonly lost: number;
  readonly worstLatencyMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Marks of the POSTs that the app acknowledged: its database must hold each. */
  readonly acknowledged: readonly string[];
  /** The first 50 losses. */
  readonly failures: readonly Failure[];
  readonly seconds: number;
  /** Every request, in the order in which they ended. */
  readonly samples: readonly Sample[];
}

/** Sends one request over a new connection; resolves to what is wrong with its answer, or to nothing. */
function ask(
  url: string,
  { method, path, headers, body, status, type: promised = 'application/json' }: Ask,
  patience: number,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const sent = request(
      new URL(path, url),
      {
        method,
        agent: false,
        headers: { ...headers, connection: 'close' },
        signal: AbortSignal.timeout(patience),
      },
      (response) => {
        const type = response.headers['content-type']?.split(';')[0]?.trim().toLowerCase() ?? 'none';
        response.once('error', (error) => resolve(`the answer broke off: ${error.message}`));
        response.once('end', () => {
          if (response.statusCode !== status) resolve(`status ${response.statusCode}, not ${status}`);
          else resolve(promised === '*' || type === promised ? undefined : `content type ${type}`);
        });
        response.resume();
      },
    );
    sent.once('error', (error) => {
      resolve(
        error.name === 'TimeoutError' || error.name === 'AbortError'
          ? `no answer in ${patience} ms`
          : error.message,
      );
    });
    sent.end(body);
  });
}

/** The smallest sample that `share` of all samples do not exceed; 0 where there is none. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10;
}

/** Counts what was asked and answered. */
class Tally {
  readonly #began = performance.now();
  readonly #samples: Sample[] = [];
  readonly #acknowledged: string[] = [];
  readonly #failures: Failure[] = [];
  #lost = 0;

  note(asked: Ask, sentAt: number, problem: string | undefined): void {
    const ok = problem === undefined ? 1 : 0;
    this.#samples.push([Math.round(performance.timeOrigin + sentAt), round(performance.now() - sentAt), ok]);
    if (problem === undefined) {
      if (asked.mark !== undefined) this.#acknowledged.push(asked.mark);
      return;
    }
    this.#lost += 1;
    if (this.#failures.length >= 50) return;
    const at = Math.round(sentAt - this.#began);
    this.#failures.push({ at, request: `${asked.method} ${asked.path}`, problem });
  }

  report(): LoadReport {
    const sorted = this.#samples.map(([, latencyMs]) => latencyMs).toSorted((a, b) => a - b);
    return {
      requests: sorted.length,
      lost: this.#lost,
      worstLatencyMs: sorted.at(-1) ?? 0,
      p50Ms: percentile(sorted, 0.5),
      p99Ms: percentile(sorted, 0.99),
      acknowledged: this.#acknowledged,
      failures: this.#failures,
      seconds: round((performance.now() - this.#began) / 1000),
      samples: this.#samples,
    };
  }
}

/** Does once what must be there before the load. Throws when the app does not answer as promised. */
export async function warmUp({ url, patience }: LoadPlan, users: Users): Promise<void> {
  const problem = await ask(url, users.first, patience);
  if (problem !== undefined)
    throw new Error(`${users.first.method} ${users.first.path} at ${url}: ${problem}`);
}

/** Asks at a steady rate until it is stopped, and reports once the last answer is there. */
export async function applyLoad(plan: LoadPlan, users: Users): Promise<LoadReport> {
  const tally = new Tally();
  const onTheWay = new Set<Promise<void>>();
  const began = performance.now();
  for (let number = 1; !plan.stop.aborted; number += 1) {
    const due = began + (number * 1000) / plan.rate;
    await sleep(Math.max(0, due - performance.now()), undefined, { signal: plan.stop }).catch(
      () => undefined,
    );
    if (plan.stop.aborted) break;
    if (onTheWay.size >= plan.concurrency) continue;
    const asked = users.next(number);
    const sentAt = performance.now();
    const answered = ask(plan.url, asked, plan.patience).then((problem) => {
      tally.note(asked, sentAt, problem);
      onTheWay.delete(answered);
    });
    onTheWay.add(answered);
  }
  await Promise.all(onTheWay);
  return tally.report();
}
