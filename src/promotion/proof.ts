import { inSpan } from '../action/log.ts';
import { type DrillReceipt, readDrills } from '../drill/receipt.ts';
import { type Ground, type Passed, shut } from './gate.ts';

/** From this level on a drill has read every row of a backup, and found what one expects. */
const leastLevel = 5;

/** Sees that a drill proved, not long ago, that a backup of the goal restores; unless there is nothing yet to back up. */
export async function requireProof(
  { goal, backups, proofMs }: Ground,
  live: readonly unknown[],
): Promise<Passed<void>> {
  const { app, environment } = goal.operation;
  if (live.length === 0)
    return { value: undefined, evidence: 'nothing is live there yet, so nothing could be lost' };
  const place = { app, environment };
  const newest = await readDrills(backups, place, 1);
  const drills = newest.some(tells) ? newest : await readDrills(backups, place);
  const problem = proofProblem(drills, backups.now(), proofMs);
  if (problem) {
    throw shut({
      reason: 'no-proof',
      happened: `That a backup of ${app} in ${environment} restores is not proven: ${problem}.`,
      todo: `Run the workflow verify-backup for ${environment}, to level ${leastLevel} or further; when it is green, run this again.`,
    });
  }
  const proof = drills.findLast(tells);
  return { value: undefined, evidence: `${proof?.backup ?? ''} restores: seen at ${proof?.drilled ?? ''}` };
}

type Drill = Pick<DrillReceipt, 'drilled' | 'verdict' | 'level' | 'backup'>;

/** One that could not run, or did not go far, says nothing about backups. */
const tells = ({ verdict, level }: Pick<Drill, 'verdict' | 'level'>): boolean =>
  verdict !== 'drill-could-not-run' && (verdict !== 'verified' || level.reached >= leastLevel);

/** What is wrong with the newest drill that tells, in half a sentence; undefined when nothing is. */
export function proofProblem(drills: readonly Drill[], now: number, proofMs: number): string | undefined {
  const newest = drills.findLast(tells);
  if (!newest) return `no drill has brought one to level ${leastLevel} yet`;
  const { verdict, drilled } = newest;
  if (verdict === 'backup-bad') return `the newest drill, at ${drilled}, found it bad`;
  if (verdict === 'control-passed') return `the newest drill, at ${drilled}, did not refuse a damaged copy`;
  const age = now - Date.parse(drilled);
  if (age < -60_000) return `its newest proof is of ${drilled}, which is still to come`;
  if (age <= proofMs) return undefined;
  return `the newest proof is ${inSpan(age)} old, where understudy.yml wants one each ${inSpan(proofMs)} (proof)`;
}
