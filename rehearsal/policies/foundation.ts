import { readFileSync } from 'node:fs';
import { type Resource, resourcesOf, type Stack, type Value } from './template.ts';

/** A policy document as IAM takes it; the engine checks its form. */
export type Policy = Value;

/** Who may do something: a role, or whoever a policy of its own is attached to. */
export interface Holder {
  readonly name: string;
  readonly policies: readonly Policy[];
  /** Who may become it. */
  readonly trust: Policy;
}

/** The roles and policies that a template of infra/ makes, by name; read from it, for emulators change them. */
export function holdersIn(
  stack: Stack,
  file: 'foundation' | 'drill' | 'rollback' = 'foundation',
): Map<string, Holder> {
  const template = readFileSync(new URL(`../../infra/${file}.yaml`, import.meta.url), 'utf8');
  const holders = resourcesOf(template, stack).flatMap(toHolder);
  return new Map(holders.map((holder) => [holder.name, holder]));
}

function toHolder({ type, properties }: Resource): Holder[] {
  if (type === 'AWS::IAM::Role') {
    const inline = properties['Policies'] as readonly { readonly PolicyDocument: Policy }[];
    const policies = inline.map(({ PolicyDocument }) => PolicyDocument);
    return [
      {
        name: String(properties['RoleName']),
        policies,
        trust: properties['AssumeRolePolicyDocument'] ?? null,
      },
    ];
  }
  if (type === 'AWS::IAM::ManagedPolicy') {
    const policies = [properties['PolicyDocument'] ?? null];
    return [{ name: String(properties['ManagedPolicyName']), policies, trust: null }];
  }
  return [];
}
