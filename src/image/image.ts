import { DescribeImagesCommand, type Image, paginateDescribeImages } from '@aws-sdk/client-ec2';
import type { Services } from '../operation/operation.ts';

/** An image as EC2 and its tags tell of it. */
export interface ImageFacts {
  readonly id: string;
  readonly name: string;
  /** EC2's own word: pending, available, invalid, deregistered, transient, failed, error or disabled. */
  readonly state: string;
  /** Why it is in that state, where EC2 says so; else empty. */
  readonly why: string;
  /** ms since the epoch. */
  readonly created: number;
  /** The instance that it was made of, the release that was live there (12 digits), and the operation that made it; or empty. */
  readonly instance: string;
  readonly release: string;
  readonly operation: string;
  /** Whether an instance that was booted from it has been healthy. */
  readonly golden: boolean;
  /** When EC2 calls it deprecated, in ms since the epoch; absent where nobody has said. */
  readonly deprecated?: number;
  readonly snapshots: readonly string[];
  /** Its root disk, as an instance is launched with it. */
  readonly root: { readonly device: string; readonly sizeGiB: number };
  readonly tags: Readonly<Record<string, string>>;
}

export type ImageServices = Pick<Services, 'clients' | 'bucket' | 'sleep' | 'now'>;

/** What every image of ours, and each of its snapshots, bears beside `App` and `Environment`. */
export const mark = { key: 'Understudy', value: 'image' } as const;

/** The tag of an image from which an instance was booted that was healthy. */
export const golden = { key: 'Golden', value: 'true' } as const;

/** The name of the image that a run makes: the same in each attempt, so that a second finds what the first one made. */
export const nameImage = (app: string, environment: string, run: string): string =>
  `${app}-${environment}-${run}`;

export function toFacts(image: Image): ImageFacts {
  const tags = Object.fromEntries((image.Tags ?? []).map(({ Key = '', Value = '' }) => [Key, Value]));
  const { ImageId: id = '', Name: name = '', State: state = '', SourceInstanceId = '' } = image;
  return {
    ...{ id, name, state, tags, why: image.StateReason?.Message ?? '' },
    created: Date.parse(image.CreationDate ?? '') || 0,
    ...{ instance: tags['Instance'] ?? SourceInstanceId, release: tags['Release'] ?? '' },
    ...{ operation: tags['Operation'] ?? '', golden: tags[golden.key] === golden.value },
    ...(image.DeprecationTime && { deprecated: Date.parse(image.DeprecationTime) }),
    snapshots: (image.BlockDeviceMappings ?? []).flatMap(({ Ebs }) => Ebs?.SnapshotId ?? []),
    root: rootOf(image),
  };
}

function rootOf({ RootDeviceName: device = '', BlockDeviceMappings: disks = [] }: Image): ImageFacts['root'] {
  const sizeGiB = disks.find(({ DeviceName }) => DeviceName === device)?.Ebs?.VolumeSize ?? 0;
  return { device, sizeGiB };
}

/** What finds images and snapshots of ours, of an environment. */
export function filtersOf(app: string, environment: string): { Name: string; Values: string[] }[] {
  const tags = { App: app, Environment: environment, [mark.key]: mark.value };
  return Object.entries(tags).map(([name, value]) => ({ Name: `tag:${name}`, Values: [value] }));
}

/** Every image that was made of an environment's instances, golden or not, the newest first. */
export async function listImages(
  { clients }: Pick<ImageServices, 'clients'>,
  app: string,
  environment: string,
): Promise<ImageFacts[]> {
  const Filters = filtersOf(app, environment);
  const found: ImageFacts[] = [];
  // Those that somebody disabled have snapshots that cost as well.
  const asked = { Owners: ['self'], IncludeDisabled: true, MaxResults: 200, Filters };
  for await (const { Images = [] } of paginateDescribeImages({ client: clients.ec2 }, asked))
    found.push(...Images.map(toFacts));
  return found.sort((a, b) => b.created - a.created || b.id.localeCompare(a.id));
}

/** The image of this account that has an id or a name, or undefined. By a filter: of an id that is gone, EC2 makes an error. */
export async function findImage(
  { clients }: Pick<ImageServices, 'clients'>,
  by: 'image-id' | 'name',
  value: string,
): Promise<ImageFacts | undefined> {
  const { Images = [] } = await clients.ec2.send(
    new DescribeImagesCommand({
      ...{ Owners: ['self'], IncludeDisabled: true },
      Filters: [{ Name: by, Values: [value] }],
    }),
  );
  const [image] = Images.map(toFacts);
  return image;
}

const usable = ['pending', 'transient', 'available'];

/** Whether an image is available, or on its way there. */
export const isUsable = ({ state }: ImageFacts): boolean => usable.includes(state);

/** Whether an image is of our making, and of an environment. */
export function isOf(
  { tags }: ImageFacts,
  { app, environment }: { readonly app: string; readonly environment: string },
): boolean {
  return tags['App'] === app && tags['Environment'] === environment && tags[mark.key] === mark.value;
}
