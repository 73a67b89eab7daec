import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { parseDocument } from 'yaml';
import { pythonTools, repositoryFolder } from '../../../rehearsal/ground/places.ts';
import { wildcard } from '../../../rehearsal/ground/wildcard.ts';
import { holdersIn } from '../../../rehearsal/policies/foundation.ts';
import { ask, type Verdict } from '../../../rehearsal/policies/question.ts';
import { type Resource, resourcesOf, type Value } from '../../../rehearsal/policies/template.ts';

const where = { account: '123456789012', region: 'us-east-2' };
const named = { App: 'isso', Environment: 'staging' };
const buckets = { StateBucketName: 'isso-understudy', BackupBucketName: 'isso-understudy-backups' };
const text = readFileSync(join(repositoryFolder, 'infra/drill-host.yaml'), 'utf8');
const stackName = 'isso-staging-drill-host-7-1';

const own = {
  Image: 'ami-0123456789abcdef0',
  Operation: '1-7-1-verify-backup-staging',
  Ends: '2026-11-23T16:00:00',
};
const stack = {
  'AWS::StackName': stackName,
  'AWS::StackId': `arn:aws:cloudformation:us-east-2:123456789012:stack/${stackName}/0a1b2c3d-4e5f-6789-abcd-ef0123456789`,
};
const madeWith = (change: Record<string, string> = {}) =>
  resourcesOf(text, { ...where, parameters: { ...named, ...buckets, ...own, ...stack, ...change } });
const resources = madeWith();

const only = (type: string): Resource['properties'] => {
  const found = resources.filter((resource) => resource.type === type);
  expect(found).toHaveLength(1);
  return found[0]?.properties ?? {};
};

describe('the drill host', () => {
  test('is all that there is, and nothing leads out of its network', () => {
    const kinds = new Set(resources.map(({ type }) => type));
    expect([...kinds].toSorted()).toEqual([
      ...['AWS::EC2::Instance', 'AWS::EC2::RouteTable', 'AWS::EC2::SecurityGroup', 'AWS::EC2::Subnet'],
      ...['AWS::EC2::SubnetRouteTableAssociation', 'AWS::EC2::VPC', 'AWS::EC2::VPCEndpoint'],
      'AWS::Scheduler::Schedule',
    ]);
    expect(only('AWS::EC2::Subnet')['MapPublicIpOnLaunch']).toBe(false);
  });

  test('takes nothing in, and sends only to the endpoints', () => {
    const groups = Object.fromEntries(
      resources
        .filter(({ type }) => type === 'AWS::EC2::SecurityGroup')
        .map((each) => [each.logicalId, each.properties]),
    );
    expect(groups['HostGroup']?.['SecurityGroupIngress']).toBeUndefined();
    expect(groups['HostGroup']?.['SecurityGroupEgress']).toMatchObject([{ FromPort: 443, ToPort: 443 }]);
    expect(groups['EndpointGroup']?.['SecurityGroupIngress']).toMatchObject([
      { FromPort: 443, ToPort: 443, SourceSecurityGroupId: 'HostGroup' },
    ]);
    expect(groups['EndpointGroup']?.['SecurityGroupEgress']).toMatchObject([{ CidrIp: '127.0.0.1/32' }]);
  });

  test('runs nothing of anybody, with the profile that may read no backup, and the new metadata alone', () => {
    const host = only('AWS::EC2::Instance');
    expect(host).toMatchObject({
      IamInstanceProfile: 'isso-staging-drill-host',
      MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1 },
      SecurityGroupIds: ['HostGroup'],
    });
    for (const property of ['UserData', 'KeyName', 'NetworkInterfaces', 'LaunchTemplate'])
      expect(host).not.toHaveProperty(property);
  });

  test('counts as a host of the environment "drill", and of no other', () => {
    const tags = only('AWS::EC2::Instance')['Tags'] as readonly { Key: string; Value: string }[];
    expect(Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value]))).toEqual({
      ...{ Name: stackName, App: 'isso', Environment: 'drill', Drilled: 'staging' },
      ...{ Operation: own.Operation, Ends: own.Ends },
    });
  });

  test('has an end that comes until it is gone, with the role that may do that alone', () => {
    expect(only('AWS::Scheduler::Schedule')).toMatchObject({
      StartDate: '2026-11-23T16:00:00Z',
      ScheduleExpression: 'rate(15 minutes)',
      Target: {
        Arn: 'arn:aws:scheduler:::aws-sdk:cloudformation:deleteStack',
        RoleArn: 'arn:aws:iam::123456789012:role/isso-staging-drill-end',
        Input: JSON.stringify({ StackName: stackName }).replace(':', ': '),
      },
    });
  });

  test('has an end whose name the builder may use, and Scheduler takes, however long the others are', () => {
    const [longest] = madeWith({ App: 'a'.repeat(20), Environment: 'e'.repeat(20) }).filter(
      ({ logicalId }) => logicalId === 'End',
    );
    expect(String(longest?.properties['Name'])).toMatch(/^.{1,64}$/);
    expect(only('AWS::Scheduler::Schedule')['Name']).toBe('isso-staging-drill-host-0a1b2c3d');
  });

  test('costs nothing before it has an end, and keeps it until all else is gone', () => {
    const { Resources } = parseDocument(text, { logLevel: 'silent' }).toJS() as {
      Resources: Record<string, { DependsOn?: string | string[] }>;
    };
    // What a resource names is made before it, and removed after it.
    const leadsToEnd = (name: string): boolean => {
      const source = text
        .slice(text.indexOf(`\n  ${name}:`))
        .split(/\n {2}\w+:\n/, 2)
        .join('\n');
      const references = [...source.matchAll(/!(?:Ref|GetAtt) (\w+)/g)].map(([, what = '']) => what);
      const before = [Resources[name]?.DependsOn ?? [], references].flat();
      return (
        before.includes('End') || before.some((one) => one !== name && one in Resources && leadsToEnd(one))
      );
    };
    const others = Object.keys(Resources).filter((name) => name !== 'End');
    expect(others.filter((name) => !leadsToEnd(name))).toEqual([]);
  });
});

