import { OperationError, sentenceOf } from '../../src/action/errors.ts';
import { inSeconds, phase, say, warn } from '../../src/action/log.ts';
import { type Result, resultOf, succeeded } from '../../src/action/result.ts';
import { code } from '../../src/action/summary.ts';
import { type Part, putRequest, restoreSeconds } from '../../src/backup/request.ts';
import { backUpFirst } from '../../src/backup/take.ts';
import type { ImageFacts } from '../../src/image/image.ts';
import { moveAddress } from '../../src/instance/address.ts';
import type { Listed, Place } from '../../src/instance/find.ts';
import { type LaunchedHost, launchHost, removeHost } from '../../src/instance/host-stack.ts';
import { stopInstance, tagRetired } from '../../src/instance/power.ts';
import { enrol } from '../../src/operation/enrol.ts';
import type { Held } from '../../src/operation/hold.ts';
import { conclude, type Judged } from '../../src/operation/judge.ts';
import { accountOf, partOf, type Work } from '../../src/operation/operation.ts';
import { instanceOutcome } from '../../src/operation/outcome.ts';
import { record } from '../../src/operation/record.ts';
import { sendToOne } from '../../src/operation/send-to-one.ts';
import type { Told } from '../../src/operation/summary.ts';
import { type Backup, openBackup } from '../../src/rollback/backups.ts';
import { type Move, saveMove } from '../../src/rollback/put-back.ts';
import { type Standing, stackOf } from '../../src/rollback/standing.ts';
import type { Stage } from './steps.ts';
import { undoing } from './undo.ts';

/** Seconds that backing up the old instance may take, and taking it out of service. */
const backupSeconds = 3600;
const retireSeconds = 120;
/** What is left of an attempt that died, and what cannot be used, is removed within. */
const removeLimitMs = 15 * 60_000;

/** All that is known before anything is changed. */
export interface Scene extends Standing {
  readonly stage: Stage;
  /** Whether the old instance answers: then its last writes come along. */
  readonly answers: boolean;
  readonly image: ImageFacts;
  readonly place: Place;
  /** What is brought onto the new instance where the old one does not answer. */
  readonly backup: Backup | undefined;
}

/** What the work under the lease has. */
interface Going {
  readonly scene: Scene;
  readonly held: Held;
  /** Seconds of its parts, for the plans to come. */
  readonly took: Record<string, number>;
  readonly leave: (more: Partial<Move>) => void;
}

async function timed<Value>(
  { scene, took }: Going,
  name: string,
  title: string,
  work: () => Promise<Value>,
): Promise<Value> {
  const { services } = scene.stage;
  const started = services.now();
  try {
    return await phase(title, work);
  } finally {
    took[name] = Math.round((services.now() - started) / 100) / 10;
  }
}

/** Launches the new instance, brings the data onto it, and leads users there. What fails on the way is put back. */
export async function moveOver(scene: Scene, held: Held): Promise<Judged> {
  const { stage, old, answers } = scene;
  const { services, plan } = stage;
  const { operation } = plan;
  await phase('Remove what earlier attempts left', () => removeEarlier(stage));
  let move = beginMove(scene);
  const leave = (more: Partial<Move>): void => {
    move = { ...move, ...more };
    saveMove(move);
  };
  const going: Going = { scene, held, took: {}, leave };
  const { host, told, backup } = await undoing(
    stage,
    held,
    () => move,
    async () => {
      const host = await timed(going, 'launch', 'Launch', () => launch(going));
      await timed(going, 'enrol', 'Enrol', () => enrolAsleep(going, host));
      const backup = answers && old ? await takeOver(going, old) : await goWithout(going);
      const told = await timed(going, 'restore', 'Restore', () => restoreOn(going, host, backup));
      await timed(going, 'address', 'Move the address', () =>
        moveAddress(services.clients.ec2, move.address, host.instance, () => held.confirm()),
      );
      return { host, told, backup };
    },
  );
  // From here on the new one stays.
  saveMove(undefined);
  tellTimes(going);
  const left = old && (await phase('Keep the old one stopped', () => layAside(stage, old, held)));
  const work: Work = {
    ...{ services, operation, instances: [host.instance], checks: [] },
    release: { id: backup.manifest.release, commit: backup.manifest.commit },
  };
  const judged = concludeMove(scene, host, told, backup, left);
  await phase('Record', () => record(work, judged, stage.job, stage.report, going.took));
  return judged;
}

function beginMove({ stage, old, address }: Scene): Move {
  const { operation, service, workers } = stage.plan;
  const { listen, user, notify, switch: manner } = service;
  return {
    ...{ account: accountOf(operation), stack: stackOf(operation), address: address.id },
    ...{ instance: '', old: old?.id ?? '', was: 'untouched' },
    enrolment: {
      ...{ service: { listen, user, notify, switch: manner }, workers: [...workers] },
      ...(operation.backups !== undefined && { backups: operation.backups }),
    },
  };
}

