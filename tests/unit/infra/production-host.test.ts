import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { pythonTools, repositoryFolder } from '../../../rehearsal/ground/places.ts';
import { wildcard } from '../../../rehearsal/ground/wildcard.ts';
import { attach, holdersIn } from '../../../rehearsal/policies/foundation.ts';
import { ask, type Verdict } from '../../../rehearsal/policies/question.ts';
import { resourcesOf } from '../../../rehearsal/policies/template.ts';

const where = { account: '123456789012', region: 'us-east-2' };
const named = { App: 'isso', Environment: 'production' };
const stackName = 'isso-production-image-7-1';
const text = readFileSync(join(repositoryFolder, 'infra/production-host.yaml'), 'utf8');
const own = {
  ...{ Operation: '1-7-1-rollback-image-production', Image: 'ami-0123456789abcdef0', RootSize: '24' },
  ...{ InstanceType: 't3.medium', Subnet: 'subnet-0123456789abcdef0', 'AWS::StackName': stackName },
  Groups: ['sg-0123456789abcdef0', 'sg-0123456789abcdef1'],
};
const made = resourcesOf(text, { ...where, parameters: { ...named, ...own } });

describe('what takes the place of an instance', () => {
  const host = made.find(({ logicalId }) => logicalId === 'Host')?.properties ?? {};

  test('runs where that one ran, as its role, and nothing of anybody', () => {
    expect(host).toMatchObject({
      ...{ IamInstanceProfile: 'isso-production-host', SubnetId: own.Subnet, SecurityGroupIds: own.Groups },
      MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1 },
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { DeleteOnTermination: true } }],
    });
    for (const property of ['UserData', 'KeyName', 'NetworkInterfaces', 'LaunchTemplate'])
      expect(host).not.toHaveProperty(property);
  });

  test('bears the tags by which it is found, and may be commanded and removed', () => {
    const tags = host['Tags'] as readonly { Key: string; Value: string }[];
    expect(Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value]))).toMatchObject({
      ...{ App: 'isso', Environment: 'production', Stack: stackName, Operation: own.Operation },
    });
  });
});

const OidcProviderArn = `arn:aws:iam::${where.account}:oidc-provider/token.actions.githubusercontent.com`;
const holdersWith = (Vpc: string) => {
  const trusted = { Repository: 'acme/isso', RepositoryId: '42', WorkflowRefs: [], OidcProviderArn };
  const buckets = { StateBucketName: 'isso-production', BackupBucketName: 'isso-production-backups' };
  return attach(holdersIn({ ...where, parameters: { ...named, ...trusted, ...buckets, Vpc } }, 'rollback'));
};
const holders = holdersWith('vpc-0123456789abcdef0');

test('without a network nothing of it is allowed', () => {
  const without = holdersWith('');
  expect([...without.keys()]).toEqual(['isso-production-rollback']);
  expect(JSON.stringify(without.get('isso-production-rollback')?.policies)).not.toMatch(
    /prepare-host|-image-/,
  );
});

/** What CloudFormation's own handlers ask for, and this template gives no cause for. */
const notAsked = [
  ...['ec2:AttachVolume', 'ec2:DetachVolume', 'ec2:ModifyInstanceAttribute', 'ec2:StartInstances'],
  ...['ec2:ModifyInstanceCreditSpecification', 'ec2:ModifyInstancePlacement', 'ec2:MonitorInstances'],
  ...['ec2:ModifyPrivateDnsNameOptions', 'ssm:CreateAssociation'],
  ...['ec2:AssociateIamInstanceProfile', 'ec2:DisassociateIamInstanceProfile'],
  'ec2:ReplaceIamInstanceProfileAssociation',
];

test('the builder may do what CloudFormation does to make and remove it', () => {
  const [folder = ''] = globSync(join(pythonTools(), '../lib/python3*/site-packages/cfnlint/data/schemas'));
  const readJson = (file: string) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as unknown;
  const files = readJson('providers/us-east-2.json') as Record<string, string>;
  const granted = (holders.get('isso-production-image-builder')?.policies ?? []).flatMap((policy) =>
    (policy as { Statement: { Action: string | string[] }[] }).Statement.flatMap(({ Action }) => Action),
  );
  const { handlers } = readJson(`resources/${files['AWS::EC2::Instance']}.json`) as {
    handlers: Record<'create' | 'delete', { permissions: string[] }>;
  };
  const asked = [...handlers.create.permissions, ...handlers.delete.permissions];
  const missing = asked.filter((action) => !granted.some((one) => wildcard(one).test(action)));
  expect([...new Set(missing)].toSorted()).toEqual(notAsked.toSorted());
});

