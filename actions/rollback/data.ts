import { OperationError } from '../../src/action/errors.ts';
import { phase, say, warn } from '../../src/action/log.ts';
import { writeOutputs } from '../../src/action/outputs.ts';
import type { Reason } from '../../src/action/reasons.ts';
import { type Result, resultOf, succeeded } from '../../src/action/result.ts';
import { code, escapeMarkdown } from '../../src/action/summary.ts';
import { type Manifest, parseManifest, totalsOf } from '../../src/backup/manifest.ts';
import { type Part, putRequest, restoreSeconds } from '../../src/backup/request.ts';
import { backUpFirst } from '../../src/backup/take.ts';
import type { HostState } from '../../src/command/result-line.ts';
import { findTargets } from '../../src/instance/find.ts';
import { readUsual, type Usual } from '../../src/ledger/usual.ts';
import type { Held } from '../../src/operation/hold.ts';
import { type Judged, judge } from '../../src/operation/judge.ts';
import type { Work } from '../../src/operation/operation.ts';
import { record } from '../../src/operation/record.ts';
import { sendToFleet } from '../../src/operation/send.ts';
import {
  type Backup,
  type Candidate,
  choose,
  listCandidates,
  noSuchBackup,
  openBackup,
  remarkOn,
  type Wish,
} from '../../src/rollback/backups.ts';
import { describeLoss, describeRows, sameSchemas } from '../../src/rollback/loss.ts';
import { type PlannedStep, sumOf } from '../../src/rollback/steps.ts';
import { declaration } from './declaration.ts';
import { type Asked, afterEarlier, askHosts, type End, type Way } from './hosts.ts';
import { type Stage, tellSteps } from './steps.ts';

/** Seconds that backing up what is there may take. */
const backupSeconds = 3600;

/** So many backups are listed for one who chooses. */
const listedMost = 8;

/** Finds the backup that was asked for, and sees that it is whole. */
export async function chooseBackup({ plan, services, backups, report }: Stage, wish: Wish): Promise<Backup> {
  const { operation } = plan;
  const candidates = await listCandidates(backups, operation.app, operation.environment);
  for (const line of candidates.slice(0, listedMost).map(describeCandidate)) say(line);
  const chosen = choose(candidates, wish, services.bucket.now());
  if (!chosen) throw noSuchBackup(backups.name, wish);
  const backup = await openBackup(backups, chosen, operation);
  const remark = remarkOn(chosen, candidates, wish);
  if (remark) warn(remark);
  say(`chosen      ${chosen.key}`);
  const note = remark ? ` (${escapeMarkdown(remark)})` : '';
  report.facts.unshift(['Back to', `${code(chosen.key)}${note}`]);
  writeOutputs(declaration.outputs, { backup: chosen.key });
  return backup;
}

const describeCandidate = ({ key, time, proven }: Candidate): string =>
  `${new Date(time).toISOString().slice(0, 19)}Z  ${proven ? 'proven    ' : 'not proven'}  ${key}`;

/** Finds the way back to a backup of the data. */
export async function wayToBackup(stage: Stage, wish: Wish, signal: AbortSignal): Promise<Way | End> {
  const chosen = await phase('Choose the backup', () => chooseBackup(stage, wish));
  const host = await phase('Ask the instance', () => findHost(stage, chosen.manifest, signal));
  tellLoss(stage, chosen, host.rows);
  if (stage.plan.dry) return { ended: await tellPlan(stage, chosen, host) };
  const earlier = await afterEarlier(stage, host.states, signal);
  return earlier ?? { instances: [host.instance], go: (held) => restore(stage, chosen, host, held) };
}

/** The host whose data goes back. */
export interface DataHost {
  readonly instance: string;
  /** The first 12 digits of the live release; empty when there is none. */
  readonly live: string;
  /** How many it has; undefined where it cannot tell. */
  readonly rows: number | undefined;
}

/** Several instances have data of their own each: then the backup says of which it is. */
async function findHost(
  stage: Stage,
  { instance: of }: Manifest,
  signal: AbortSignal,
): Promise<DataHost & Pick<Asked, 'states'>> {
  const { services, plan } = stage;
  const targets = await findTargets(services.clients, plan.operation.app, plan.operation.environment);
  const target = targets.length === 1 ? targets[0] : targets.find(({ id }) => id === of);
  const ids = targets.map(({ id }) => id);
  if (!target) throw ofAnother(ids, of);
  const { states } = await askHosts(stage, [target], signal);
  return { ...hostOf(target.id, states.get(target.id)), states };
}

export const hostOf = (instance: string, state: HostState | undefined): DataHost => ({
  ...{ instance, live: state?.live ?? '', rows: state?.rows ?? undefined },
});

function ofAnother(instances: readonly string[], instance: string): OperationError {
  return new OperationError({
    reason: 'no-backup',
    happened: `The backup is of ${instance}, and ${instances.join(', ')} have data of their own.`,
    stateNow: 'Nothing was changed.',
    todo: 'Name a backup of one of them by its key; the plan (plan: true) lists them.',
  });
}

/** Tells what going back loses, as far as it is known before anything is done. */
export function tellLoss({ services, report }: Stage, { manifest }: Backup, rows: number | undefined): void {
  const loss = describeLoss({ manifest, now: services.bucket.now(), rows });
  say(loss);
  report.facts.push(['Lost', escapeMarkdown(loss)]);
}

