import { OperationError } from '../action/errors.ts';
import { findImage, type ImageFacts, type ImageServices, listImages } from './image.ts';

/** Which image an instance is to be launched from, and on how large a disk. */
interface Choice {
  readonly app: string;
  /** The environment whose images they are. */
  readonly from: string;
  /** An AMI; empty for the newest golden one. */
  readonly image: string;
  /** GiB of the root disk that it is to fill. */
  readonly disk: number;
}

/**
 * The image to launch from: the one that is named, or the newest golden one of an environment.
 *
 * @throws OperationError not-launchable where there is none that can be launched so
 */
export async function chooseImage(
  services: Pick<ImageServices, 'clients'>,
  choice: Choice,
): Promise<ImageFacts> {
  const { app, from, image } = choice;
  const found = image
    ? await findImage(services, 'image-id', image)
    : (await listImages(services, app, from)).find(({ golden, state }) => golden && state === 'available');
  const problem = found ? problemWith(found, choice) : missing(choice);
  if (found && problem === undefined) return found;
  throw new OperationError({
    reason: 'not-launchable',
    happened: problem ?? missing(choice),
    stateNow: 'Nothing was changed.',
    todo: `Make an image of ${from}, and prove it (create-ami with prove: true); or name one of ${app} by the input image.`,
  });
}

const missing = ({ app, from, image }: Choice): string =>
  image
    ? `This account has no image ${image} in this region.`
    : `No image of ${app} in ${from} is golden: none was seen to bring up a healthy instance.`;

/** Why an image cannot be launched; undefined when it can. */
export function problemWith(
  { id, state, tags, root }: Pick<ImageFacts, 'id' | 'state' | 'tags' | 'root'>,
  { app, disk }: Pick<Choice, 'app' | 'disk'>,
): string | undefined {
  if (state !== 'available') return `The image ${id} is ${state}, not available.`;
  if (tags['App'] !== app)
    return `The image ${id} is not of ${app}: its tag App says ${tags['App'] ?? 'nothing'}.`;
  if (root.device === '') return `EC2 does not tell the root disk of ${id}.`;
  if (root.sizeGiB > disk)
    return `The root disk of ${id} has ${root.sizeGiB} GiB, more than the ${disk} that were asked for.`;
  return undefined;
}
