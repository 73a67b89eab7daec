import { OperationError } from '../../src/action/errors.ts';
import { phase, say } from '../../src/action/log.ts';
import type { Result } from '../../src/action/result.ts';
import { code } from '../../src/action/summary.ts';
import { chooseImage } from '../../src/image/choose.ts';
import { isOf } from '../../src/image/image.ts';
import { placeIn } from '../../src/image/place.ts';
import { listAddresses } from '../../src/instance/address.ts';
import { type Listed, listInstances, readAgent } from '../../src/instance/find.ts';
import { readUsual, type Usual } from '../../src/ledger/usual.ts';
import { probe } from '../../src/operation/command.ts';
import type { Backup } from '../../src/rollback/backups.ts';
import { describeLoss } from '../../src/rollback/loss.ts';
import { readStanding, type Standing } from '../../src/rollback/standing.ts';
import type { PlannedStep } from '../../src/rollback/steps.ts';
import { chooseBackup, tellLoss } from './data.ts';
import type { End, Way } from './hosts.ts';
import { finish, moveOver, type Scene } from './move.ts';
import { type Stage, tellSteps } from './steps.ts';

/** No root disk of an image is too large for its own instance. */
const anyDisk = 16_384;

/** Finds the way onto a new instance, launched from an image. */
export async function wayToImage(stage: Stage, image: string, signal: AbortSignal): Promise<Way | End> {
  const { plan, report } = stage;
  const { standing, answers } = await phase('Look at what is there', () => survey(stage, signal));
  const { moved, old } = standing;
  if (moved && !plan.dry)
    return { instances: [moved.id], go: (held) => finish({ stage, ...standing, moved }, held) };
  const chosen = await phase('Choose the image', () => findImageOf(stage, image));
  report.facts.unshift([
    'Image',
    `${code(chosen.image.id)} ${chosen.image.golden ? '(golden)' : '(not golden)'}`,
  ]);
  const backup = answers
    ? undefined
    : await phase('Choose the backup', () => chooseBackup(stage, { ageMs: 0 }));
  if (backup?.manifest.code === null) throw withoutCode(backup);
  if (backup) tellLoss(stage, backup, undefined);
  const scene: Scene = { stage, ...standing, ...chosen, answers, backup };
  if (plan.dry) return { ended: await tellPlan(scene) };
  if (backup && !plan.confirmed) throw unconfirmed(scene, backup);
  return { instances: old && answers ? [old.id] : [], go: (held) => moveOver(scene, held) };
}

interface Surveyed {
  readonly standing: Standing;
  readonly answers: boolean;
}

async function survey(stage: Stage, signal: AbortSignal): Promise<Surveyed> {
  const { services, plan, report } = stage;
  const { ec2, ssm } = services.clients;
  const { app, environment } = plan.operation;
  const [listed, addresses] = await Promise.all([
    listInstances(ec2, app, environment, ['pending', 'running', 'stopping', 'stopped']),
    listAddresses(ec2, app, environment),
  ]);
  const standing = readStanding(listed, addresses, plan.operation);
  const { old, address } = standing;
  const answers =
    old?.state === 'running' && (await readAgent(ssm, old.id)).online && (await hears(stage, old, signal));
  const told = old
    ? `${old.id} is ${old.state}, and ${answers ? 'answers' : 'does not answer'}`
    : 'the old instance is gone';
  say(told);
  say(`${address.address} leads to ${address.instance || 'nobody'}`);
  report.facts.push([
    'Old instance',
    old ? `${code(old.id)}, ${old.state}, ${answers ? 'answers' : 'does not answer'}` : 'gone',
  ]);
  report.facts.push(['Address', code(address.address)]);
  return { standing, answers };
}

async function hears({ services, plan }: Stage, old: Listed, signal: AbortSignal): Promise<boolean> {
  return (await probe(services, plan.operation, [old.id], {}, signal)).has(old.id);
}

