import { CreateImageCommand, EnableImageDeprecationCommand } from '@aws-sdk/client-ec2';
import { OperationError } from '../action/errors.ts';
import { say } from '../action/log.ts';
import { isNamed } from '../aws/errors.ts';
import { placeOf } from '../instance/find.ts';
import { findImage, type ImageFacts, type ImageServices, isOf, isUsable, mark, toFacts } from './image.ts';
import { placeTags } from './place.ts';
import { removeImage } from './remove.ts';

/** An image as it is to be made. */
export interface ImageOrder {
  readonly app: string;
  readonly environment: string;
  readonly instance: string;
  /** The same for the same wish, such as that of `nameImage`: CreateImage has no client token. */
  readonly name: string;
  readonly operation: string;
  /** Whether EC2 may shut the instance down meanwhile; otherwise the disk is as after a power cut. */
  readonly reboot: boolean;
  readonly extraTags: Readonly<Record<string, string>>;
}

/** From these an image comes no further: it only holds its name. */
const dead = ['failed', 'error', 'invalid'];

/**
 * Begins to make the image of an instance, or finds it by its name: a lost answer, or another attempt, makes no second.
 *
 * @throws OperationError image-failed where the name belongs to another image
 */
export async function ensureImage(services: ImageServices, order: ImageOrder): Promise<ImageFacts> {
  const there = await findOwn(services, order);
  if (there) {
    say(`${there.id} is there already, by the name ${order.name}: ${there.state}`);
    return there;
  }
  try {
    const made = await create(services, order);
    say(`${made.id} is asked for, by the name ${order.name}`);
    return made;
  } catch (error) {
    // The first answer was lost, and the SDK asked again.
    const found = isNamed(error, 'InvalidAMIName.Duplicate') ? await findOwn(services, order) : undefined;
    if (!found) throw error;
    say(`${found.id} was made by a call whose answer was lost, by the name ${order.name}`);
    return found;
  }
}

async function create({ clients, bucket }: ImageServices, order: ImageOrder): Promise<ImageFacts> {
  const { app, environment, instance, name, operation, reboot, extraTags } = order;
  const tags = {
    ...{ Name: name, App: app, Environment: environment, Operation: operation, Instance: instance },
    ...{ ...placeTags(await placeOf(clients.ec2, instance)), ...extraTags, [mark.key]: mark.value },
  };
  const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
  const { ImageId = '' } = await clients.ec2.send(
    new CreateImageCommand({
      ...{ InstanceId: instance, Name: name, NoReboot: !reboot },
      Description: `Understudy: ${app} in ${environment}, by ${operation}`,
      TagSpecifications: [
        { ResourceType: 'image', Tags },
        { ResourceType: 'snapshot', Tags },
      ],
    }),
  );
  const CreationDate = new Date(bucket.now()).toISOString();
  return toFacts({ ImageId, Name: name, State: 'pending', CreationDate, Tags });
}

/** The image of the name, if it is what was ordered; what came to nothing is removed, for it keeps its name from another. */
async function findOwn(services: ImageServices, order: ImageOrder): Promise<ImageFacts | undefined> {
  const found = await findImage(services, 'name', order.name);
  if (!found) return undefined;
  if (!isOf(found, order)) throw taken(found, order, 'bears tags of something else');
  if (found.instance !== order.instance)
    throw taken(found, order, `was made of ${found.instance || 'no known instance'}`);
  if (isUsable(found)) return found;
  if (!dead.includes(found.state)) throw taken(found, order, `is ${found.state}`);
  say(`${found.id} of that name is ${found.state}: it is removed, and made anew`);
  await removeImage(services, found);
  return undefined;
}

function taken({ id }: ImageFacts, { name, instance }: ImageOrder, why: string): OperationError {
  return new OperationError({
    ...{ reason: 'image-failed', instance, stateNow: 'No image was made.' },
    happened: `The name ${name} belongs to ${id}, which ${why}.`,
    todo: `See what ${id} is: aws ec2 describe-images --image-ids ${id}; deregister it, or run a new job, whose image has another name.`,
  });
}

/** From this time on, in ms since the epoch, EC2 calls the image deprecated; it can be launched all the same. */
export async function deprecateAt(
  { clients }: Pick<ImageServices, 'clients'>,
  { id, deprecated }: ImageFacts,
  time: number,
): Promise<void> {
  if (deprecated !== undefined) return;
  const DeprecateAt = new Date(time);
  await clients.ec2.send(new EnableImageDeprecationCommand({ ImageId: id, DeprecateAt }));
}
