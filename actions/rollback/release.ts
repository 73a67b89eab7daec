import { OperationError } from '../../src/action/errors.ts';
import { phase, say } from '../../src/action/log.ts';
import { writeOutputs } from '../../src/action/outputs.ts';
import { explain } from '../../src/action/reasons.ts';
import { resultOf } from '../../src/action/result.ts';
import { code } from '../../src/action/summary.ts';
import type { Bucket } from '../../src/aws/bucket.ts';
import { findTargets } from '../../src/instance/find.ts';
import { type Told as Entry, readLedger } from '../../src/ledger/read.ts';
import { type Usual, usualIn } from '../../src/ledger/usual.ts';
import type { Held } from '../../src/operation/hold.ts';
import { type Judged, judge } from '../../src/operation/judge.ts';
import type { Operation, Work } from '../../src/operation/operation.ts';
import { record } from '../../src/operation/record.ts';
import { sendToFleet } from '../../src/operation/send.ts';
import { type Backup, findBackupOf, listCandidates, openBackup } from '../../src/rollback/backups.ts';
import { describeLoss } from '../../src/rollback/loss.ts';
import {
  chooseEarlier,
  type Earlier,
  leftBehind,
  listEarlier,
  noSuchRelease,
  type ReleaseWish,
} from '../../src/rollback/releases.ts';
import { type PlannedStep, sumOf } from '../../src/rollback/steps.ts';
import { hostOf, restore, stepsOfData, tellLoss } from './data.ts';
import { declaration } from './declaration.ts';
import { type Asked, afterEarlier, askHosts, type End, type Way } from './hosts.ts';
import { type Stage, tellSteps } from './steps.ts';

/** Finds the way back to an earlier release. */
export async function wayToRelease(stage: Stage, wish: ReleaseWish, signal: AbortSignal): Promise<Way | End> {
  const { services, plan } = stage;
  const { app, environment, rollout } = plan.operation;
  const targets = await phase('Find the instances', () =>
    findTargets(services.clients, app, environment, rollout.errors),
  );
  const asked = await phase('Ask the instances', () => askHosts(stage, targets, signal));
  const done = plan.dry ? undefined : await afterEarlier(stage, asked.states, signal);
  if (done) return done;
  const entries = await readLedger(services.bucket, app, environment);
  const chosen = await phase('Choose the release', () => chooseRelease(stage, wish, asked, entries));
  if ([...asked.states.values()].every(({ digest }) => digest === chosen.release))
    return { ended: resultOf({ outcome: 'unchanged', reason: 'already-live' }) };
  const way = { stage, chosen, asked, entries };
  return plan.data === 'restore' ? wayWithData(way) : wayByTheSwitch(way);
}

async function chooseRelease(
  { services, plan, report }: Stage,
  wish: ReleaseWish,
  { states }: Asked,
  entries: readonly Entry[],
): Promise<Earlier> {
  const { bucket } = services;
  const earlier = listEarlier(states, leftBehind(entries, states));
  for (const one of earlier) say(describeEarlier(one));
  const chosen = chooseEarlier(earlier, wish) ?? (await findStored(bucket, plan.operation, wish, entries));
  if (!chosen) throw noSuchRelease(wish, bucket.name);
  const { release, deployed } = chosen;
  say(`chosen      ${release}`);
  report.known['release'] = release;
  const where = deployed === undefined ? 'which is fetched again' : 'which the hosts keep';
  report.facts.unshift(['Back to', `release ${code(release.slice(0, 12))}, ${where}`]);
  writeOutputs(declaration.outputs, { release });
  return chosen;
}

function describeEarlier({ release, commit, deployed = 0, fits, left }: Earlier): string {
  const when = new Date(deployed).toISOString().slice(0, 19);
  const data = fits ? 'fits the data' : 'ran on another schema';
  return `${release.slice(0, 12)}  commit ${commit.slice(0, 12)}  live last ${when}Z  ${data}${left ? '  gone back from' : ''}`;
}

/** A release that no host keeps any more, as it was stored. */
async function findStored(
  bucket: Bucket,
  { app, environment }: Operation,
  wish: ReleaseWish,
  entries: readonly Entry[],
): Promise<Earlier | undefined> {
  if (!('digits' in wish)) return undefined;
  const [stored] = await bucket.list(`releases/${app}/${environment}/${wish.digits}`);
  const release = /([0-9a-f]{64})\.tar\.gz$/.exec(stored?.key ?? '')?.[1];
  if (release === undefined) return undefined;
  return { release, commit: entries.find((one) => one.release === release)?.commit ?? '', left: false };
}

interface Going {
  readonly stage: Stage;
  readonly chosen: Earlier;
  readonly asked: Asked;
  readonly entries: readonly Entry[];
}

const releaseOf = ({ release, commit }: Earlier) => ({ id: release, commit });

