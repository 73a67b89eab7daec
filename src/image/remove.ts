import {
  DeleteSnapshotCommand,
  DeregisterImageCommand,
  DescribeImagesCommand,
  paginateDescribeSnapshots,
} from '@aws-sdk/client-ec2';
import { sentenceOf } from '../action/errors.ts';
import { isNamed } from '../aws/errors.ts';
import { filtersOf, type ImageFacts, type ImageServices, toFacts } from './image.ts';
import type { Fate, Snapshot } from './retention.ts';

type Ec2 = Pick<ImageServices, 'clients'>;

/** Removes an image and its snapshots, but for those that another image stands on. Gone already is as well. */
export async function removeImage(services: Ec2, { id, snapshots }: ImageFacts): Promise<void> {
  const settled = await orElse([], deregister(services, id), ...goneImage);
  for (const snapshot of snapshots) {
    if (!settled.includes(snapshot))
      await orElse(undefined, removeSnapshot(services, snapshot), ...heldSnapshot);
  }
}

const goneImage = ['InvalidAMIID.NotFound', 'InvalidAMIID.Unavailable'];
const heldSnapshot = ['InvalidSnapshot.NotFound', 'InvalidSnapshot.InUse'];

/** Gives the snapshots that went with it, or that another image stands on. */
async function deregister({ clients }: Ec2, ImageId: string, DryRun = false): Promise<readonly string[]> {
  const request = { ImageId, DeleteAssociatedSnapshots: true, DryRun };
  const { DeleteSnapshotResults: results = [] } = await clients.ec2.send(new DeregisterImageCommand(request));
  const done = results.filter(({ ReturnCode: code }) => code === 'success' || code === 'skipped');
  return done.flatMap(({ SnapshotId }) => SnapshotId ?? []);
}

async function removeSnapshot({ clients }: Ec2, SnapshotId: string, DryRun = false): Promise<void> {
  await clients.ec2.send(new DeleteSnapshotCommand({ SnapshotId, DryRun }));
}

async function orElse<Value>(
  value: Value,
  work: Promise<Value>,
  ...names: readonly string[]
): Promise<Value> {
  try {
    return await work;
  } catch (error) {
    if (isNamed(error, ...names)) return value;
    throw error;
  }
}

/** Every snapshot of an environment's images that no image of the account stands on. */
export async function listLooseSnapshots(
  { clients }: Ec2,
  app: string,
  environment: string,
): Promise<Snapshot[]> {
  const Filters = filtersOf(app, environment);
  const asked = { OwnerIds: ['self'], MaxResults: 1000, Filters };
  const loose: Snapshot[] = [];
  for await (const { Snapshots = [] } of paginateDescribeSnapshots({ client: clients.ec2 }, asked)) {
    const held = await standingOn(
      clients,
      Snapshots.flatMap(({ SnapshotId }) => SnapshotId ?? []),
    );
    for (const { SnapshotId: id = '', StartTime, Tags = [] } of Snapshots) {
      const own = Object.fromEntries(Tags.map(({ Key = '', Value = '' }) => [Key, Value]));
      if (!held.has(id)) loose.push({ id, started: StartTime?.getTime() ?? 0, tags: own });
    }
  }
  return loose;
}

/** Which of them an image stands on, whosever it is. A filter takes two hundred values. */
async function standingOn({ ec2 }: ImageServices['clients'], ids: readonly string[]): Promise<Set<string>> {
  const held = new Set<string>();
  for (let at = 0; at < ids.length; at += 200) {
    const Filters = [{ Name: 'block-device-mapping.snapshot-id', Values: ids.slice(at, at + 200) }];
    const asked = { Owners: ['self'], IncludeDisabled: true, Filters };
    const { Images = [] } = await ec2.send(new DescribeImagesCommand(asked));
    for (const id of Images.flatMap((image) => toFacts(image).snapshots)) held.add(id);
  }
  return held;
}

/** What was to go, and why it did not where it did not. */
export interface Removed {
  readonly id: string;
  readonly problem?: string;
}

/**
 * Removes what is to go, one by one. All of it is tried as a dry run first: a role that may not do the half of it does
 * nothing.
 *
 * @throws OperationError access-denied of the dry run
 */
export async function removeAll(
  services: Ec2,
  fates: readonly Fate[],
  orphans: readonly Snapshot[],
): Promise<Removed[]> {
  const going = fates.filter(({ stays }) => !stays).map(({ image }) => image);
  for (const { id } of going) await tryDry(deregister(services, id, true));
  for (const { id } of orphans) await tryDry(removeSnapshot(services, id, true));
  const removed: Removed[] = [];
  for (const image of going) removed.push(await tryTo(image.id, () => removeImage(services, image)));
  for (const { id } of orphans) removed.push(await tryTo(id, () => removeSnapshot(services, id)));
  return removed;
}

/** A dry run that would have gone well is told by an error, and so is what is gone or in use by then. */
const tryDry = (work: Promise<unknown>): Promise<unknown> =>
  orElse(undefined, work, 'DryRunOperation', ...goneImage, ...heldSnapshot);

async function tryTo(id: string, work: () => Promise<void>): Promise<Removed> {
  try {
    await work();
    return { id };
  } catch (error) {
    return { id, problem: sentenceOf(error) };
  }
}
