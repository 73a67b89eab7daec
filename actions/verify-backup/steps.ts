import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CancelledError, messageOf } from '../../src/action/errors.ts';
import type { Job } from '../../src/action/job.ts';
import { inSpan, say, warn } from '../../src/action/log.ts';
import { writeOutputs } from '../../src/action/outputs.ts';
import type { Result } from '../../src/action/result.ts';
import { resultOfError } from '../../src/action/run.ts';
import { state } from '../../src/action/state.ts';
import { code, escapeMarkdown } from '../../src/action/summary.ts';
import type { Bucket } from '../../src/aws/bucket.ts';
import { tellFailedCall } from '../../src/aws/errors.ts';
import type { Config } from '../../src/config/config.ts';
import { describeDrill, toReceipt } from '../../src/drill/account.ts';
import type { Drilled, Ground, Unpack } from '../../src/drill/climb.ts';
import { restoreOnHost } from '../../src/drill/host.ts';
import { type News, tellIssues } from '../../src/drill/issues.ts';
import { reached, restores } from '../../src/drill/ladder.ts';
import { withDrillHost } from '../../src/drill/launch.ts';
import { keepProven } from '../../src/drill/proven.ts';
import { type DrillReceipt, readDrills, writeDrill } from '../../src/drill/receipt.ts';
import { unpackHere } from '../../src/drill/runner.ts';
import type { DrillVerdict } from '../../src/drill/verdict.ts';
import { type GitHub, readExcerpts } from '../../src/github/github.ts';
import type { Issues } from '../../src/github/issues.ts';
import type { Services } from '../../src/operation/operation.ts';
import type { Report } from '../../src/operation/report.ts';
import type { Told } from '../../src/operation/summary.ts';
import { declaration } from './declaration.ts';
import { describePlan, type Plan } from './plan.ts';

/** Prints the plan before anything is done, and notes it for the summary. */
export function tellPlan(plan: Plan, report: Report): void {
  for (const line of describePlan(plan)) say(line);
  const { operation, backups, level, where } = plan;
  report.title = `Drill of ${operation.app} in ${operation.environment}`;
  report.known = {
    ...{ app: operation.app, environment: operation.environment, operation: operation.id },
    ...{ bucket: backups },
  };
  report.facts = [
    ['Bucket', code(backups)],
    ['Up to level', String(level)],
    ['Operation', code(operation.id)],
  ];
  if (level > 1 && where === 'runner') {
    warn(
      `where: runner brings the data of ${operation.app} in ${operation.environment}, personal data too, to the machine of this job, until the drill ends.`,
    );
  }
}

interface Workplace {
  readonly services: Services;
  readonly bucket: Bucket;
  readonly plan: Plan;
  readonly config: Config;
  readonly github: Pick<GitHub, 'isPublic'>;
  readonly report: Report;
  readonly signal: AbortSignal;
}

/** Proves on the ground that was asked for, of which nothing stays. */
export function onGround<Value>(place: Workplace, prove: (ground: Ground) => Promise<Value>): Promise<Value> {
  return place.plan.image === ''
    ? inScratch((folder) => prove(groundOf(place, unpackHere({ ...place, folder }))))
    : onDrillHost(place, prove);
}

async function onDrillHost<Value>(
  place: Workplace,
  prove: (ground: Ground) => Promise<Value>,
): Promise<Value> {
  const { services, bucket, plan, config, report, signal } = place;
  const { operation, backups, image, limitMs } = plan;
  // That GitHub does not tell whether others may read them keeps nobody from a proof.
  const excerpts = await readExcerpts('auto', place.github).catch(() => 'off' as const);
  const onTold = (told: Told): void => {
    if (report.instances.length === 0) report.instances = [told];
  };
  const stage = { services, operation, backups: bucket, config, limitMs, excerpts, signal, onTold };
  return withDrillHost({ services, operation, backups, image, signal }, (launch) =>
    prove(groundOf(place, restoreOnHost({ ...stage, launch }))),
  );
}