/** The same switch as a deploy's, and nothing beside it. */
async function wayByTheSwitch(going: Going): Promise<Way | End> {
  const { stage, chosen, asked, entries } = going;
  const { operation, data, dry } = stage.plan;
  if (data === 'same' && chosen.fits === false) throw await dataChanged(going);
  if (dry) return { ended: tellSteps(stage, stepsOfSwitch(chosen, operation, usualIn(entries))) };
  const instances = [...asked.states.keys(), ...asked.absent.map(({ instance }) => instance)];
  return { instances, release: releaseOf(chosen), go: (held) => goBack(going, instances, held) };
}

function stepsOfSwitch(
  { release, deployed, fits }: Earlier,
  { app, environment }: Operation,
  usual: Usual,
): PlannedStep[] {
  const step = (...names: string[]) => sumOf(usual, 'rollback-release', names);
  const fetched = deployed === undefined;
  return [
    { what: `take the lease of ${environment}` },
    ...(fetched
      ? [
          {
            what: `fetch release ${release.slice(0, 12)} and lay it`,
            usual: step('download', 'unpack', 'prepare'),
          },
        ]
      : []),
    ...(fits === undefined
      ? [{ what: 'see whether the data has the schema that it ran on last; refused where not' }]
      : []),
    {
      what: `let the releases of ${app} change places; users wait from here on`,
      usual: step('hold', 'switch'),
    },
    { what: 'ask every check; what is not healthy is put back', usual: step('check', 'current', 'watch') },
    { what: 'record it in the ledger, and give the lease back' },
  ];
}

async function goBack(
  { stage, chosen, asked }: Going,
  instances: readonly string[],
  held: Held,
): Promise<Judged> {
  const { services, plan, excerpts, job, report } = stage;
  const { operation, data, delivery, timeout } = plan;
  // What the earlier release promises to answer its host knows, and asks.
  const work: Work = { services, operation, instances, release: releaseOf(chosen), checks: [] };
  const parameters = { release: chosen.release, fence: String(held.fence), excerpts, data };
  const order = { parameters, delivery, timeout, present: [...asked.states.keys()] };
  const outcomes = await phase('Go back', () => sendToFleet(work, order, held));
  const told = [...outcomes, ...asked.absent];
  const judged = await phase('Judge', () => judge(work, told, report, held.signal));
  await phase('Record', () => record(work, judged, job, report));
  return judged;
}

/** The release and the newest backup of its data together. */
async function wayWithData({ stage, chosen, asked, entries }: Going): Promise<Way | End> {
  const { plan, backups } = stage;
  const { operation } = plan;
  const [[instance, state] = ['', undefined], ...others] = asked.states;
  if (others.length > 0 || asked.absent.length > 0) throw severalHaveData();
  const backup = await backupOf(stage, chosen);
  if (!backup) throw noBackupOf(chosen, backups.name);
  const host = hostOf(instance, state);
  tellLoss(stage, backup, host.rows);
  const { app, environment } = operation;
  if (plan.dry)
    return {
      ended: tellSteps(stage, stepsOfData({ app, environment, instance, key: backup.key }, usualIn(entries))),
    };
  writeOutputs(declaration.outputs, { backup: backup.key });
  return {
    ...{ instances: [instance], release: releaseOf(chosen) },
    go: (held) => restore(stage, backup, host, held, 'always'),
  };
}

async function backupOf({ plan, backups }: Stage, { release }: Earlier): Promise<Backup | undefined> {
  const { app, environment } = plan.operation;
  const candidates = await listCandidates(backups, app, environment);
  const found = await findBackupOf(backups, candidates, release);
  return found && openBackup(backups, found, plan.operation);
}

/** It says what `data: restore` would lose. */
async function dataChanged({ stage, chosen, asked }: Going): Promise<OperationError> {
  const backup = await backupOf(stage, chosen).catch(() => undefined);
  const [state] = asked.states.values();
  const now = stage.services.bucket.now();
  const restoring = backup
    ? `By data: restore ${backup.key} would come along. ${describeLoss({ ...backup, now, rows: state?.rows ?? undefined })}`
    : `No backup of it is there, so data: restore cannot be asked for.`;
  return new OperationError({
    reason: 'data-changed',
    happened: `The schema of the data is another one since release ${chosen.release.slice(0, 12)} ran on it. ${restoring}`,
    stateNow: 'Nothing was changed.',
    todo: explain('data-changed', stage.plan.operation.app).todo,
  });
}

function severalHaveData(): OperationError {
  return new OperationError({
    reason: 'no-backup',
    happened: 'There are several instances, with data of their own each.',
    stateNow: 'Nothing was changed.',
    todo: 'Take the data of each back by what: data, with the key of its backup; then the release by data: same.',
  });
}

function noBackupOf({ release }: Earlier, bucket: string): OperationError {
  return new OperationError({
    reason: 'no-backup',
    happened: `No backup in ${bucket} is of release ${release.slice(0, 12)}.`,
    stateNow: 'Nothing was changed.',
    todo: 'Where the release can read the data as it is, ask for data: keep; or take the data back by what: data.',
  });
}
