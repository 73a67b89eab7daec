import { notImplemented, ServiceError } from '../errors.ts';
import type { FleetInstance } from './fleet.ts';
import { type Input, invalid } from './input.ts';
import type { ManagedInstance } from './inventory.ts';

/** Whom a command is meant for. */
export interface Targets {
  readonly instanceIds: string[];
  readonly targets: { Key: string; Values: string[] }[];
}

/** Reads and limits `InstanceIds` (50) and `Targets` (5). @throws ServiceError */
export function readTargets(input: Input): Targets {
  const instanceIds = input.texts('InstanceIds');
  const targets = input
    .inputs('Targets')
    .map((each) => ({ Key: each.text('Key'), Values: each.texts('Values') }));
  if (instanceIds.length > 50) throw invalid('instanceIds', 'must have length less than or equal to 50');
  if (targets.length > 5) throw invalid('targets', 'must have length less than or equal to 5');
  if (targets.some((each) => each.Values.length > 50))
    throw invalid('targets', 'must have at most 50 values each');
  if (instanceIds.length > 0 === targets.length > 0) {
    throw invalid('instanceIds', 'or targets must be given, and not both');
  }
  if (new Set(instanceIds).size < instanceIds.length) {
    throw new ServiceError('DuplicateInstanceId', "You can't specify an instance ID in more than one place.");
  }
  return { instanceIds, targets };
}

/**
 * The instances that get an invocation. Named instances must be registered and running, or the whole call is
 * refused; by tag, what EC2 has under the tags and is not terminated takes part, reachable or not.
 */
export function chooseInstances(
  { instanceIds, targets }: Targets,
  fleet: readonly FleetInstance[],
  managed: readonly ManagedInstance[],
): string[] {
  if (instanceIds.length > 0) return requireValid(instanceIds, managed);
  return fleet
    .filter((each) => each.state !== 'terminated' && each.state !== 'shutting-down')
    .filter((each) => targets.every((target) => fits(each, target)))
    .map((each) => each.instanceId);
}

function requireValid(instanceIds: string[], managed: readonly ManagedInstance[]): string[] {
  const valid = new Set(managed.filter((each) => each.state === 'running').map((each) => each.instanceId));
  const wrong = instanceIds.filter((id) => !valid.has(id));
  if (wrong.length > 0) {
    throw new ServiceError(
      'InvalidInstanceId',
      `Instances [[${wrong.join(', ')}]] not in a valid state for account`,
    );
  }
  return instanceIds;
}

function fits(instance: FleetInstance, { Key, Values }: { Key: string; Values: string[] }): boolean {
  if (Key === 'InstanceIds') return Values.includes(instance.instanceId);
  if (Key.startsWith('tag:')) return Values.includes(instance.tags[Key.slice(4)] ?? '');
  if (Key === 'tag-key') return Values.some((value) => value in instance.tags);
  throw notImplemented(`the target key ${Key}`);
}
