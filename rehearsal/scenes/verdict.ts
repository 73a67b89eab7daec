import assert from 'node:assert/strict';
import type { Run } from '../runner/runner.ts';
import type { LoadReport } from './staging.ts';

/** What `deploy-staging` says in its output `result`. */
export interface DeployResult {
  readonly result: string;
  readonly reason: string;
  readonly instances: readonly { instance: string; result: string; met?: boolean; wait_ms?: number }[];
}

/** The job of a run that deployed. */
export function deployJob(run: Run): Run['jobs'][number] {
  const job = run.jobs.find((candidate) => candidate.name.toLowerCase().includes('deploy'));
  assert.ok(job, `the run has no deploy job:\n${run.log.slice(-4000)}`);
  return job;
}

/** Asserts how a run ended, and shows the end of its log when it ended otherwise. */
export function assertConclusion(run: Run, expected: Run['conclusion']): void {
  assert.equal(run.conclusion, expected, `the run ended as ${run.conclusion}:\n${run.log.slice(-6000)}`);
}

/** The result that the deploy job gave as its output. */
export function deployResult(run: Run): DeployResult {
  const text = deployJob(run).outputs['result'];
  assert.ok(text, `the deploy job gave no result:\n${run.log.slice(-4000)}`);
  return JSON.parse(text);
}

/** Asserts that every request was answered as promised, and that there were some. */
export function assertNothingLost(load: LoadReport): void {
  assert.ok(load.requests > 100, `only ${load.requests} requests were sent: that proves nothing`);
  assert.equal(load.lost, 0, `lost requests: ${JSON.stringify(load.failures.slice(0, 5))}`);
}
