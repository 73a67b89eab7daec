import { type Call, formOf } from './call.ts';
import { listOf } from './ec2/form.ts';
import { splitPath } from './s3/operations.ts';

/** The ARN of what a call is about, for the record: the first where it names several, `*` where it names none. */
export function resourceOf(call: Call, account: string): string {
  switch (call.service) {
    case 's3':
      return s3Resource(call);
    case 'ssm':
    case 'ec2messages':
      return ssmResource(call, account);
    default:
      return call.protocol === 'query' || call.protocol === 'ec2' ? formResource(call, account) : '*';
  }
}

function s3Resource(call: Call): string {
  const { bucket, key } = splitPath(call.path);
  if (bucket === '') return '*';
  return `arn:aws:s3:::${bucket}${key === '' ? '' : `/${key}`}`;
}

function ssmResource({ body, region }: Call, account: string): string {
  const input = parseObject(body);
  const field = (name: string) => (typeof input[name] === 'string' ? input[name] : undefined);
  const arn = (kind: string, name: string) =>
    `arn:aws:ssm:${region}:${account}:${kind}/${name.replace(/^\//, '')}`;
  const document = field('DocumentName');
  if (document !== undefined) return arn('document', document);
  const instance = field('InstanceId') ?? field('Destination') ?? field('MessageId')?.split('.').pop();
  if (instance !== undefined) return `arn:aws:ec2:${region}:${account}:instance/${instance}`;
  const name = field('Name') ?? field('ResourceId') ?? field('Path');
  if (name === undefined) return '*';
  return arn('Content' in input || !name.startsWith('/') ? 'document' : 'parameter', name);
}

function formResource(call: Call, account: string): string {
  const form = formOf(call);
  const field = (name: string) => form.get(name) ?? undefined;
  const { service, region } = call;
  if (service === 'sts') return field('RoleArn') ?? '*';
  if (service === 'cloudformation') return stackArn(field('StackName') ?? '*', region, account);
  if (service === 'iam')
    return field('RoleName') === undefined ? '*' : `arn:aws:iam::${account}:role/${field('RoleName')}`;
  if (service !== 'ec2') return '*';
  const instance = field('InstanceId') ?? listOf(form, 'InstanceId')[0];
  if (instance !== undefined) return `arn:aws:ec2:${region}:${account}:instance/${instance}`;
  // What a tag is put on.
  const tagged = listOf(form, 'ResourceId').find((id) => /^(ami|snap)-/.test(id));
  const snapshot = field('SnapshotId') ?? (tagged?.startsWith('snap-') ? tagged : undefined);
  if (snapshot !== undefined) return `arn:aws:ec2:${region}::snapshot/${snapshot}`;
  // Images and snapshots have no account in their ARN.
  const image = field('ImageId') ?? tagged;
  return image === undefined ? '*' : `arn:aws:ec2:${region}::image/${image}`;
}

/** A stack is called by its name or by its ARN, which ends with an id of its own. */
export function stackArn(name: string, region: string, account: string): string {
  return name.startsWith('arn:') ? name : `arn:aws:cloudformation:${region}:${account}:stack/${name}/*`;
}

function parseObject(body: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
