import type { Credentials, Instance } from './gateway.ts';

/** Everything an instance may read of itself, by path below `/latest/`. */
export type Tree = ReadonlyMap<string, string>;

/** What the tree is made of. `credentials` is undefined for an instance without a profile. */
export interface Facts {
  readonly instance: Instance;
  readonly region: string;
  readonly account: string;
  readonly credentials: Credentials | undefined;
}

/** Lays out the metadata of one instance, as EC2 names it. */
export function layOut({ instance, region, account, credentials }: Facts): Tree {
  const name = `ip-${instance.ip.replaceAll('.', '-')}.${region}.compute.internal`;
  const tree = new Map<string, string>([
    ['meta-data/ami-id', instance.imageId],
    ['meta-data/hostname', name],
    ['meta-data/instance-id', instance.instanceId],
    ['meta-data/instance-type', instance.instanceType ?? 't3.medium'],
    ['meta-data/local-hostname', name],
    ['meta-data/local-ipv4', instance.ip],
    ['meta-data/placement/availability-zone', instance.availabilityZone],
    ['meta-data/placement/availability-zone-id', zoneId(instance.availabilityZone)],
    ['meta-data/placement/region', region],
    ['dynamic/instance-identity/document', identityDocument(instance, region, account)],
  ]);
  if (credentials) addRole(tree, account, credentials);
  if (instance.metadataTags) {
    for (const [key, value] of Object.entries(instance.tags))
      tree.set(`meta-data/tags/instance/${key}`, value);
  }
  return tree;
}

/** The value at a path, or the entries below it one a line; undefined when there is neither. */
export function read(tree: Tree, path: string): string | undefined {
  const wanted = path.replace(/^\/latest\//, '').replace(/\/$/, '');
  const value = tree.get(wanted);
  if (value !== undefined) return value;
  const entries = new Set<string>();
  for (const key of tree.keys()) {
    if (!key.startsWith(`${wanted}/`)) continue;
    const [entry = '', ...deeper] = key.slice(wanted.length + 1).split('/');
    entries.add(deeper.length > 0 ? `${entry}/` : entry);
  }
  return entries.size > 0 ? [...entries].sort().join('\n') : undefined;
}

function addRole(tree: Map<string, string>, account: string, credentials: Credentials): void {
  const { roleName, ...keys } = credentials;
  const now = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
  tree.set(
    `meta-data/iam/security-credentials/${roleName}`,
    json({ Code: 'Success', LastUpdated: now, Type: 'AWS-HMAC', ...keys }),
  );
  tree.set(
    'meta-data/iam/info',
    json({
      Code: 'Success',
      LastUpdated: now,
      InstanceProfileArn: `arn:aws:iam::${account}:instance-profile/${roleName}`,
    }),
  );
}

function identityDocument(instance: Instance, region: string, account: string): string {
  return json({
    accountId: account,
    architecture: 'x86_64',
    availabilityZone: instance.availabilityZone,
    imageId: instance.imageId,
    instanceId: instance.instanceId,
    instanceType: instance.instanceType ?? 't3.medium',
    pendingTime: instance.launchTime ?? '2026-01-01T00:00:00Z',
    privateIp: instance.ip,
    region,
    version: '2017-09-30',
  });
}

/** us-east-2a → use2-az1 */
function zoneId(zone: string): string {
  const [, area = '', side = '', number = '', letter = 'a'] =
    /^([a-z]+)-([a-z]+)-(\d)([a-z])$/.exec(zone) ?? [];
  return `${area}${side.charAt(0)}${number}-az${letter.charCodeAt(0) - 96}`;
}

function json(value: unknown): string {
  return JSON.stringify(value, null, 2);
}