/** An earlier attempt of this run that died may have left an instance that never served anybody. */
async function removeEarlier({ services, plan }: Stage): Promise<void> {
  for (let attempt = plan.operation.attempt - 1; attempt > 0; attempt -= 1) {
    const stack = stackOf({ ...plan.operation, attempt });
    const why = await removeHost(services, stack, removeLimitMs);
    if (why === undefined) say(`the stack ${stack} is gone, if it was there`);
    else {
      throw new OperationError({
        reason: 'cannot-move',
        happened: `The stack ${stack}, which attempt ${attempt} left, is not gone: ${why}`,
        stateNow: 'Nothing else was changed.',
        todo: `Remove it: aws cloudformation delete-stack --stack-name ${stack}; then run this job again.`,
      });
    }
  }
}

async function launch({ scene, held, leave }: Going): Promise<LaunchedHost> {
  const { stage, image, place } = scene;
  const { services, plan } = stage;
  const { app, environment, id, region, bucket, roleArn } = plan.operation;
  const host = await launchHost(services, {
    ...{ stack: stackOf(plan.operation), template: 'production-host', bucket, region },
    ...{ builder: `${app}-${environment}-image-builder`, ...(roleArn !== undefined && { roleArn }) },
    parameters: {
      ...{ App: app, Environment: environment, Operation: id, Image: image.id },
      ...{ RootDevice: image.root.device, RootSize: String(image.root.sizeGiB) },
      ...{ InstanceType: place.type, Subnet: place.subnet, Groups: place.groups.join(',') },
    },
    tags: { App: app, Environment: environment, Operation: id },
    signal: held.signal,
    onAsk: () => leave({}),
  });
  leave({ instance: host.instance });
  stage.report.facts.push(['New instance', code(host.instance)]);
  return host;
}

const lone = ({ scene, held }: Going, instance: string) => {
  const { services, plan } = scene.stage;
  const { operation } = plan;
  return { services, operation, instance, environment: operation.environment, signal: held.signal };
};

async function enrolAsleep(going: Going, { instance }: LaunchedHost): Promise<void> {
  const { service, workers, operation } = going.scene.stage.plan;
  const { sentence } = await enrol(lone(going, instance), {
    ...{ id: `${operation.id}-enrol`, service, workers, wake: 'no' },
    ...(operation.backups !== undefined && { backups: operation.backups }),
  });
  say(`${instance}  ${sentence}`);
}

/** The old one answers: it is closed, and its last writes come along. */
async function takeOver(going: Going, old: Listed): Promise<Backup> {
  const { scene, held, leave } = going;
  const { services, plan, job, excerpts, backups } = scene.stage;
  const { operation, delivery } = plan;
  const part = partOf(operation, { name: 'retire', action: 'retire', document: 'retire' });
  held.requireTime();
  leave({ was: 'retired' });
  held.leave({ operation: part, instances: [old.id] });
  await timed(going, 'retire', 'Take the old instance out of service', async () => {
    const told = await sendToOne(lone(going, old.id), {
      ...{ document: 'retire', id: part.id, timeout: retireSeconds, checks: [] },
      parameters: { fence: String(held.fence) },
    });
    say(`${old.id}  ${told.sentence}`);
    if (!succeeded(told)) throw halted(told, 'It could not be taken out of service');
  });
  held.leave({ operation, instances: [old.id] });
  return timed(going, 'backup', 'Back up what is there', async () => {
    const work: Work = { services, operation, instances: [old.id], checks: [] };
    const { instances } = await backUpFirst(work, { excerpts, delivery, timeout: backupSeconds }, job, held);
    const [told] = instances;
    if (!told || !succeeded(told) || told.manifest === undefined)
      throw halted(told ?? { instance: old.id, sentence: '' }, 'Its last backup could not be taken');
    scene.stage.report.facts.push(['Last backup', code(told.manifest)]);
    const time = services.bucket.now();
    return openBackup(backups, { key: told.manifest, time, proven: false }, operation);
  });
}

/** What a host did not do; where that is the old one, there is a way without it. */
function halted(
  { instance, sentence }: Pick<Told, 'instance' | 'sentence'>,
  what: string,
  todo = `Mend what the sentence names; then run this job again. Where it cannot be mended, stop the instance (aws ec2 stop-instances --instance-ids ${instance}), and run this job again with confirm: true: then the newest proven backup is taken.`,
): OperationError {
  return new OperationError({
    ...{ reason: 'not-moved', outcome: 'failed', instance, stateNow: '', todo },
    happened: `${what}: ${sentenceOf(sentence)}`,
  });
}

/** The old one does not answer: whatever it does, it must do no more when the new one begins (attack 28). */
async function goWithout(going: Going): Promise<Backup> {
  const { scene, held, leave } = going;
  const { stage, old, backup } = scene;
  if (!backup) throw new Error('Bug: there is no backup of an instance that does not answer.');
  if (old && old.state !== 'stopped') {
    held.requireTime();
    leave({ was: 'stopped' });
    await timed(going, 'stop', 'Stop the old instance', () => stopInstance(waiting(stage, held), old.id));
  }
  return backup;
}

