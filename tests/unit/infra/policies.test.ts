import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { repositoryFolder } from '../../../rehearsal/ground/places.ts';
import { findDeniedCalls } from '../../../rehearsal/policies/calls.ts';
import { type Holder, holdersIn } from '../../../rehearsal/policies/foundation.ts';
import { ask, type Question, type Verdict } from '../../../rehearsal/policies/question.ts';

const account = '123456789012';
const region = 'us-east-2';
const provider = `arn:aws:iam::${account}:oidc-provider/token.actions.githubusercontent.com`;
const workflow = `understudy-actions/understudy/.github/workflows/deploy-staging.yml@${'a'.repeat(40)}`;

function foundation(parameters: Record<string, string | string[]> = {}): Map<string, Holder> {
  return holdersIn({
    account,
    region,
    parameters: {
      App: 'isso',
      Environment: 'staging',
      Repository: 'acme/isso',
      RepositoryId: '42',
      WorkflowRefs: [workflow],
      StateBucketName: 'isso-understudy',
      BackupBucketName: 'isso-understudy-backups',
      ...parameters,
    },
  });
}

const drillWorkflow = workflow.replace('deploy-staging', 'verify-backup');

function drills(change: Record<string, string | string[]> = {}): Map<string, Holder> {
  const named = { App: 'isso', Environment: 'staging', Repository: 'acme/isso', RepositoryId: '42' };
  const own = { WorkflowRefs: [drillWorkflow], OidcProviderArn: provider };
  const parameters = { ...named, ...own, BackupBucketName: 'isso-understudy-backups' };
  return holdersIn({ account, region, parameters: { ...parameters, ...change } }, 'drill');
}

const holders = new Map([...foundation(), ...drills()]);
const document = (name: string) => `arn:aws:ssm:${region}:${account}:document/${name}`;
const instance = `arn:aws:ec2:${region}:${account}:instance/i-0123456789abcdef0`;
const state = (key: string) => `arn:aws:s3:::isso-understudy/${key}`;
const backups = (key: string) => `arn:aws:s3:::isso-understudy-backups/${key}`;
const parameter = (path: string) => `arn:aws:ssm:${region}:${account}:parameter${path}`;
const tags = (App: string, Environment: string) => ({
  'aws:ResourceTag/App': App,
  'aws:ResourceTag/Environment': Environment,
});
const create = { 's3:if-none-match': '*' };
const swap = { 's3:if-match': '"0123456789abcdef"' };

type Context = NonNullable<Question['context']>;
type Row = readonly [what: string, action: string, resource: string, context?: Context];

interface Table {
  readonly who: string;
  readonly may: readonly Row[];
  readonly mayNot: readonly Row[];
}

