import { OperationError } from '../action/errors.ts';
import type { ElasticIp } from '../instance/address.ts';
import type { Listed } from '../instance/find.ts';
import type { Operation } from '../operation/operation.ts';

/** How an environment stands that is to come back on a new instance. */
export interface Standing {
  readonly address: ElasticIp;
  /** The instance that it has been up to now; undefined where it is destroyed. */
  readonly old: Listed | undefined;
  /** What an earlier attempt of this run launched, where it has the address already: then little is left to do. */
  readonly moved: Listed | undefined;
}

/** The stack of a new instance: of each attempt its own, for what a dead one left is not to be trusted. */
export const stackOf = ({ app, environment, run, attempt }: Operation): string =>
  `${app}-${environment}-image-${run}-${attempt}`;

/**
 * Which instance is the old one, and where the address leads.
 * @throws OperationError cannot-move where that cannot be told, or there is no address
 */
export function readStanding(
  listed: readonly Listed[],
  addresses: readonly ElasticIp[],
  operation: Operation,
): Standing {
  const { app, environment, run } = operation;
  const address = onlyAddress(addresses, operation);
  const ours = (one: Listed) => (one.tags['Stack'] ?? '').startsWith(`${app}-${environment}-image-${run}-`);
  const moved = listed.find((one) => ours(one) && one.id === address.instance);
  const [old, ...others] = listed.filter((one) => !ours(one));
  if (others.length > 0) throw severalInstances([old, ...others], environment);
  if (!moved && address.instance !== '' && address.instance !== old?.id)
    throw addressElsewhere(address, operation);
  return { address, old, moved };
}

function onlyAddress(addresses: readonly ElasticIp[], { app, environment }: Operation): ElasticIp {
  const [address, ...others] = addresses;
  if (address && others.length === 0) return address;
  const found = address
    ? `${addresses.length} Elastic IPs have the tags App=${app} and Environment=${environment}: ${addresses.map((one) => one.address).join(', ')}.`
    : `No Elastic IP has the tags App=${app} and Environment=${environment}, so nothing could lead users to a new instance.`;
  const tags = `Key=App,Value=${app} Key=Environment,Value=${environment}`;
  throw new OperationError({
    reason: 'cannot-move',
    happened: found,
    stateNow: 'Nothing was changed.',
    todo: `Give them to the one by which users come: aws ec2 create-tags --resources eipalloc-… --tags ${tags}; then run this job again.`,
  });
}

function severalInstances(all: readonly (Listed | undefined)[], environment: string): OperationError {
  const told = all.flatMap((one) => (one ? [`${one.id} (${one.state})`] : [])).join(', ');
  return new OperationError({
    reason: 'cannot-move',
    happened: `${environment} has ${all.length} instances: ${told}; a new one takes the place of one.`,
    stateNow: 'Nothing was changed.',
    todo: `Give those that are not to be replaced another tag Environment, or remove them; then run this job again.`,
  });
}

function addressElsewhere({ address, instance }: ElasticIp, { app, environment }: Operation): OperationError {
  return new OperationError({
    reason: 'cannot-move',
    happened: `${address} leads to ${instance}, which is no instance of ${app} in ${environment}.`,
    instance,
    stateNow: 'Nothing was changed.',
    todo: 'See what that instance is, and correct its tags, or those of the address; then run this job again.',
  });
}