const waiting = ({ services }: Stage, { signal }: Pick<Held, 'signal'>) => ({
  ...{ ec2: services.clients.ec2, sleep: services.sleep, now: services.now, signal },
});

/** The backup comes with its code: what the image held of the app is not live there. */
async function restoreOn(
  going: Going,
  { instance }: LaunchedHost,
  { key, manifest, stored }: Backup,
): Promise<Told> {
  const { scene, held } = going;
  const { services, backups, plan, excerpts } = scene.stage;
  const { operation, service } = plan;
  const parts: Part[] = ['databases', 'files', 'code'];
  await putRequest(services, operation, { bucket: backups.name, key, manifest, stored, parts });
  held.requireTime();
  held.leave({ operation, instances: [instance] });
  const told = await sendToOne(lone(going, instance), {
    ...{ document: 'restore', id: operation.id, timeout: restoreSeconds(manifest, service), checks: [] },
    parameters: { fence: String(held.fence), excerpts, mode: 'restore' },
  });
  say(`${instance}  ${told.result} (${told.reason}): ${told.sentence}`);
  if (!succeeded(told)) throw halted(told, 'The backup could not be brought onto it', told.todo);
  return told;
}

function tellTimes({ scene, took }: Going): void {
  const names = Object.entries(took).map(([name, seconds]) => `${name} ${inSeconds(seconds * 1000)}`);
  const total = Object.values(took).reduce((sum, seconds) => sum + seconds, 0);
  say(`it took ${inSeconds(total * 1000)}: ${names.join(', ')}`);
  const away = ['retire', 'backup', 'restore', 'address'].reduce((sum, name) => sum + (took[name] ?? 0), 0);
  scene.stage.report.facts.push(['It took', `${inSeconds(total * 1000)}: ${names.join(', ')}`]);
  if (scene.answers) scene.stage.report.facts.push(['Nobody was served', `for ${inSeconds(away * 1000)}`]);
}

/** Keeps the old instance, stopped and found by nobody. Gives why not, where it could not be. */
async function layAside(stage: Stage, old: Listed, held: Held): Promise<string | undefined> {
  const { ec2 } = stage.services.clients;
  try {
    // Before all else: an operation that finds two would do its work on both.
    await tagRetired(ec2, old.id);
    if (old.state !== 'stopped') await stopInstance(waiting(stage, held), old.id);
    return undefined;
  } catch (error) {
    warn(`${old.id}: ${sentenceOf(error)}`);
    return sentenceOf(error);
  }
}

function concludeMove(
  { stage, image, old, address }: Scene,
  { instance }: LaunchedHost,
  restored: Told,
  { manifest }: Backup,
  left: string | undefined,
): Judged {
  const { app, environment } = stage.plan.operation;
  const copied = new Date(manifest.copied).toISOString().slice(0, 19);
  const on = `${instance} is ${environment} now, launched from ${image.id}, with the data of ${copied}Z, and healthy; ${address.address} leads to it.`;
  const result = withOld({ app, on, old, left });
  const told: Told = {
    ...instanceOutcome(instance, result, false),
    release: restored.release,
    more: restored.more,
  };
  return conclude([told], app, stage.report);
}

interface Ending {
  readonly app: string;
  readonly on: string;
  readonly old: Listed | undefined;
  readonly left: string | undefined;
}

function withOld({ app, on, old, left }: Ending): Result {
  if (!old) return resultOf({ outcome: 'done', reason: 'moved', sentence: on, app });
  if (left === undefined)
    return resultOf({ outcome: 'done', reason: 'moved', sentence: `${on} ${old.id} is kept stopped.`, app });
  const todo = `aws ec2 create-tags --resources ${old.id} --tags Key=Environment,Value=retired; aws ec2 stop-instances --instance-ids ${old.id}`;
  const sentence = `${on} But ${old.id} could not be laid aside, so two instances have its tags: ${left} Do it by hand, before anything else: ${todo}`;
  return resultOf({ outcome: 'failed', reason: 'former-left', sentence, app });
}

interface Moved extends Standing {
  readonly stage: Stage;
  readonly moved: Listed;
}

/** An earlier attempt of this run moved the address, and died: what is left is to lay the old one aside, and to record it. */
export async function finish({ stage, moved, old, address }: Moved, held: Held): Promise<Judged> {
  const { services, plan, job, report } = stage;
  const { operation } = plan;
  const left = old && (await phase('Keep the old one stopped', () => layAside(stage, old, held)));
  const on = `An earlier attempt of this run has done it: ${address.address} leads to ${moved.id}.`;
  const result = withOld({ app: operation.app, on, old, left });
  const told: Told = { ...instanceOutcome(moved.id, result, false), more: undefined };
  const judged = conclude([told], operation.app, report);
  const work: Work = { services, operation, instances: [moved.id], checks: [] };
  await phase('Record', () => record(work, judged, job, report));
  return judged;
}