const tables: Table[] = [
  {
    who: 'isso-staging-ci',
    may: [
      ['send the deploy document', 'ssm:SendCommand', document('isso-deploy')],
      ['send the probe document', 'ssm:SendCommand', document('isso-probe')],
      ['send the cancel document', 'ssm:SendCommand', document('isso-cancel')],
      ['send to an instance of staging', 'ssm:SendCommand', instance, tags('isso', 'staging')],
      ['see whether a document is ours', 'ssm:DescribeDocument', document('isso-deploy')],
      ['follow commands', 'ssm:ListCommandInvocations', '*'],
      ['find a command again', 'ssm:ListCommands', '*'],
      ['cancel a command', 'ssm:CancelCommand', '*'],
      ['see which agents are online', 'ssm:DescribeInstanceInformation', '*'],
      ['find instances', 'ec2:DescribeInstances', '*'],
      ['store a release once', 's3:PutObject', state('releases/isso/staging/1.tar.gz'), create],
      ['read a release', 's3:GetObject', state('releases/isso/staging/1.tar.gz')],
      ['take a commit for a release', 's3:PutObject', state('commits/isso/1.json'), create],
      ['write a receipt once', 's3:PutObject', state('receipts/isso/staging/1/2/3.json'), create],
      ['write into the ledger', 's3:PutObject', state('ledger/isso/staging/1.json'), create],
      ['take the lease', 's3:PutObject', state('leases/isso/staging.json'), create],
      ['renew the lease it read', 's3:PutObject', state('leases/isso/staging.json'), swap],
      ['ask something of a host', 's3:PutObject', state('requests/isso/staging/1/a.json'), create],
      ['back up', 'ssm:SendCommand', document('isso-backup')],
      ['read results', 's3:GetObject', state('results/isso/staging/1/i-1.json')],
      ['read logs', 's3:GetObject', state('logs/isso/staging/1/i-1.log')],
      ['read a manifest', 's3:GetObject', backups('backups/isso/staging/daily/1/manifest.json')],
      [
        'look at what a host stored',
        's3:GetObject',
        backups('backups/isso/staging/daily/1/database-0.sqlite.zst'),
      ],
      ['compare with what is proven', 's3:GetObject', backups('proven/isso/staging/1/manifest.json')],
      ['list backups', 's3:ListBucket', 'arn:aws:s3:::isso-understudy-backups'],
      [
        'see that the backups are closed',
        's3:GetBucketPublicAccessBlock',
        'arn:aws:s3:::isso-understudy-backups',
      ],
      ['tell a missing key from a forbidden one', 's3:ListBucket', 'arn:aws:s3:::isso-understudy'],
      ['see that the bucket is closed', 's3:GetBucketPublicAccessBlock', 'arn:aws:s3:::isso-understudy'],
    ],
    mayNot: [
      ['prepare a host', 'ssm:SendCommand', document('isso-prepare-host')],
      ['run a shell command', 'ssm:SendCommand', document('AWS-RunShellScript')],
      ['send the documents of another app', 'ssm:SendCommand', document('other-deploy')],
      ['send to an instance of production', 'ssm:SendCommand', instance, tags('isso', 'production')],
      ['send to an instance of another app', 'ssm:SendCommand', instance, tags('other', 'staging')],
      ['send to an instance without tags', 'ssm:SendCommand', instance, {}],
      ['change a document', 'ssm:UpdateDocument', document('isso-deploy')],
      ['open a session', 'ssm:StartSession', instance, tags('isso', 'staging')],
      ['make an association', 'ssm:CreateAssociation', document('isso-deploy')],
      ['read secrets', 'ssm:GetParametersByPath', parameter('/isso/staging')],
      ['change user data', 'ec2:ModifyInstanceAttribute', instance, tags('isso', 'staging')],
      ['stop an instance', 'ec2:StopInstances', instance, tags('isso', 'staging')],
      ['overwrite a release', 's3:PutObject', state('releases/isso/staging/1.tar.gz'), {}],
      ['overwrite a receipt', 's3:PutObject', state('receipts/isso/staging/1/2/3.json'), swap],
      ['rewrite the ledger', 's3:PutObject', state('ledger/isso/staging/1.json'), {}],
      ['break a lease without looking', 's3:PutObject', state('leases/isso/staging.json'), {}],
      ['delete a lease', 's3:DeleteObject', state('leases/isso/staging.json')],
      ['delete from the ledger', 's3:DeleteObject', state('ledger/isso/staging/1.json')],
      ["write production's releases", 's3:PutObject', state('releases/isso/production/1.tar.gz'), create],
      ["write production's receipts", 's3:PutObject', state('receipts/isso/production/1/2/3.json'), create],
      ["take production's lease", 's3:PutObject', state('leases/isso/production.json'), create],
      ["read production's results", 's3:GetObject', state('results/isso/production/1/i-1.json')],
      ['forge results', 's3:PutObject', state('results/isso/staging/1/i-1.json'), create],
      ['restore', 'ssm:SendCommand', document('isso-restore')],
      ["read production's backups", 's3:GetObject', backups('backups/isso/production/daily/1/manifest.json')],
      ["read another app's backups", 's3:GetObject', backups('backups/isso2/staging/daily/1/manifest.json')],
      ['write a backup', 's3:PutObject', backups('backups/isso/staging/daily/1/app.db'), create],
      ['write among the proven', 's3:PutObject', backups('proven/isso/staging/1/manifest.json'), create],
      ['write a proof of a drill', 's3:PutObject', backups('drills/isso/staging/1.json'), create],
      ['delete a backup', 's3:DeleteObject', backups('backups/isso/staging/daily/1/app.db')],
      ['change the lifecycle', 's3:PutLifecycleConfiguration', 'arn:aws:s3:::isso-understudy'],
      ['change its own role', 'iam:PutRolePolicy', `arn:aws:iam::${account}:role/isso-staging-ci`],
      ['hand a role on', 'iam:PassRole', `arn:aws:iam::${account}:role/isso-staging-host`],
    ],
  },
  {
    who: 'isso-staging-host',
    may: [
      ['poll for commands', 'ec2messages:GetMessages', '*'],
      ['reply', 'ec2messages:SendReply', '*'],
      ['say that it is there', 'ssm:UpdateInstanceInformation', instance],
      ['fetch a release', 's3:GetObject', state('releases/isso/staging/1.tar.gz')],
      ['read what it was asked', 's3:GetObject', state('requests/isso/staging/1/a.json')],
      ['tell a result once', 's3:PutObject', state('results/isso/staging/1/i-1.json'), create],
      ['write a log once', 's3:PutObject', state('logs/isso/staging/1/i-1.log'), create],
      ['store a backup once', 's3:PutObject', backups('backups/isso/staging/daily/1/manifest.json'), create],
      ['load its secrets', 'ssm:GetParametersByPath', parameter('/isso/staging')],
    ],
    mayNot: [
      ['write a release', 's3:PutObject', state('releases/isso/staging/1.tar.gz'), create],
      ["fetch production's releases", 's3:GetObject', state('releases/isso/production/1.tar.gz')],
      ['write a receipt', 's3:PutObject', state('receipts/isso/staging/1/2/3.json'), create],
      ['write into the ledger', 's3:PutObject', state('ledger/isso/staging/1.json'), create],
      ['touch the lease', 's3:PutObject', state('leases/isso/staging.json'), swap],
      ['change a result', 's3:PutObject', state('results/isso/staging/1/i-1.json'), {}],
      ['delete a log', 's3:DeleteObject', state('logs/isso/staging/1/i-1.log')],
      ['list the state', 's3:ListBucket', 'arn:aws:s3:::isso-understudy'],
      ['overwrite a backup', 's3:PutObject', backups('backups/isso/staging/daily/1/app.db'), {}],
      ['replace a backup', 's3:PutObject', backups('backups/isso/staging/daily/1/app.db'), swap],
      [
        "write production's backups",
        's3:PutObject',
        backups('backups/isso/production/daily/1/app.db'),
        create,
      ],
      [
        "write another app's backups",
        's3:PutObject',
        backups('backups/isso2/staging/daily/1/app.db'),
        create,
      ],
      ['write among the proven', 's3:PutObject', backups('proven/isso/staging/1/manifest.json'), create],
      ['write a proof of a drill', 's3:PutObject', backups('drills/isso/staging/1.json'), create],
      ['read a backup', 's3:GetObject', backups('backups/isso/staging/daily/1/app.db')],
      ['tag a backup', 's3:PutObjectTagging', backups('backups/isso/staging/daily/1/app.db')],
      ['unlock a backup', 's3:PutObjectRetention', backups('backups/isso/staging/daily/1/app.db')],
      ['delete a backup', 's3:DeleteObject', backups('backups/isso/staging/daily/1/app.db')],
      [
        'delete a version of a backup',
        's3:DeleteObjectVersion',
        backups('backups/isso/staging/daily/1/app.db'),
      ],
      ['list backups', 's3:ListBucket', 'arn:aws:s3:::isso-understudy-backups'],
      ["load production's secrets", 'ssm:GetParametersByPath', parameter('/isso/production')],
      ["load another app's secrets", 'ssm:GetParametersByPath', parameter('/isso/staging2')],
      ['read any parameter', 'ssm:GetParameter', parameter('/other')],
      ['send commands', 'ssm:SendCommand', instance, tags('isso', 'staging')],
    ],
  },
  {
    who: 'isso-staging-drill',
    may: [
      ['read a backup', 's3:GetObject', backups('backups/isso/staging/daily/1/app.db')],
      ['read what was proven', 's3:GetObject', backups('proven/isso/staging/1/manifest.json')],
      ['read receipts', 's3:GetObject', backups('drills/isso/staging/1.json')],
      ['find backups', 's3:ListBucket', 'arn:aws:s3:::isso-understudy-backups'],
      ['keep what is proven once', 's3:PutObject', backups('proven/isso/staging/1/app.db'), create],
      ['write a receipt once', 's3:PutObject', backups('drills/isso/staging/1.json'), create],
      [
        'see that the backups are closed',
        's3:GetBucketPublicAccessBlock',
        'arn:aws:s3:::isso-understudy-backups',
      ],
    ],
    mayNot: [
      ["read production's backups", 's3:GetObject', backups('backups/isso/production/daily/1/app.db')],
      ["read another app's backups", 's3:GetObject', backups('backups/isso2/staging/daily/1/app.db')],
      ['write a backup', 's3:PutObject', backups('backups/isso/staging/daily/1/app.db'), create],
      ['overwrite what is proven', 's3:PutObject', backups('proven/isso/staging/1/app.db'), {}],
      ['overwrite a receipt', 's3:PutObject', backups('drills/isso/staging/1.json'), swap],
      ['delete a backup', 's3:DeleteObject', backups('backups/isso/staging/daily/1/app.db')],
      ['delete a receipt', 's3:DeleteObject', backups('drills/isso/staging/1.json')],
      ['unlock a backup', 's3:PutObjectRetention', backups('backups/isso/staging/daily/1/app.db')],
      ['read the state', 's3:GetObject', state('releases/isso/staging/1.tar.gz')],
      ['take the lease', 's3:PutObject', state('leases/isso/staging.json'), create],
      ['send a command', 'ssm:SendCommand', document('isso-restore')],
      ['send to an instance', 'ssm:SendCommand', instance, tags('isso', 'staging')],
      ['load secrets', 'ssm:GetParametersByPath', parameter('/isso/staging')],
    ],
  },
  {
    who: 'isso-staging-operator',
    may: [
      ['prepare a host', 'ssm:SendCommand', document('isso-prepare-host')],
      ['send to an instance of staging', 'ssm:SendCommand', instance, tags('isso', 'staging')],
      ['read the ledger', 's3:GetObject', state('ledger/isso/staging/1.json')],
      ['restore', 'ssm:SendCommand', document('isso-restore')],
      ['back up by hand', 'ssm:SendCommand', document('isso-backup')],
      ['read a backup', 's3:GetObject', backups('backups/isso/staging/daily/1/app.db')],
      ['find a backup', 's3:ListBucket', 'arn:aws:s3:::isso-understudy-backups'],
      ['ask for a restore', 's3:PutObject', state('requests/isso/staging/1.json'), create],
    ],
    mayNot: [
      ['deploy', 'ssm:SendCommand', document('isso-deploy')],
      ['send to an instance of production', 'ssm:SendCommand', instance, tags('isso', 'production')],
      ['write a release', 's3:PutObject', state('releases/isso/staging/1.tar.gz'), create],
      ['write a backup', 's3:PutObject', backups('backups/isso/staging/daily/1/app.db'), create],
      ['delete a backup', 's3:DeleteObject', backups('backups/isso/staging/daily/1/app.db')],
    ],
  },
];