/** Tells each step, and changes nothing. */
async function tellPlan(stage: Stage, { key }: Backup, { instance }: DataHost): Promise<Result> {
  const { services, plan } = stage;
  const { app, environment } = plan.operation;
  const usual = await readUsual(services.bucket, app, environment);
  return tellSteps(stage, stepsOfData({ app, environment, instance, key }, usual));
}

interface DataPlan {
  readonly app: string;
  readonly environment: string;
  readonly instance: string;
  readonly key: string;
}

export function stepsOfData({ app, environment, instance, key }: DataPlan, usual: Usual): PlannedStep[] {
  const step = (...names: string[]): number | undefined => sumOf(usual, 'rollback-data', names);
  return [
    { what: `take the lease of ${environment}` },
    { what: `back up what is there on ${instance}, and confirm it in the bucket`, usual: usual('backup') },
    {
      what: `fetch and prove ${key} there, while ${app} serves`,
      usual: step('fetch', 'integrity', 'content'),
    },
    { what: 'copy what is there on the instance, too', usual: step('ready', 'copy') },
    { what: `stop ${app} and exchange the data; users wait from here on`, usual: step('stop', 'exchange') },
    {
      what: `start ${app}, and ask every check; what is not healthy is put back`,
      usual: step('start', 'check', 'settle'),
    },
    { what: 'record it in the ledger, and give the lease back' },
  ];
}

/** Backs up what is there, and puts the backup in its place. */
export async function restore(
  stage: Stage,
  chosen: Backup,
  host: DataHost,
  held: Held,
  withCode: 'always' | 'where it must' = 'where it must',
): Promise<Judged> {
  const { services, backups, plan, job, report, excerpts } = stage;
  const { operation, delivery } = plan;
  const { key, manifest, stored } = chosen;
  const work: Work = { services, operation, instances: [host.instance], checks: [] };
  const saving = await phase('Back up what is there', () => saveWhatIsThere(stage, work, held));
  if ('stopped' in saving) {
    await record(work, saving.stopped, job, report);
    return saving.stopped;
  }
  const alone = withCode === 'where it must' && fits(manifest, saving.manifest, host.live);
  const parts: Part[] = alone ? ['databases', 'files'] : ['databases', 'files', 'code'];
  if (saving.manifest) noteRows(stage, saving.manifest, manifest);
  if (!alone) report.facts.push(['Release', `${short(manifest)}, which comes with its data`]);
  const outcomes = await phase(`Restore ${parts.join(', ')}`, async () => {
    await putRequest(services, operation, { bucket: backups.name, key, manifest, stored, parts });
    const parameters = { fence: String(held.fence), excerpts, mode: 'restore' };
    return sendToFleet(work, { parameters, delivery, timeout: restoreSeconds(manifest, plan.service) }, held);
  });
  const judged = await phase('Judge', () => judge(work, outcomes, report, held.signal));
  const release = { id: manifest.release, commit: manifest.commit };
  await phase('Record', () => record({ ...work, ...(!alone && { release }) }, judged, job, report));
  return judged;
}

/** For these the data goes back all the same: what is there is broken, or kept by the host alone, which sets it aside whole. */
const notBackedUp: readonly Reason[] = [
  ...(['verification-failed', 'backup-precondition', 'backup-failed', 'too-long-a-hold'] as const),
  ...(['no-room', 'upload-failed', 'commit-failed'] as const),
];

type Saving = { readonly manifest: Manifest | undefined } | { readonly stopped: Judged };

async function saveWhatIsThere(
  { plan, job, excerpts, backups, report }: Stage,
  work: Work,
  held: Held,
): Promise<Saving> {
  const order = { excerpts, delivery: plan.delivery, timeout: backupSeconds };
  const judged = await backUpFirst(work, order, job, held);
  const [told] = judged.instances;
  if (told && succeeded(told) && told.manifest !== undefined) {
    writeOutputs(declaration.outputs, { saved: told.manifest });
    report.facts.push(['What was there', code(told.manifest)]);
    return { manifest: parseManifest((await backups.read(told.manifest))?.bytes.toString('utf8') ?? '') };
  }
  const { result, reason, sentence } = judged.result;
  if (!judged.open && notBackedUp.includes(reason)) {
    const kept = `What is there could not be backed up, and is set aside on the instance as it is: ${sentence}`;
    warn(kept);
    report.facts.push(['What was there', escapeMarkdown(kept)]);
    return { manifest: undefined };
  }
  const outcome = result === 'unknown' ? 'unknown' : 'refused';
  const why = `What is there could not be backed up, so nothing was changed: ${sentence}`;
  const stopped = { ...judged, result: resultOf({ outcome, reason: 'not-backed-up', sentence: why }) };
  return { stopped };
}

/**
 * Whether the live release may run on a backup's data. Where that is not known, the backup's own code comes along: of the two
 * together it is known that they ran.
 */
function fits(then: Manifest, now: Manifest | undefined, live: string): boolean {
  return live === then.release.slice(0, 12) || (live !== '' && now !== undefined && sameSchemas(now, then));
}

const short = ({ release }: Manifest): string => code(release.slice(0, 12));

function noteRows({ services, report }: Stage, now: Manifest, then: Manifest): void {
  const loss = describeLoss({ manifest: then, now: services.bucket.now(), rows: totalsOf(now).rows });
  say(loss);
  report.facts = report.facts.filter(([name]) => name !== 'Lost');
  report.facts.push(['Lost', escapeMarkdown(loss)]);
  const rows = describeRows(now, then);
  if (rows !== '') report.account = rows;
}
