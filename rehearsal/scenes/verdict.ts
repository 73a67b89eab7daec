import assert from 'node:assert/strict';
import type { LoadReport } from '../load/load.ts';
import type { Job, Run } from '../runner/runner.ts';
import type { Outcome } from './scene.ts';

/** What an action says in its output `result`. */
export interface ActionResult {
  readonly result: string;
  readonly reason: string;
  readonly sentence: string;
  readonly instances: readonly {
    readonly instance: string;
    readonly result: string;
    readonly reason: string;
    readonly sentence: string;
    readonly met?: boolean;
    readonly wait_ms?: number;
    readonly down_ms?: number;
    /** The key of the manifest of a backup. */
    readonly manifest?: string;
  }[];
}

/** A job of one of our reusable workflows. */
export function jobOf(
  run: Run,
  name: 'build' | 'deploy' | 'backup' | 'drill' | 'image' | 'launch' | 'rollback' | 'promote',
): Job {
  const job = run.jobs.find((candidate) => candidate.name.endsWith(`/ ${name}`));
  assert.ok(job, `the run has no job "${name}":\n${run.log.slice(-4000)}`);
  return job;
}

/** Asserts how a run ended, and shows the end of its log when it ended otherwise. */
export function assertConclusion(run: Run, expected: Run['conclusion']): void {
  assert.equal(run.conclusion, expected, `the run ended as ${run.conclusion}:\n${run.log.slice(-20_000)}`);
}

/** The result that the deploy job gave as its output. */
export function deployResult(run: Run): ActionResult {
  return resultOf(run, 'deploy');
}

/** The result that a job gave as its output. */
export function resultOf(
  run: Run,
  name: 'deploy' | 'backup' | 'drill' | 'image' | 'launch' | 'rollback' | 'promote',
): ActionResult {
  const text = jobOf(run, name).outputs['result'];
  assert.ok(text, `the job ${name} gave no result:\n${run.log.slice(-4000)}`);
  return JSON.parse(text);
}

/** Asserts that every request was answered as promised, and that there were some. */
export function assertNothingLost(load: LoadReport): void {
  assert.ok(load.requests > 100, `only ${load.requests} requests were sent: that proves nothing`);
  assert.equal(load.lost, 0, `lost requests: ${JSON.stringify(load.failures.slice(0, 5))}`);
}

/** Asserts that the database holds all that the app said it had stored, and that there was some. */
export function assertAllStored(acknowledged: readonly string[], stored: readonly string[]): void {
  assert.ok(acknowledged.length > 0, 'nothing was acknowledged: that proves nothing');
  const held = new Set(stored);
  const missing = acknowledged.filter((mark) => !held.has(mark));
  assert.deepEqual(missing, [], 'acknowledged, but not in the database');
}

/** A deploy that a scene played, and what its users met, where there were some. */
export interface Played {
  readonly run: Run;
  readonly load?: LoadReport;
}

interface Seen extends Played {
  /** AWS calls of the app's CI role during the scene. */
  readonly apiCalls: number;
  readonly note: string;
}

/** What a scene saw, as the report tells it. */
export function outcomeOf({ apiCalls, note, ...played }: Seen): Outcome {
  return outcomeOfSeveral([played], apiCalls, note);
}

/** What a scene of several deploys saw. */
export function outcomeOfSeveral(played: readonly Played[], apiCalls: number, note: string): Outcome {
  return {
    ...metBy(played.flatMap(({ load }) => load ?? [])),
    apiCalls,
    summary: played.map(({ run }) => jobOf(run, 'deploy').summary).join('\n'),
    note,
  };
}

/** What all the users of a scene met. */
export function metBy(loads: readonly LoadReport[]): Pick<Outcome, 'requests' | 'lost' | 'worstLatencyMs'> {
  return {
    requests: loads.reduce((sum, { requests }) => sum + requests, 0),
    lost: loads.reduce((sum, { lost }) => sum + lost, 0),
    worstLatencyMs:
      loads.length === 0 ? null : Math.max(...loads.map(({ worstLatencyMs }) => worstLatencyMs)),
  };
}