const questionOf = (who: string, [, action, resource, context = {}]: Row): Question => ({
  action,
  resource,
  context,
  policies: holders.get(who)?.policies ?? [],
});

describe.each(tables)('$who', ({ who, may, mayNot }) => {
  let verdicts: Verdict[];
  beforeAll(async () => {
    verdicts = await ask([...may, ...mayNot].map((row) => questionOf(who, row)));
  }, 60_000);

  test.each(may.map((row, index) => [row[0], index] as const))('may %s', (_, index) => {
    expect(verdicts[index]).toEqual({ allowed: true, because: '' });
  });

  // Denied by the policies, that is, and not because the question itself was wrong.
  test.each(mayNot.map((row, index) => [row[0], index] as const))('may not %s', (_, index) => {
    expect(verdicts[may.length + index]).toEqual({ allowed: false, because: 'ImplicitlyDenied' });
  });
});

test('what CI may do whatever the resource is the hole that SECURITY.md names, and no more', () => {
  const statements = (holders.get('isso-staging-ci')?.policies ?? []).flatMap(
    (policy) => (policy as { Statement: { Action: string | string[]; Resource: unknown }[] }).Statement,
  );
  const anywhere = statements.filter(({ Resource }) => JSON.stringify(Resource).includes('"*"'));
  const actions = anywhere.flatMap(({ Action }) => Action);
  const inventory = ['ssm:ListCommands', 'ssm:DescribeInstanceInformation', 'ec2:DescribeInstances'];
  const hole = ['ssm:CancelCommand', 'ssm:ListCommandInvocations'];
  expect(actions.toSorted()).toEqual([...inventory, ...hole].toSorted());
  const told = ['SECURITY.md', 'infra/README.md', 'README.md'].map((file) =>
    readFileSync(join(repositoryFolder, file), 'utf8').replaceAll(/\s+/g, ' '),
  );
  for (const action of hole) expect(told[0]).toContain(`\`${action}\``);
  for (const text of told) expect(text).toMatch(/[Tt]wo accounts/);
});

