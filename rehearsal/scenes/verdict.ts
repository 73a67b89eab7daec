import assert from 'node:assert/strict';
import type { LoadReport } from '../load/load.ts';
import type { Job, Run } from '../runner/runner.ts';
import type { Outcome } from './scene.ts';

/** What `deploy-staging` says in its output `result`. */
export interface DeployResult {
  readonly result: string;
  readonly reason: string;
  readonly instances: readonly { instance: string; result: string; met?: boolean; wait_ms?: number }[];
}

/** The job of our reusable workflow that builds the release, or that deploys it. */
export function jobOf(run: Run, name: 'build' | 'deploy'): Job {
  const job = run.jobs.find((candidate) => candidate.name.endsWith(`/ ${name}`));
  assert.ok(job, `the run has no job "${name}":\n${run.log.slice(-4000)}`);
  return job;
}

/** Asserts how a run ended, and shows the end of its log when it ended otherwise. */
export function assertConclusion(run: Run, expected: Run['conclusion']): void {
  assert.equal(run.conclusion, expected, `the run ended as ${run.conclusion}:\n${run.log.slice(-6000)}`);
}

/** The result that the deploy job gave as its output. */
export function deployResult(run: Run): DeployResult {
  const text = jobOf(run, 'deploy').outputs['result'];
  assert.ok(text, `the deploy job gave no result:\n${run.log.slice(-4000)}`);
  return JSON.parse(text);
}

/** Asserts that every request was answered as promised, and that there were some. */
export function assertNothingLost(load: LoadReport): void {
  assert.ok(load.requests > 100, `only ${load.requests} requests were sent: that proves nothing`);
  assert.equal(load.lost, 0, `lost requests: ${JSON.stringify(load.failures.slice(0, 5))}`);
}

/** Asserts that the database holds all that the app said it had stored, and that there was some. */
export function assertAllStored(load: LoadReport, stored: readonly string[]): void {
  assert.ok(load.acknowledged.length > 0, 'nothing was acknowledged: that proves nothing');
  const held = new Set(stored);
  const missing = load.acknowledged.filter((mark) => !held.has(mark));
  assert.deepEqual(missing, [], 'acknowledged, but not in the database');
}

interface Seen {
  readonly run: Run;
  /** AWS calls of the app's CI role during the scene. */
  readonly apiCalls: number;
  readonly note: string;
  /** What the users met, where there were some. */
  readonly load?: LoadReport;
}

/** What a scene saw, as the report tells it. */
export function outcomeOf({ run, apiCalls, note, load }: Seen): Outcome {
  const { requests, lost, worstLatencyMs } = load ?? { requests: 0, lost: 0, worstLatencyMs: null };
  return { requests, lost, worstLatencyMs, apiCalls, summary: jobOf(run, 'deploy').summary, note };
}