async function findImageOf(
  { services, plan }: Stage,
  wished: string,
): Promise<Pick<Scene, 'image' | 'place'>> {
  const { app, environment } = plan.operation;
  const image = await chooseImage(services, { app, from: environment, image: wished, disk: anyDisk });
  const place = placeIn(image);
  const problem = isOf(image, plan.operation)
    ? 'does not tell by its tags InstanceType, Subnet and Groups where its instance ran'
    : `is not tagged as an image of ${app} in ${environment}`;
  if (!place || !isOf(image, plan.operation)) {
    throw new OperationError({
      reason: 'not-launchable',
      happened: `${image.id} ${problem}.`,
      stateNow: 'Nothing was changed.',
      todo: `Name an image of ${environment} that create-ami or a promotion made, or give it these tags: aws ec2 create-tags --resources ${image.id} --tags Key=InstanceType,Value=… Key=Subnet,Value=… Key=Groups,Value="sg-… sg-…".`,
    });
  }
  say(
    `${image.id} (${image.name}) of ${new Date(image.created).toISOString()}, release ${image.release || 'unknown'}`,
  );
  return { image, place };
}

/** What the image holds of the app is older than the data. */
function withoutCode({ key }: Backup): OperationError {
  return new OperationError({
    reason: 'no-backup',
    happened: `${key} holds no code: no release was live when it was made.`,
    stateNow: 'Nothing was changed.',
    todo: 'Launch an instance from the image, and restore by hand: docs/restore.md.',
  });
}

function unconfirmed({ stage, old }: Scene, { key, manifest }: Backup): OperationError {
  const loss = describeLoss({ manifest, now: stage.services.bucket.now(), rows: undefined });
  const who = old ? `${old.id} (${old.state}) does not answer` : 'The old instance is gone';
  return new OperationError({
    reason: 'loss-unconfirmed',
    happened: `${who}, so ${key} would be brought onto the new one. ${loss}`,
    stateNow: 'Nothing was changed.',
    todo: old
      ? `Where that may be lost, run this job again with confirm: true. Otherwise bring ${old.id} back until it answers (its agent, its network), and its last writes come along.`
      : 'Where that may be lost, run this job again with confirm: true.',
  });
}

/** Tells each step, and changes nothing. */
async function tellPlan(scene: Scene): Promise<Result> {
  const { services, plan } = scene.stage;
  const { app, environment } = plan.operation;
  return tellSteps(scene.stage, stepsOfImage(scene, await readUsual(services.bucket, app, environment)));
}

function stepsOfImage(
  { stage, image, place, answers, backup, old, address }: Scene,
  usual: Usual,
): PlannedStep[] {
  const { app, environment } = stage.plan.operation;
  const took = (step: string): number | undefined => usual('rollback-image', step);
  const outOfService: PlannedStep[] = [
    {
      what: `close the port of ${old?.id ?? ''}; users wait or are refused from here on`,
      usual: took('retire'),
    },
    { what: 'back up what is there, now that nobody writes', usual: usual('backup') },
  ];
  const off = { what: `stop ${old?.id ?? ''}, and wait until it is stopped`, usual: took('stop') };
  return [
    { what: `take the lease of ${environment}` },
    { what: `launch a ${place.type} from ${image.id}, in ${place.subnet}`, usual: took('launch') },
    { what: `make it a host of ${environment}; nothing of ${app} starts on it yet`, usual: took('enrol') },
    ...(answers ? outOfService : old ? [off] : []),
    {
      what: `restore ${backup?.key ?? 'that backup'} on it, and ask every check`,
      usual: took('restore'),
    },
    { what: `move ${address.address} to it; users meet it from here on`, usual: took('address') },
    ...(old ? [{ what: `keep ${old.id} stopped, tagged as retired` }] : []),
    { what: 'record it in the ledger, and give the lease back' },
  ];
}
