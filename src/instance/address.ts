import {
  type Address,
  AssociateAddressCommand,
  DescribeAddressesCommand,
  DisassociateAddressCommand,
  type EC2Client,
} from '@aws-sdk/client-ec2';
import { say } from '../action/log.ts';
import { isNamed } from '../aws/errors.ts';

/** An Elastic IP of an environment. */
export interface ElasticIp {
  /** Its id, eipalloc-…. */
  readonly id: string;
  readonly address: string;
  /** The instance that has it, and the id of that link; empty where none has it. */
  readonly instance: string;
  readonly association: string;
}

/** The Elastic IPs that have the tags of an app's environment. */
export async function listAddresses(ec2: EC2Client, app: string, environment: string): Promise<ElasticIp[]> {
  const { Addresses = [] } = await ec2.send(
    new DescribeAddressesCommand({
      Filters: [
        { Name: 'tag:App', Values: [app] },
        { Name: 'tag:Environment', Values: [environment] },
      ],
    }),
  );
  return Addresses.map(toElasticIp);
}

/** An Elastic IP as it is now. */
export async function readAddress(ec2: EC2Client, id: string): Promise<ElasticIp> {
  const { Addresses: [found = {}] = [] } = await ec2.send(
    new DescribeAddressesCommand({ AllocationIds: [id] }),
  );
  return toElasticIp(found);
}

function toElasticIp(one: Address): ElasticIp {
  const { AllocationId: id = '', PublicIp: address = '' } = one;
  return { id, address, instance: one.InstanceId ?? '', association: one.AssociationId ?? '' };
}

/**
 * Takes an Elastic IP from whoever has it, and gives it to an instance: in two steps, and the second takes it from nobody, so
 * that of two who move it at once one fails.
 * @param between asked after the first step, right before the second; throws where it may not be given any more
 */
export async function moveAddress(
  ec2: EC2Client,
  id: string,
  to: string,
  between: () => Promise<void>,
): Promise<void> {
  const { instance, association, address } = await readAddress(ec2, id);
  if (instance === to) return;
  if (association !== '') {
    await disassociate(ec2, association);
    say(`${address} is free; ${instance || 'nobody known'} had it`);
  }
  await between();
  await associate(ec2, id, to);
  say(`${address} leads to ${to}`);
}

/** Asked twice, as after an answer that was lost, the second finds nothing. */
async function disassociate(ec2: EC2Client, AssociationId: string): Promise<void> {
  try {
    await ec2.send(new DisassociateAddressCommand({ AssociationId }));
  } catch (error) {
    if (!isNamed(error, 'InvalidAssociationID.NotFound')) throw error;
  }
}

/** Likewise the second finds it given away: to whom we gave it, or to another. */
async function associate(ec2: EC2Client, AllocationId: string, InstanceId: string): Promise<void> {
  try {
    await ec2.send(new AssociateAddressCommand({ AllocationId, InstanceId, AllowReassociation: false }));
  } catch (error) {
    if ((await readAddress(ec2, AllocationId)).instance !== InstanceId) throw error;
  }
}
