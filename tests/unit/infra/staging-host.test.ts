import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { parseDocument } from 'yaml';
import { instanceTypes } from '../../../actions/launch-staging/declaration.ts';
import { pythonTools, repositoryFolder } from '../../../rehearsal/ground/places.ts';
import { wildcard } from '../../../rehearsal/ground/wildcard.ts';
import { holdersIn } from '../../../rehearsal/policies/foundation.ts';
import { ask, type Verdict } from '../../../rehearsal/policies/question.ts';
import { type Resource, resourcesOf } from '../../../rehearsal/policies/template.ts';

const where = { account: '123456789012', region: 'us-east-2' };
const named = { App: 'isso', Environment: 'staging' };
const text = readFileSync(join(repositoryFolder, 'infra/staging-host.yaml'), 'utf8');
const stackName = 'isso-staging-launched-7-1';
const own = { Image: 'ami-0123456789abcdef0', Operation: '1-7-1-launch-staging-staging' };
const stack = {
  'AWS::StackName': stackName,
  'AWS::StackId': `arn:aws:cloudformation:us-east-2:123456789012:stack/${stackName}/0a1b2c3d-4e5f-6789-abcd-ef0123456789`,
};
const ends = { Ends: '2026-11-30T16:00:00' };
const madeWith = (change: Record<string, string> = {}): Resource[] =>
  resourcesOf(text, { ...where, parameters: { ...named, ...own, ...stack, ...change } });

const find = (resources: readonly Resource[], logicalId: string): Resource['properties'] | undefined =>
  resources.find((each) => each.logicalId === logicalId)?.properties;

describe('what is launched beside production', () => {
  const host = find(madeWith(), 'Host') ?? {};

  test('runs nothing of anybody, with the role of its own environment, on a disk that is large enough', () => {
    expect(host).toMatchObject({
      IamInstanceProfile: 'isso-staging-host',
      MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1 },
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { VolumeSize: 40, DeleteOnTermination: true } }],
    });
    for (const property of ['UserData', 'KeyName', 'NetworkInterfaces', 'LaunchTemplate'])
      expect(host).not.toHaveProperty(property);
  });

  test('bears the tags by which it is found, and may be commanded and removed', () => {
    const tags = host['Tags'] as readonly { Key: string; Value: string }[];
    expect(Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value]))).toMatchObject({
      ...{ App: 'isso', Environment: 'staging', Stack: stackName, Operation: own.Operation },
    });
  });

  test('can be reached by nobody, or on its port by those who are named', () => {
    expect(find(madeWith(), 'HostGroup')?.['SecurityGroupIngress']).toBeNull();
    expect(find(madeWith({ Access: '203.0.113.7/32' }), 'HostGroup')?.['SecurityGroupIngress']).toEqual([
      { IpProtocol: 'tcp', FromPort: 8080, ToPort: 8080, CidrIp: '203.0.113.7/32', Description: 'The app.' },
    ]);
  });

  test('has an Elastic IP only where one is wanted', () => {
    expect(find(madeWith(), 'HostAddress')).toBeUndefined();
    expect(find(madeWith({ Address: 'elastic' }), 'HostAddress')).toMatchObject({ InstanceId: 'Host' });
  });

  test('is of a type that the action offers', () => {
    const { Parameters } = parseDocument(text, { logLevel: 'silent' }).toJS() as {
      Parameters: { InstanceType: { AllowedValues: string[] } };
    };
    expect(Parameters.InstanceType.AllowedValues).toEqual(instanceTypes);
  });

  test.each([
    ['that stays', {}, ['DISABLED'], undefined],
    ['that is removed', ends, ['ENABLED'], 'cloudformation:deleteStack'],
    ['that is stopped', { ...ends, AtEnd: 'stop' }, ['DISABLED', undefined], 'ec2:stopInstances'],
  ])('one %s has the end that was asked for', (_, change, states, deed) => {
    const schedules = madeWith(change).filter(({ type }) => type === 'AWS::Scheduler::Schedule');
    expect(schedules.map(({ properties }) => properties['State'])).toEqual(states);
    const awake = schedules.filter(({ properties }) => properties['State'] !== 'DISABLED');
    expect(awake.map(({ properties }) => (properties['Target'] as { Arn: string }).Arn)).toEqual(
      deed === undefined ? [] : [`arn:aws:scheduler:::aws-sdk:${deed}`],
    );
  });

  test('has ends whose names Scheduler takes, however long the others are', () => {
    const long = madeWith({ App: 'a'.repeat(20), Environment: 'e'.repeat(20), ...ends, AtEnd: 'stop' });
    const names = ['End', 'Stop'].map((logicalId) => String(find(long, logicalId)?.['Name']));
    expect(names.map((name) => /^.{1,64}$/.test(name))).toEqual([true, true]);
  });
});

const OidcProviderArn = `arn:aws:iam::${where.account}:oidc-provider/token.actions.githubusercontent.com`;
const trusted = { Repository: 'acme/isso', RepositoryId: '42', WorkflowRefs: [], OidcProviderArn };
const holders = holdersIn(
  { ...where, parameters: { ...named, From: 'production', StateBucketName: 'isso-understudy', ...trusted } },
  'staging',
);

