import { DeleteSnapshotCommand, DeregisterImageCommand } from '@aws-sdk/client-ec2';
import { isNamed } from '../aws/errors.ts';
import type { ImageFacts, ImageServices } from './image.ts';

type Ec2 = Pick<ImageServices, 'clients'>;

/** Removes an image and its snapshots, but for those that another image stands on. Gone already is as well. */
export async function removeImage(services: Ec2, { id, snapshots }: ImageFacts): Promise<void> {
  await ignoring('InvalidAMIID.NotFound', 'InvalidAMIID.Unavailable')(deregister(services, id));
  // Those that the call skipped, and those of an image that was gone: one that is in use stays.
  for (const snapshot of snapshots) {
    await ignoring('InvalidSnapshot.NotFound', 'InvalidSnapshot.InUse')(removeSnapshot(services, snapshot));
  }
}

async function deregister({ clients }: Ec2, ImageId: string, DryRun = false): Promise<void> {
  const request = { ImageId, DeleteAssociatedSnapshots: true, DryRun };
  await clients.ec2.send(new DeregisterImageCommand(request));
}

async function removeSnapshot({ clients }: Ec2, SnapshotId: string, DryRun = false): Promise<void> {
  await clients.ec2.send(new DeleteSnapshotCommand({ SnapshotId, DryRun }));
}

function ignoring(...names: readonly string[]): (work: Promise<void>) => Promise<void> {
  return (work) =>
    work.catch((error: unknown) => {
      if (!isNamed(error, ...names)) throw error;
    });
}
