import type { Value } from '../../policies/template.ts';
import type { GivenAssociation } from '../ssm/associations.ts';
import { type ReadStack, resourcesOfType, type Where } from './read.ts';

/** An association, and which resource of which stack it is. */
export interface StackAssociation extends GivenAssociation {
  readonly stack: string;
  readonly logicalId: string;
}

type Map = Readonly<Record<string, Value>>;

/** The associations that a stack asks for. */
export function readAssociations(stack: ReadStack, where: Where): StackAssociation[] {
  return resourcesOfType(stack, where, 'AWS::SSM::Association').map(({ logicalId, properties }) => ({
    ...{ stack: stack.name, logicalId },
    ...toAssociation(properties),
  }));
}

function toAssociation(properties: Map): GivenAssociation {
  const targets = (properties['Targets'] ?? []) as readonly { Key: string; Values: readonly Value[] }[];
  const parameters = Object.entries((properties['Parameters'] ?? {}) as Record<string, readonly Value[]>);
  return {
    name: String(properties['AssociationName']),
    document: String(properties['Name']),
    parameters: Object.fromEntries(parameters.map(([name, values]) => [name, values.map(String)])),
    targets: targets.map(({ Key, Values }) => ({ Key, Values: Values.map(String) })),
    schedule: String(properties['ScheduleExpression'] ?? ''),
    onlyAtCronInterval: String(properties['ApplyOnlyAtCronInterval']) === 'true',
    rate: {
      maxConcurrency: String(properties['MaxConcurrency'] ?? '50'),
      maxErrors: String(properties['MaxErrors'] ?? '0'),
    },
  };
}