/** What CloudFormation's own handlers ask for, and this template gives no cause for. */
const notAsked: Readonly<Record<string, readonly string[]>> = {
  'AWS::EC2::Instance': [
    ...['ec2:AttachVolume', 'ec2:DetachVolume', 'ec2:ModifyInstanceAttribute', 'ec2:StartInstances'],
    ...['ec2:ModifyInstanceCreditSpecification', 'ec2:ModifyInstancePlacement', 'ec2:MonitorInstances'],
    ...['ec2:ModifyPrivateDnsNameOptions', 'ssm:CreateAssociation'],
    ...['ec2:AssociateIamInstanceProfile', 'ec2:DisassociateIamInstanceProfile'],
    'ec2:ReplaceIamInstanceProfileAssociation',
  ],
  'AWS::EC2::VPC': ['ec2:CreateVpcEncryptionControl'],
  // No gateway of a VPN, and no address of another account.
  'AWS::EC2::VPCGatewayAttachment': ['ec2:AttachVpnGateway', 'ec2:DetachVpnGateway'],
  'AWS::EC2::EIP': ['ec2:AcceptAddressTransfer'],
};

describe('the builder may do what CloudFormation does to make and remove', () => {
  const [folder = ''] = globSync(join(pythonTools(), '../lib/python3*/site-packages/cfnlint/data/schemas'));
  const readJson = (file: string) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as unknown;
  const files = readJson('providers/us-east-2.json') as Record<string, string>;
  const granted = (holders.get('isso-staging-builder')?.policies ?? []).flatMap((policy) =>
    (policy as { Statement: { Action: string | string[] }[] }).Statement.flatMap(({ Action }) => Action),
  );
  const types = madeWith({ Address: 'elastic' }).map(({ type }) => type);

  test.each([...new Set(types)])('%s', (type) => {
    const { handlers } = readJson(`resources/${files[type]}.json`) as {
      handlers: Record<'create' | 'delete', { permissions: string[] }>;
    };
    const asked = [...handlers.create.permissions, ...handlers.delete.permissions];
    const missing = asked.filter((action) => !granted.some((one) => wildcard(one).test(action)));
    expect([...new Set(missing)].toSorted()).toEqual((notAsked[type] ?? []).toSorted());
  });
});

describe('of a launch', () => {
  const stacks = `arn:aws:cloudformation:us-east-2:${where.account}:stack`;
  const instances = `arn:aws:ec2:us-east-2:${where.account}:instance/i-1`;
  const made = {
    'cloudformation:TemplateUrl':
      'https://isso-understudy.s3.us-east-2.amazonaws.com/templates/staging-host.yaml',
    'cloudformation:RoleArn': `arn:aws:iam::${where.account}:role/isso-staging-builder`,
    'aws:RequestTag/App': 'isso',
    'aws:RequestTag/Environment': 'staging',
  };
  const launched = {
    'aws:ResourceTag/App': 'isso',
    'aws:ResourceTag/Environment': 'staging',
    'aws:ResourceTag/Stack': stackName,
  };
  const production = { ...launched, 'aws:ResourceTag/Environment': 'production' };
  const { 'aws:ResourceTag/Stack': _, ...handMade } = launched;
  const image = `arn:aws:ec2:us-east-2::image/ami-1`;
  const [launcher, builder, end] = ['launcher', 'builder', 'launch-end'];
  const rows = [
    [
      'the one template is made a stack',
      true,
      launcher,
      'cloudformation:CreateStack',
      `${stacks}/${stackName}/*`,
      made,
    ],
    [
      'no other template is',
      ...[false, launcher, 'cloudformation:CreateStack', `${stacks}/${stackName}/*`],
      {
        ...made,
        'cloudformation:TemplateUrl':
          'https://isso-understudy.s3.us-east-2.amazonaws.com/templates/other.yaml',
      },
    ],
    [
      'nor one of production',
      ...[false, launcher, 'cloudformation:CreateStack', `${stacks}/${stackName}/*`],
      { ...made, 'aws:RequestTag/Environment': 'production' },
    ],
    [
      'a drill host is not removed',
      false,
      launcher,
      'cloudformation:DeleteStack',
      `${stacks}/isso-staging-drill-host-1-1/*`,
      {},
    ],
    ['nothing is run by hand', false, launcher, 'ec2:RunInstances', instances, {}],
    ['what was launched is prepared', true, launcher, 'ssm:SendCommand', instances, launched],
    ['no other host of the environment is', false, launcher, 'ssm:SendCommand', instances, handMade],
    ['production is not', false, launcher, 'ssm:SendCommand', instances, production],
    [
      'its images are launched',
      true,
      builder,
      'ec2:RunInstances',
      image,
      { 'ec2:Owner': where.account, 'aws:ResourceTag/App': 'isso' },
    ],
    [
      'those of somebody else are not',
      false,
      builder,
      'ec2:RunInstances',
      image,
      { 'ec2:Owner': '999999999999', 'aws:ResourceTag/App': 'isso' },
    ],
    ['production is not terminated', false, builder, 'ec2:TerminateInstances', instances, production],
    ['nor what was made by hand', false, builder, 'ec2:TerminateInstances', instances, handMade],
    ['what was launched is stopped', true, end, 'ec2:StopInstances', instances, launched],
    ['production is not stopped', false, end, 'ec2:StopInstances', instances, production],
  ] as readonly (readonly [string, boolean, string, string, string, Record<string, string>])[];
  let verdicts: Verdict[];

  beforeAll(async () => {
    verdicts = await ask(
      rows.map(([, , who, action, resource, context]) => ({
        ...{ action, resource, context },
        policies: holders.get(`isso-staging-${who}`)?.policies ?? [],
      })),
    );
  }, 60_000);

  test.each(rows.map(([what, may], index) => [what, may, index] as const))('%s', (_, may, index) => {
    expect(verdicts[index]?.allowed).toBe(may);
  });

  test('the launcher is trusted as production, whose data the image holds', () => {
    expect(JSON.stringify(holders.get('isso-staging-launcher')?.trust)).toContain(
      'repo:acme/isso:environment:production',
    );
  });
});
