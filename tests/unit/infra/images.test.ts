import { beforeAll, describe, expect, test } from '@jest/globals';
import { attach, type Holder, holdersIn } from '../../../rehearsal/policies/foundation.ts';
import { ask, type Question, type Verdict } from '../../../rehearsal/policies/question.ts';

const [account, region] = ['123456789012', 'us-east-2'];
const parameters = {
  ...{ App: 'isso', Environment: 'staging', Repository: 'acme/isso', RepositoryId: '42', Proofs: 'true' },
  ...{ StateBucketName: 'isso-understudy', BackupBucketName: 'isso-understudy-backups' },
  WorkflowRefs: [`understudy-actions/understudy/.github/workflows/create-ami.yml@${'a'.repeat(40)}`],
  OidcProviderArn: `arn:aws:iam::${account}:oidc-provider/token.actions.githubusercontent.com`,
};

/** The roles with all that the three templates give them. */
function holders(): Map<string, Holder> {
  const templates = (['foundation', 'drill', 'images'] as const).map((file) =>
    holdersIn({ account, region, parameters }, file),
  );
  return attach(new Map(templates.flatMap((each) => [...each])));
}

const instance = `arn:aws:ec2:${region}:${account}:instance/i-0123456789abcdef0`;
const image = `arn:aws:ec2:${region}::image/ami-0123456789abcdef0`;
const snapshot = `arn:aws:ec2:${region}::snapshot/snap-0123456789abcdef0`;
const document = (name: string) => `arn:aws:ssm:${region}:${account}:document/${name}`;
const stack = `arn:aws:cloudformation:${region}:${account}:stack/isso-staging-drill-host-image-7-1/0a1b`;
const of = (Environment: string, App = 'isso') => ({
  'aws:ResourceTag/App': App,
  'aws:ResourceTag/Environment': Environment,
});
const own = (Environment = 'staging') => ({ ...of(Environment), 'aws:ResourceTag/Understudy': 'image' });
const made = {
  ...{ 'aws:RequestTag/App': 'isso', 'aws:RequestTag/Environment': 'staging' },
  'aws:RequestTag/Understudy': 'image',
};
const asGolden = { 'aws:RequestTag/Golden': 'true', 'aws:TagKeys': ['Golden'] };
const creating = { ...made, 'ec2:CreateAction': 'CreateImage' };

type Row = readonly [
  may: boolean,
  what: string,
  action: string,
  resource: string,
  context?: Question['context'],
];

const deployer: Row[] = [
  [true, 'make an image of its instance', 'ec2:CreateImage', instance, of('staging')],
  [true, 'make it with its tags', 'ec2:CreateImage', image, made],
  [true, 'and its snapshots', 'ec2:CreateImage', snapshot, made],
  [true, 'tag it as it is made', 'ec2:CreateTags', image, creating],
  [true, 'date it', 'ec2:EnableImageDeprecation', image, own()],
  [true, 'remove it', 'ec2:DeregisterImage', image, own()],
  [true, 'remove its snapshots', 'ec2:DeleteSnapshot', snapshot, own()],
  [true, 'see what uses it', 'autoscaling:DescribeLaunchConfigurations', '*'],
  [false, "make one of production's instance", 'ec2:CreateImage', instance, of('production')],
  [false, "make one of another app's instance", 'ec2:CreateImage', instance, of('staging', 'other')],
  [false, 'make one without tags', 'ec2:CreateImage', image, {}],
  [false, 'make one that is golden', 'ec2:CreateImage', image, { ...made, 'aws:RequestTag/Golden': 'true' }],
  [false, 'call one golden', 'ec2:CreateTags', image, { ...own(), ...asGolden }],
  [false, "remove production's", 'ec2:DeregisterImage', image, own('production')],
  [false, "remove production's snapshots", 'ec2:DeleteSnapshot', snapshot, own('production')],
  [false, 'remove one that is not of our making', 'ec2:DeregisterImage', image, of('staging')],
  [false, 'share one', 'ec2:ModifyImageAttribute', image, own()],
  [false, 'copy one away', 'ec2:CopyImage', image, own()],
  [false, 'run an instance', 'ec2:RunInstances', image, own()],
  [false, 'have a drill host made', 'cloudformation:CreateStack', stack, {}],
  [false, 'prepare a host', 'ssm:SendCommand', document('isso-prepare-host')],
];

const prover: Row[] = [
  [true, 'call an image golden', 'ec2:CreateTags', image, { ...own(), ...asGolden }],
  [true, 'remove the host of a proof', 'cloudformation:DeleteStack', stack],
  [true, 'prepare it', 'ssm:SendCommand', document('isso-prepare-host')],
  [true, 'send to it', 'ssm:SendCommand', instance, { ...of('drill'), 'aws:ResourceTag/Drilled': 'staging' }],
  [false, 'call one of production golden', 'ec2:CreateTags', image, { ...own('production'), ...asGolden }],
  [false, 'call any image golden', 'ec2:CreateTags', image, asGolden],
  [
    false,
    'make it one of production',
    'ec2:CreateTags',
    image,
    { ...own(), 'aws:RequestTag/Environment': 'production', 'aws:TagKeys': ['Environment'] },
  ],
  [false, 'make an image', 'ec2:CreateImage', instance, of('staging')],
  [false, 'remove an image', 'ec2:DeregisterImage', image, own()],
  [false, 'send to an instance of staging', 'ssm:SendCommand', instance, of('staging')],
];

describe.each([
  ['isso-staging-ci', deployer],
  ['isso-staging-drill', prover],
])('%s', (who, rows) => {
  let verdicts: Verdict[];
  beforeAll(async () => {
    const policies = holders().get(who)?.policies ?? [];
    verdicts = await ask(
      rows.map(([, , action, resource, context]) => ({
        ...{ action, resource, policies },
        ...(context && { context }),
      })),
    );
  }, 60_000);

  test.each(rows.map((row, index) => [row[0] ? 'may' : 'may not', row[1], row[0], index] as const))(
    '%s %s',
    (_, __, may, index) => {
      expect(verdicts[index]).toMatchObject({ allowed: may });
    },
  );
});
