import { OperationError } from '../../src/action/errors.ts';
import { phase, say, warn } from '../../src/action/log.ts';
import { writeOutputs } from '../../src/action/outputs.ts';
import type { Reason } from '../../src/action/reasons.ts';
import { type Result, resultOf, succeeded } from '../../src/action/result.ts';
import { code, escapeMarkdown } from '../../src/action/summary.ts';
import { type Manifest, parseManifest, totalsOf } from '../../src/backup/manifest.ts';
import { type Part, putRequest, restoreSeconds } from '../../src/backup/request.ts';
import { backUpFirst } from '../../src/backup/take.ts';
import { type HostState, toHostResult } from '../../src/command/result-line.ts';
import { findTargets } from '../../src/instance/find.ts';
import { readUsual } from '../../src/ledger/usual.ts';
import { probe } from '../../src/operation/command.ts';
import { readFleet } from '../../src/operation/fleet.ts';
import type { Held } from '../../src/operation/hold.ts';
import { type Judged, judge } from '../../src/operation/judge.ts';
import { readLive } from '../../src/operation/live.ts';
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
} from '../../src/rollback/backups.ts';
import { describeLoss, describeRows, sameSchemas } from '../../src/rollback/loss.ts';
import { type PlannedStep, stepLines, stepTable } from '../../src/rollback/steps.ts';
import { declaration } from './declaration.ts';
import type { Stage } from './steps.ts';

/** Seconds that backing up what is there may take. */
const backupSeconds = 3600;

/** So many backups are listed for one who chooses. */
const listedMost = 8;