function groundOf({ bucket, plan, signal }: Workplace, unpack: Unpack): Ground {
  const { operation, level, promiseMs, staleMs, accept } = plan;
  const { app, environment, repository, run } = operation;
  const seed = `${repository} ${run}`;
  return { bucket, app, environment, asked: level, promiseMs, staleMs, accept, unpack, signal, seed };
}

/** Works with a folder that is gone afterwards; post sees to it where this job is cut off. */
async function inScratch<Value>(work: (folder: string) => Promise<Value>): Promise<Value> {
  const folder = await mkdtemp(join(process.env['RUNNER_TEMP'] || tmpdir(), 'understudy-drill-'));
  state.scratch.save(folder);
  try {
    return await work(join(folder, 'backup'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export async function removeScratch(): Promise<void> {
  const folder = state.scratch.read();
  if (folder !== '') await rm(folder, { recursive: true, force: true });
}

/** Keeps what is proven, writes the receipt, and shows it beside those before it. The verdict stands without them. */
export async function record(
  bucket: Bucket,
  drilled: Drilled,
  { conclusion }: DrillVerdict,
  { operation, level, where }: Plan,
  { runUrl }: Job,
  report: Report,
): Promise<void> {
  const { app, environment, id } = operation;
  const { newest, restorable } = drilled;
  const about = { app, environment, operation: id, run: runUrl, where, verdict: conclusion };
  const receipt = toReceipt(drilled, { ...about, asked: level, now: bucket.now() });
  noteFacts(receipt, report);
  let key: string | undefined;
  let history: readonly DrillReceipt[] = [receipt];
  try {
    if (restorable?.manifest && level >= restores) {
      say(`proven: ${await keepProven(bucket, restorable.key, restorable.manifest)}`);
    }
    key = await writeDrill(bucket, receipt);
    say(`receipt: ${key}`);
    history = await readDrills(bucket, operation);
  } catch (error) {
    warn(`What was proven could not be kept, so others will not know of it: ${messageOf(error)}`);
  }
  report.account = describeDrill(drilled, history);
  writeOutputs(declaration.outputs, {
    ...{ level: String(newest ? reached(newest) : -1), backup: newest?.key },
    ...{ restorable: restorable?.key, receipt: key },
  });
}

function noteFacts({ rpo, rto, backup, where, level }: DrillReceipt, report: Report): void {
  if (backup) report.facts.push(['Newest backup', code(backup)]);
  if (rpo) report.facts.push(['Its data is of', escapeMarkdown(`${inSpan(rpo.ms)} ago (RPO)`)]);
  const [what, far] =
    where === 'drill-host' && level.reached >= 7
      ? ['It was back after', 'RTO']
      : ['The levels took', 'RTO, as far as they go'];
  report.facts.push([what, escapeMarkdown(`${inSpan(rto.ms)} (${far})`)]);
}

type Subject = Pick<News, 'app' | 'environment' | 'runUrl'>;

/** Tells by issues how a drill ended, also where it could not begin; but not that somebody cancelled it. */
export async function tellingIssues(
  issues: Issues,
  subject: Subject,
  story: () => Promise<DrillVerdict>,
): Promise<Result> {
  let verdict: DrillVerdict;
  try {
    verdict = await story();
  } catch (error) {
    if (error instanceof CancelledError) throw error;
    const result = resultOfError(tellFailedCall(error));
    await tell(issues, subject, { conclusion: 'drill-could-not-run', level: -1, result });
    throw error;
  }
  await tell(issues, subject, verdict);
  return verdict.result;
}

async function tell(
  issues: Issues,
  subject: Subject,
  { conclusion, level, result }: DrillVerdict,
): Promise<void> {
  const { sentence, todo } = result;
  try {
    await tellIssues(issues, { ...subject, conclusion, level, sentence, todo });
  } catch (error) {
    warn(
      `GitHub did not take the issue of this drill: ${messageOf(error)}. Its job needs the permission issues: write, and the calling workflow must grant it too.`,
    );
  }
}