test('a host decrypts through Parameter Store alone, and its own secrets alone', () => {
  // The engine does not know the keys of an encryption context.
  const statements = (holders.get('isso-staging-host')?.policies ?? []).flatMap(
    (policy) => (policy as { Statement: { Action: unknown; Condition?: unknown }[] }).Statement,
  );
  const decrypting = statements.filter(({ Action }) => JSON.stringify(Action).includes('kms:'));
  expect(decrypting.map(({ Action, Condition }) => [Action, Condition])).toEqual([
    [
      'kms:Decrypt',
      {
        StringEquals: { 'kms:ViaService': `ssm.${region}.amazonaws.com` },
        StringLike: { 'kms:EncryptionContext:PARAMETER_ARN': parameter('/isso/staging/*') },
      },
    ],
  ]);
});

describe.each([
  ['isso-staging-ci', foundation, 'deploy-staging'],
  ['isso-staging-drill', drills, 'verify-backup'],
] as const)('who may become %s', (role, made, file) => {
  const claims = {
    aud: 'sts.amazonaws.com',
    sub: 'repo:acme/isso:environment:staging',
    repository_id: '42',
    ref: 'refs/heads/main',
    job_workflow_ref: workflow.replace('deploy-staging', file),
  };
  const newSubject = { SubjectPrefix: 'repo:acme@7/isso@42' };
  const tagged = {
    WorkflowRefs: [`understudy-actions/understudy/.github/workflows/${file}.yml@refs/tags/v*`],
  };
  const workflowAt = (ref: string) => ({
    job_workflow_ref: `understudy-actions/understudy/.github/workflows/${file}.yml@${ref}`,
  });

  const rows: [string, boolean, Partial<typeof claims>, Record<string, string | string[]>?][] = [
    ['the job of our environment, on main, in our workflow', true, {}],
    ['a job of another environment', false, { sub: 'repo:acme/isso:environment:production' }],
    ['a job without an environment', false, { sub: 'repo:acme/isso:ref:refs/heads/main' }],
    ['a pull request', false, { sub: 'repo:acme/isso:pull_request', ref: 'refs/pull/1/merge' }],
    ['another branch', false, { ref: 'refs/heads/try' }],
    ['a branch that begins like main', false, { ref: 'refs/heads/main2' }],
    ['another repository of that name', false, { repository_id: '43' }],
    ['a fork', false, { sub: 'repo:evil/isso:environment:staging', repository_id: '44' }],
    [
      "the repository's own workflow",
      false,
      { job_workflow_ref: 'acme/isso/.github/workflows/own.yml@refs/heads/main' },
    ],
    ['another workflow of ours', false, { job_workflow_ref: workflow.replace('deploy-staging', 'other') }],
    ['our workflow at another commit', false, workflowAt('b'.repeat(40))],
    ['a token for somebody else', false, { aud: 'https://github.com/acme' }],
    [
      'a new repository, whose subject has ids',
      true,
      { sub: 'repo:acme@7/isso@42:environment:staging' },
      newSubject,
    ],
    ['the old subject, where the new one is expected', false, {}, newSubject],
    ['a release of our workflow, where tags are allowed', true, workflowAt('refs/tags/v1.2.3'), tagged],
    ['a commit of our workflow, where tags are allowed', false, workflowAt('c'.repeat(40)), tagged],
    [
      'a tag of the app, where tags may deploy',
      true,
      { ref: 'refs/tags/v1.0.0' },
      { Refs: ['refs/tags/v*'] },
    ],
    ['main, where tags may deploy', false, {}, { Refs: ['refs/tags/v*'] }],
  ];
  let verdicts: Verdict[];

  beforeAll(async () => {
    const questions = rows.map(([, , changed, parameters]): Question => {
      const told = Object.entries({ ...claims, ...changed });
      return {
        action: 'sts:AssumeRoleWithWebIdentity',
        resource: `arn:aws:iam::${account}:role/${role}`,
        context: Object.fromEntries(
          told.map(([key, value]) => [`token.actions.githubusercontent.com:${key}`, value]),
        ),
        policies: [],
        trust: made(parameters).get(role)?.trust ?? null,
        provider,
      };
    });
    verdicts = await ask(questions);
  }, 60_000);

  test.each(rows.map(([who, may], index) => [who, may, index] as const))('%s: %s', (_who, may, index) => {
    expect(verdicts[index]?.allowed).toBe(may);
  });
});