/** Finds the backup that was asked for, and sees that it is whole. */
export async function chooseBackup({ plan, services, backups, report }: Stage): Promise<Backup> {
  const { operation, wish } = plan;
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

/** The host whose data goes back. */
export interface Found {
  readonly instance: string;
  readonly state: HostState | undefined;
}

/** An earlier attempt of this run has done it already. */
export interface Ended extends Found {
  readonly ended: Result;
}

/** Asks what is live where the data is to go back, and whether an earlier attempt of this run has done it. */
export async function findHost(stage: Stage, chosen: Backup, signal: AbortSignal): Promise<Found | Ended> {
  const { services, plan, report } = stage;
  const { operation } = plan;
  const targets = await findTargets(services.clients, operation.app, operation.environment);
  const target =
    targets.length === 1 ? targets[0] : targets.find(({ id }) => id === chosen.manifest.instance);
  if (!target)
    throw ofAnother(
      targets.map(({ id }) => id),
      chosen.manifest,
    );
  const instance = target.id;
  const earlier = Array.from({ length: operation.attempt - 1 }, (_, index) => operation.attempt - 1 - index);
  const states = await probe(services, operation, [instance], { ask: 'kept' }, signal);
  readFleet([target], states, operation.app, 0);
  readLive(states, operation.app);
  report.facts.push(['Instance', code(instance)]);
  const state = states.get(instance);
  for (const attempt of earlier) {
    const id = operation.id.replace(/-\d+-(?=rollback-)/, `-${attempt}-`);
    const told = toHostResult(
      (await probe(services, operation, [instance], { about: id }, signal)).get(instance)?.about?.result,
    );
    if (told?.result !== 'done') continue;
    const sentence = `Attempt ${attempt} of this run has done it already. ${told.sentence ?? ''}`.trim();
    return { instance, state, ended: resultOf({ outcome: 'unchanged', reason: 'already-ended', sentence }) };
  }
  return { instance, state };
}

function ofAnother(instances: readonly string[], { instance }: Manifest): OperationError {
  return new OperationError({
    reason: 'no-backup',
    happened: `The backup is of ${instance}, and ${instances.join(', ')} have data of their own.`,
    stateNow: 'Nothing was changed.',
    todo: 'Name a backup of one of them by its key; the plan (plan: true) lists them.',
  });
}

/** Tells what going back loses, as far as it is known before anything is done. */
export function tellLoss({ services, report }: Stage, { manifest }: Backup, { state }: Found): void {
  const loss = describeLoss({ manifest, now: services.bucket.now(), rows: state?.rows ?? undefined });
  say(loss);
  report.facts.push(['Lost', escapeMarkdown(loss)]);
}

/** Tells each step, and changes nothing. */
export async function tellPlanOfData(stage: Stage, { key }: Backup, { instance }: Found): Promise<Result> {
  const { services, plan, report } = stage;
  const { app, environment } = plan.operation;
  const usual = await readUsual(services.bucket, app, environment);
  const step = (...names: string[]): number | undefined => {
    const known = names.flatMap((name) => usual('rollback-data', name) ?? []);
    return known.length === 0 ? undefined : known.reduce((sum, seconds) => sum + seconds, 0);
  };
  const steps: PlannedStep[] = [
    { what: `take the lease of ${environment}` },
    { what: `back up what is there on ${instance}, and confirm it in the bucket`, usual: usual('backup') },
    {
      what: `fetch and prove ${key} there, while ${app} serves`,
      usual: step('fetch', 'integrity', 'content'),
    },
    { what: `copy what is there on the instance, too`, usual: step('ready', 'copy') },
    { what: `stop ${app} and exchange the data; users wait from here on`, usual: step('stop', 'exchange') },
    {
      what: `start ${app}, and ask every check; what is not healthy is put back`,
      usual: step('start', 'check', 'settle'),
    },
    { what: 'record it in the ledger, and give the lease back' },
  ];
  for (const line of stepLines(steps)) say(line);
  report.account = stepTable(steps);
  return resultOf({ outcome: 'unchanged', reason: 'planned' });
}

/** Backs up what is there, and puts the backup in its place. */
export async function restoreData(stage: Stage, chosen: Backup, found: Found, held: Held): Promise<Judged> {
  const { services, plan, job, report, excerpts } = stage;
  const { operation, delivery } = plan;
  const { key, manifest, stored } = chosen;
  const work: Work = { services, operation, instances: [found.instance], checks: [] };
  const saving = await phase('Back up what is there', () => saveWhatIsThere(stage, work, held));
  if ('stopped' in saving) {
    await record(work, saving.stopped, job, report);
    return saving.stopped;
  }
  const parts = partsOf(manifest, saving.manifest, found.state?.live ?? '');
  if (saving.manifest) noteRows(stage, saving.manifest, manifest);
  const bringsCode = parts.includes('code');
  if (bringsCode)
    report.facts.push(['Release', `${code(manifest.release.slice(0, 12))}, which comes with its data`]);
  const outcomes = await phase(`Restore ${parts.join(', ')}`, async () => {
    await putRequest(services, operation, { bucket: plan.backups, key, manifest, stored, parts });
    const parameters = { fence: String(held.fence), excerpts, mode: 'restore' };
    return sendToFleet(work, { parameters, delivery, timeout: restoreSeconds(manifest, plan.service) }, held);
  });
  const judged = await phase('Judge', () => judge(work, outcomes, report, held.signal));
  const release = { id: manifest.release, commit: manifest.commit };
  await phase('Record', () => record({ ...work, ...(bringsCode && { release }) }, judged, job, report));
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
 * What of the backup is restored. Its code comes along where the live release may not run on its data: then only the two
 * together are known to have run.
 */
function partsOf(then: Manifest, now: Manifest | undefined, live: string): Part[] {
  const fits =
    live === then.release.slice(0, 12) || (live !== '' && now !== undefined && sameSchemas(now, then));
  return fits ? ['databases', 'files'] : ['databases', 'files', 'code'];
}

function noteRows({ services, report }: Stage, now: Manifest, then: Manifest): void {
  const loss = describeLoss({ manifest: then, now: services.bucket.now(), rows: totalsOf(now).rows });
  say(loss);
  report.facts = report.facts.filter(([name]) => name !== 'Lost');
  report.facts.push(['Lost', escapeMarkdown(loss)]);
  const rows = describeRows(now, then);
  if (rows !== '') report.account = rows;
}