describe('of the button', () => {
  const ec2 = (what: string) => `arn:aws:ec2:us-east-2:${where.account}:${what}`;
  const instance = ec2('instance/i-1');
  const document = (name: string) => `arn:aws:ssm:us-east-2:${where.account}:document/isso-${name}`;
  const stacks = `arn:aws:cloudformation:us-east-2:${where.account}:stack`;
  const tagged = (Environment: string, more = {}) => ({
    ...{ 'aws:ResourceTag/App': 'isso', 'aws:ResourceTag/Environment': Environment, ...more },
  });
  const asked = {
    'cloudformation:TemplateUrl':
      'https://isso-production.s3.us-east-2.amazonaws.com/templates/production-host.yaml',
    'cloudformation:RoleArn': `arn:aws:iam::${where.account}:role/isso-production-image-builder`,
    ...{ 'aws:RequestTag/App': 'isso', 'aws:RequestTag/Environment': 'production' },
  };
  const aside = { 'aws:RequestTag/Environment': 'retired', 'aws:TagKeys': ['Environment'] };
  const network = (vpc: string) => ({ 'ec2:Vpc': ec2(`vpc/${vpc}`) });
  const launched = { 'aws:ResourceTag/Stack': stackName };
  const image = 'arn:aws:ec2:us-east-2::image/ami-1';
  const [button, builder] = ['rollback', 'image-builder'];
  const template = { 'cloudformation:TemplateUrl': 'https://elsewhere.example/production-host.yaml' };
  const rows: readonly (readonly [string, boolean, string, string, string, Record<string, unknown>])[] = [
    [
      'the one template is made a stack',
      true,
      button,
      'cloudformation:CreateStack',
      `${stacks}/${stackName}/*`,
      asked,
    ],
    [
      'no other template is',
      false,
      button,
      'cloudformation:CreateStack',
      `${stacks}/${stackName}/*`,
      { ...asked, ...template },
    ],
    ['nothing is run by hand', false, button, 'ec2:RunInstances', instance, tagged('production')],
    [
      'a launched staging is not removed',
      false,
      button,
      'cloudformation:DeleteStack',
      `${stacks}/isso-staging-launched-1-1/*`,
      {},
    ],
    ['a host is prepared', true, button, 'ssm:SendCommand', document('prepare-host'), {}],
    ['a host is retired', true, button, 'ssm:SendCommand', document('retire'), {}],
    ['no deploy is sent', false, button, 'ssm:SendCommand', document('deploy'), {}],
    ['nothing is sent to staging', false, button, 'ssm:SendCommand', instance, tagged('staging')],
    ['production is stopped', true, button, 'ec2:StopInstances', instance, tagged('production')],
    ['what is laid aside is stopped', true, button, 'ec2:StopInstances', instance, tagged('retired')],
    ['staging is not stopped', false, button, 'ec2:StopInstances', instance, tagged('staging')],
    ['nothing is terminated', false, button, 'ec2:TerminateInstances', instance, tagged('production')],
    ['production is laid aside', true, button, 'ec2:CreateTags', instance, tagged('production', aside)],
    [
      ...(['staging is not made production', false, button, 'ec2:CreateTags', instance] as const),
      tagged('staging', { ...aside, 'aws:RequestTag/Environment': 'production' }),
    ],
    [
      ...(['no other tag is written', false, button, 'ec2:CreateTags', instance] as const),
      tagged('production', { ...aside, 'aws:TagKeys': ['Environment', 'Stack'] }),
    ],
    [
      'its address is moved',
      true,
      button,
      'ec2:AssociateAddress',
      ec2('elastic-ip/eipalloc-1'),
      tagged('production'),
    ],
    [
      'that of staging is not',
      false,
      button,
      'ec2:DisassociateAddress',
      ec2('elastic-ip/eipalloc-1'),
      tagged('staging'),
    ],
    [
      'one of nobody known is not',
      false,
      button,
      'ec2:AssociateAddress',
      ec2('elastic-ip/eipalloc-1'),
      { 'aws:ResourceTag/Name': 'x' },
    ],
    ['it is given to nobody else', false, button, 'ec2:AssociateAddress', instance, tagged('staging')],
    [
      'it runs in the network of the environment',
      true,
      builder,
      'ec2:RunInstances',
      ec2('subnet/subnet-1'),
      network('vpc-0123456789abcdef0'),
    ],
    ['in no other', false, builder, 'ec2:RunInstances', ec2('subnet/subnet-1'), network('vpc-9')],
    [
      'of its images',
      true,
      builder,
      'ec2:RunInstances',
      image,
      tagged('production', { 'ec2:Owner': where.account }),
    ],
    [
      'of none of staging',
      false,
      builder,
      'ec2:RunInstances',
      image,
      tagged('staging', { 'ec2:Owner': where.account }),
    ],
    [
      'of none of somebody else',
      false,
      builder,
      'ec2:RunInstances',
      image,
      tagged('production', { 'ec2:Owner': '999999999999' }),
    ],
    [
      ...(['what was laid aside since, too', true, builder, 'ec2:TerminateInstances', instance] as const),
      tagged('retired', launched),
    ],
    [
      'what was launched so is terminated',
      true,
      builder,
      'ec2:TerminateInstances',
      instance,
      tagged('production', launched),
    ],
    ['what was not is not', false, builder, 'ec2:TerminateInstances', instance, tagged('production')],
  ];
  let verdicts: Verdict[];

  beforeAll(async () => {
    verdicts = await ask(
      rows.map(([, , who, action, resource, context]) => ({
        ...{ action, resource, context: context as Record<string, string | readonly string[]> },
        policies: holders.get(`isso-production-${who}`)?.policies ?? [],
      })),
    );
  }, 60_000);

  test.each(rows.map(([what, may], index) => [what, may, index] as const))('%s', (_, may, index) => {
    expect(verdicts[index]?.allowed).toBe(may);
  });
});