describe('calls that were recorded', () => {
  const call = (principal: string, service: string, action: string, resource: string) => ({
    principal,
    service,
    action,
    resource,
  });

  test('are told when the shipped policies would deny them, each once', async () => {
    const forbidden = call(
      'role/isso-staging-host',
      's3',
      'PutObject',
      state('releases/isso/staging/1.tar.gz'),
    );
    const denied = await findDeniedCalls(
      [
        call('role/isso-staging-ci', 's3', 'HeadObject', state('releases/isso/staging/1.tar.gz')),
        call('role/isso-staging-ci', 's3', 'PutObject', state('leases/isso/staging.json')),
        call('role/isso-staging-ci', 'ssm', 'SendCommand', document('isso-deploy')),
        call('role/isso-staging-ci', 'ssm', 'ListCommandInvocations', '*'),
        call('role/isso-staging-ci', 'ssm', 'ListCommandInvocations', instance),
        call('role/isso-staging-host', 'ec2messages', 'GetMessages', instance),
        call('role/isso-staging-host', 'ssm', 'ListInstanceAssociations', instance),
        call('role/isso-staging-host', 'ssm', 'RegisterManagedInstance', '*'),
        call('operator', 'ssm', 'SendCommand', document('isso-prepare-host')),
        forbidden,
        forbidden,
      ],
      holders,
    );
    expect(denied).toEqual([{ ...forbidden, because: 'ImplicitlyDenied' }]);
  }, 60_000);

  test('of a role that the foundation does not make are all denied', async () => {
    const unknown = call('role/somebody', 'ec2', 'DescribeInstances', '*');
    await expect(findDeniedCalls([unknown], holders)).resolves.toEqual([
      { ...unknown, because: 'ImplicitlyDenied' },
    ]);
  }, 60_000);
});
