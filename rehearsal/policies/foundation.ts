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
  /** The roles that a policy of its own is attached to by its template. */
  readonly roles?: readonly string[];
}

/** The roles and policies that a template of infra/ makes, by name; read from it, for emulators change them. */
export function holdersIn(
  stack: Stack,
  file: 'foundation' | 'drill' | 'rollback' | 'images' | 'staging' = 'foundation',
): Map<string, Holder> {
  const template = readFileSync(new URL(`../../infra/${file}.yaml`, import.meta.url), 'utf8');
  const holders = resourcesOf(template, stack).flatMap(toHolder);
  return new Map(holders.map((holder) => [holder.name, holder]));
}

/** Gives roles what the policies of other templates add to them. */
export function attach(holders: ReadonlyMap<string, Holder>): Map<string, Holder> {
  const all = [...holders.values()];
  const added = (name: string) => all.filter(({ roles = [] }) => roles.includes(name));
  return new Map(
    all.map((holder) => {
      const policies = [holder, ...added(holder.name)].flatMap((one) => one.policies);
      return [holder.name, { ...holder, policies }];
    }),
  );
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
    const roles = (properties['Roles'] ?? []) as readonly string[];
    return [{ name: String(properties['ManagedPolicyName']), policies, trust: null, roles }];
  }
  return [];
}