describe('through the endpoint of S3', () => {
  const inAccount = { 'aws:ResourceAccount': where.account };
  const rows = [
    ['a request is read', true, 's3:GetObject', 'isso-understudy/requests/isso/drill/1.json', inAccount],
    [
      'a backup is read',
      true,
      's3:GetObject',
      'isso-understudy-backups/backups/isso/staging/daily/1/app.db',
      inAccount,
    ],
    ['a result is told', true, 's3:PutObject', 'isso-understudy/results/isso/drill/1/i-1.json', inAccount],
    ['nothing of another bucket is read', false, 's3:GetObject', 'evil/tools.tar', inAccount],
    ['nothing is put into another bucket', false, 's3:PutObject', 'evil/app.db', inAccount],
    [
      'nothing is put into a bucket of another account',
      false,
      's3:PutObject',
      'isso-understudy/app.db',
      { 'aws:ResourceAccount': '999999999999' },
    ],
    [
      'nothing is deleted',
      false,
      's3:DeleteObject',
      'isso-understudy-backups/backups/isso/staging/daily/1/app.db',
      inAccount,
    ],
  ] as const;
  let verdicts: Verdict[];

  beforeAll(async () => {
    const [endpoint] = resources.filter(({ properties }) => properties['VpcEndpointType'] === 'Gateway');
    const { Statement = [], ...rest } = (endpoint?.properties['PolicyDocument'] ?? {}) as {
      Statement?: readonly { readonly [key: string]: Value }[];
    };
    // The engine takes an endpoint's policy as one of whoever asks.
    const policies = [{ ...rest, Statement: Statement.map(({ Principal: _, ...statement }) => statement) }];
    verdicts = await ask(
      rows.map(([, , action, key, context]) => ({
        action,
        resource: `arn:aws:s3:::${key}`,
        context,
        policies,
      })),
    );
  }, 60_000);

  test.each(rows.map(([what, may], index) => [what, may, index] as const))('%s', (_, may, index) => {
    expect(verdicts[index]?.allowed).toBe(may);
  });
});

/** What CloudFormation's own handlers ask for, as cfn-lint carries AWS's schemas, and this template gives no cause for. */
const notAsked: Readonly<Record<string, readonly string[]>> = {
  // Volumes, credits, placement, names, monitoring and attributes: properties that it does not use.
  'AWS::EC2::Instance': [
    ...['ec2:AttachVolume', 'ec2:DetachVolume', 'ec2:ModifyInstanceAttribute', 'ec2:StartInstances'],
    ...['ec2:ModifyInstanceCreditSpecification', 'ec2:ModifyInstancePlacement', 'ec2:MonitorInstances'],
    ...['ec2:ModifyPrivateDnsNameOptions', 'ssm:CreateAssociation'],
    // The profile goes with RunInstances, and never changes.
    ...['ec2:AssociateIamInstanceProfile', 'ec2:DisassociateIamInstanceProfile'],
    'ec2:ReplaceIamInstanceProfileAssociation',
  ],
  'AWS::EC2::VPC': ['ec2:CreateVpcEncryptionControl'],
  // Service networks and other regions; tags are never taken away.
  'AWS::EC2::VPCEndpoint': [
    ...['vpc-lattice:CreateServiceNetworkVpcEndpointAssociation', 'ec2:DeleteTags', 'vpce:AllowMultiRegion'],
    'vpc-lattice:DescribeServiceNetworkVpcEndpointAssociation',
  ],
};

describe('the builder may do what CloudFormation does to make and remove', () => {
  const [folder = ''] = globSync(join(pythonTools(), '../lib/python3*/site-packages/cfnlint/data/schemas'));
  const readJson = (file: string) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as unknown;
  const files = readJson('providers/us-east-2.json') as Record<string, string>;
  const OidcProviderArn = `arn:aws:iam::${where.account}:oidc-provider/token.actions.githubusercontent.com`;
  const trusted = { Repository: 'acme/isso', RepositoryId: '42', WorkflowRefs: [], OidcProviderArn };
  const builder = holdersIn({ ...where, parameters: { ...named, ...buckets, ...trusted } }, 'drill').get(
    'isso-staging-drill-builder',
  );
  const granted = (builder?.policies ?? []).flatMap((policy) =>
    (policy as { Statement: { Action: string | string[] }[] }).Statement.flatMap(({ Action }) => Action),
  );

  test.each([...new Set(resources.map(({ type }) => type))])('%s', (type) => {
    const { handlers } = readJson(`resources/${files[type]}.json`) as {
      handlers: Record<'create' | 'delete', { permissions: string[] }>;
    };
    const asked = [...handlers.create.permissions, ...handlers.delete.permissions];
    const missing = asked.filter((action) => !granted.some((one) => wildcard(one).test(action)));
    expect([...new Set(missing)].toSorted()).toEqual((notAsked[type] ?? []).toSorted());
  });
});
