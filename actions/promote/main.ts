import { readInputs } from '../../src/action/inputs.ts';
import { readJob, refusePullRequests } from '../../src/action/job.ts';
import { phase } from '../../src/action/log.ts';
import type { Result } from '../../src/action/result.ts';
import { reviewBackups } from '../../src/backup/review.ts';
import { openConfig } from '../../src/config/parse.ts';
import { holdingLease } from '../../src/operation/hold.ts';
import { lookAfterLeftover } from '../../src/operation/leftover.ts';
import { recordingRefusals } from '../../src/operation/record.ts';
import { concluding, type Report } from '../../src/operation/report.ts';
import { passGates } from '../../src/promotion/gates.ts';
import { declaration } from './declaration.ts';
import { planPromotion } from './plan.ts';
import {
  backUp,
  deploy,
  findPromoted,
  lookAgain,
  makeImage,
  record,
  recordPromoted,
  storeHere,
  watch,
} from './steps.ts';
import { tellCandidate, tellPlan, tellSteps } from './telling.ts';
import { inScratch, openWorkplace } from './workplace.ts';

/** Promotes the release of a tag, and says what became of it. */
export function main(signal: AbortSignal): Promise<Result> {
  return concluding('Promotion', (report) => promote(report, signal));
}

/** Looks after what main left, unless it ended well. */
export function post(): Promise<void> {
  return lookAfterLeftover(async (services, operation, told) =>
    operation.action === 'backup' ? reviewBackups(services, operation, told) : told,
  );
}

async function promote(report: Report, signal: AbortSignal): Promise<Result> {
  const inputs = readInputs(declaration.inputs);
  const job = readJob();
  refusePullRequests(job);
  const config = await phase('Read understudy.yml', () => openConfig(inputs.config));
  const plan = planPromotion(inputs, job, config);
  tellPlan(plan, report);

  return inScratch(async (archive) => {
    const place = await openWorkplace(inputs, { plan, job, archive, report, signal });
    const { goal, planned } = place.ground;
    const candidate = await recordingRefusals(
      { ...goal, job, signal, planned, started: report.started },
      () => passGates(place.ground, (seen) => place.evidence.push(seen)),
    );
    tellCandidate(place, candidate);
    if (plan.planned) return tellSteps(place, candidate);
    const { release, checks, known, state } = candidate;
    const work = { ...place.ground.goal, instances: state.instances, checks, release };
    const { result } = await holdingLease({ ...work, ...place }, async (held) => {
      const stage = { ...place, work, held, known };
      const { live, there } = await phase('Look once more', () => lookAgain(stage));
      const promoted = there && (await findPromoted(stage));
      if (promoted) {
        await phase('Record', () => recordPromoted(stage, promoted));
        return { result: promoted, open: false };
      }
      const judged = there ?? (await bring({ ...stage, live }));
      const watched = await watch({ ...stage, live }, judged);
      await phase('Record', () => record(stage, watched));
      return watched;
    });
    return result;
  });
}

/** Backs up, makes an image, copies the release, and deploys it; what fails before the deploy ends it there. */
async function bring(stage: Parameters<typeof deploy>[0]): ReturnType<typeof deploy> {
  const failed = await phase('Back up', () => backUp(stage));
  if (failed) return failed;
  await phase('Make an image', () => makeImage(stage));
  await phase('Copy the release', () => storeHere(stage));
  return deploy(stage);
}
