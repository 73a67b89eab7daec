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

const promoteWorkflow = workflow.replace('deploy-staging', 'promote');

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
      PromotesTo: 'production',
      PromoteWorkflowRefs: [promoteWorkflow],
      StateBucketName: 'isso-understudy',
      BackupBucketName: 'isso-understudy-backups',
      ...parameters,
    },
  });
}

/** What a stack beside the foundation makes, whose role the jobs of one workflow take. */
function beside(
  file: 'drill' | 'rollback',
  of: string,
  change: Record<string, string | string[]> = {},
): Map<string, Holder> {
  const named = { App: 'isso', Environment: 'staging', Repository: 'acme/isso', RepositoryId: '42' };
  const own = { WorkflowRefs: [workflow.replace('deploy-staging', of)], OidcProviderArn: provider };
  const buckets = { StateBucketName: 'isso-understudy', BackupBucketName: 'isso-understudy-backups' };
  const parameters = { ...named, ...own, ...buckets };
  return holdersIn({ account, region, parameters: { ...parameters, ...change } }, file);
}

const drills = (change = {}) => beside('drill', 'verify-backup', change);
const rollbacks = (change = {}) => beside('rollback', 'rollback', change);

const holders = new Map([...foundation(), ...drills(), ...rollbacks()]);
const document = (name: string) => `arn:aws:ssm:${region}:${account}:document/${name}`;
const instance = `arn:aws:ec2:${region}:${account}:instance/i-0123456789abcdef0`;
const state = (key: string) => `arn:aws:s3:::isso-understudy/${key}`;
const backups = (key: string) => `arn:aws:s3:::isso-understudy-backups/${key}`;
const parameter = (path: string) => `arn:aws:ssm:${region}:${account}:parameter${path}`;
const tags = (App: string, Environment: string) => ({
  'aws:ResourceTag/App': App,
  'aws:ResourceTag/Environment': Environment,
});
const stack = (name: string) => `arn:aws:cloudformation:${region}:${account}:stack/${name}/0a1b2c3d`;
const drillStack = stack('isso-staging-drill-host-7-1');
const role = (name: string) => `arn:aws:iam::${account}:role/${name}`;
const profile = (name: string) => `arn:aws:iam::${account}:instance-profile/${name}`;
const ec2 = (what: string) => `arn:aws:ec2:${region}:${account}:${what}`;
const image = `arn:aws:ec2:${region}::image/ami-0123456789abcdef0`;
const template = (bucket: string, name: string) => ({
  'cloudformation:TemplateUrl': `https://${bucket}.s3.${region}.amazonaws.com/templates/${name}.yaml`,
});
const builder = { 'cloudformation:RoleArn': role('isso-staging-drill-builder') };
const drillHost = { 'aws:RequestTag/App': 'isso', 'aws:RequestTag/Environment': 'drill' };
/** CreateStack as a drill asks for it. */
const asked = { ...template('isso-understudy', 'drill-host'), ...builder, ...drillHost };
const drillTags = { ...tags('isso', 'drill'), 'aws:ResourceTag/Drilled': 'staging' };
/** RunInstances as CloudFormation asks for the template's instance. */
const run = {
  ...{ ...drillHost, 'aws:RequestTag/Drilled': 'staging', 'ec2:MetadataHttpTokens': 'required' },
  'ec2:InstanceProfile': profile('isso-staging-drill-host'),
};
const passed = (service: string) => ({ 'iam:PassedToService': `${service}.amazonaws.com` });
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
    who: 'isso-staging-promoter',
    may: [
      ['send the probe', 'ssm:SendCommand', document('isso-probe')],
      ['send to an instance of staging', 'ssm:SendCommand', instance, tags('isso', 'staging')],
      ['follow it', 'ssm:ListCommandInvocations', '*'],
      ['find the instances', 'ec2:DescribeInstances', '*'],
      ['read the release of a commit', 's3:GetObject', state('commits/isso/1.json')],
      ['read a release', 's3:GetObject', state('releases/isso/staging/1.tar.gz')],
      ['find a receipt', 's3:ListBucket', 'arn:aws:s3:::isso-understudy'],
      ['read a receipt', 's3:GetObject', state('receipts/isso/staging/1/2/3.json')],
    ],
    mayNot: [
      ['deploy', 'ssm:SendCommand', document('isso-deploy')],
      ['send to an instance of production', 'ssm:SendCommand', instance, tags('isso', 'production')],
      ['cancel a command', 'ssm:CancelCommand', '*'],
      ['write a receipt', 's3:PutObject', state('receipts/isso/staging/1/2/3.json'), create],
      ['write a release', 's3:PutObject', state('releases/isso/staging/1.tar.gz'), create],
      ['take a commit for a release', 's3:PutObject', state('commits/isso/1.json'), create],
      ['take the lease', 's3:PutObject', state('leases/isso/staging.json'), create],
      ['read the backups', 's3:GetObject', backups('backups/isso/staging/daily/1/manifest.json')],
      ['stop an instance', 'ec2:StopInstances', instance, tags('isso', 'staging')],
    ],
  },
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
      ['write down what a tag is', 's3:PutObject', state('tags/isso/v1.4.0.json'), create],
      ['see what a tag was', 's3:GetObject', state('tags/isso/v1.4.0.json')],
      ['roll back', 'ssm:SendCommand', document('isso-rollback')],
      ['write a receipt once', 's3:PutObject', state('receipts/isso/staging/1/2/3.json'), create],
      ['write into the ledger', 's3:PutObject', state('ledger/isso/staging/1.json'), create],
      ['take the lease', 's3:PutObject', state('leases/isso/staging.json'), create],
      ['renew the lease it read', 's3:PutObject', state('leases/isso/staging.json'), swap],
      ['ask something of a host', 's3:PutObject', state('requests/isso/staging/1/a.json'), create],
      ['back up', 'ssm:SendCommand', document('isso-backup')],
      ['roll back', 'ssm:SendCommand', document('isso-rollback')],
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
      ['retire a host', 'ssm:SendCommand', document('isso-retire')],
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
      ['move a tag', 's3:PutObject', state('tags/isso/v1.4.0.json'), swap],
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
      ['make a drill host', 'cloudformation:CreateStack', drillStack, asked],
      ['hand the builder on', 'iam:PassRole', role('isso-staging-drill-builder'), passed('cloudformation')],
      ['read the template', 's3:GetObject', state('templates/drill-host.yaml')],
      ['follow it', 'cloudformation:DescribeStacks', drillStack],
      ['see why it failed', 'cloudformation:DescribeStackEvents', drillStack],
      ['remove it', 'cloudformation:DeleteStack', drillStack],
      ['prepare it', 'ssm:SendCommand', document('isso-prepare-host')],
      ['restore on it', 'ssm:SendCommand', document('isso-restore')],
      ['probe it', 'ssm:SendCommand', document('isso-probe')],
      ['send to it', 'ssm:SendCommand', instance, drillTags],
      ['follow commands', 'ssm:ListCommandInvocations', '*'],
      ['see that it is online', 'ssm:DescribeInstanceInformation', '*'],
      ['ask for a restore', 's3:PutObject', state('requests/isso/drill/1.json'), create],
      ['read the result', 's3:GetObject', state('results/isso/drill/1/i-1.json')],
      ['read the log', 's3:GetObject', state('logs/isso/drill/1/i-1.log')],
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
      ['deploy', 'ssm:SendCommand', document('isso-deploy')],
      ['back up', 'ssm:SendCommand', document('isso-backup')],
      ['run a shell command', 'ssm:SendCommand', document('AWS-RunShellScript')],
      ['send to an instance of staging', 'ssm:SendCommand', instance, tags('isso', 'staging')],
      ['send to an instance of production', 'ssm:SendCommand', instance, tags('isso', 'production')],
      [
        "send to production's drill host",
        'ssm:SendCommand',
        instance,
        { ...drillTags, 'aws:ResourceTag/Drilled': 'production' },
      ],
      [
        "send to another app's drill host",
        'ssm:SendCommand',
        instance,
        { ...drillTags, ...tags('other', 'drill') },
      ],
      ['load secrets', 'ssm:GetParametersByPath', parameter('/isso/staging')],
      ["load a drill's secrets", 'ssm:GetParametersByPath', parameter('/isso/drill')],
      [
        'make a stack of another template',
        'cloudformation:CreateStack',
        drillStack,
        { ...asked, ...template('isso-understudy', 'other') },
      ],
      [
        'make a stack of a template elsewhere',
        'cloudformation:CreateStack',
        drillStack,
        { ...asked, ...template('evil', 'drill-host') },
      ],
      [
        'make a stack of a template of its own',
        'cloudformation:CreateStack',
        drillStack,
        { ...builder, ...drillHost },
      ],
      [
        'make a stack with its own rights',
        'cloudformation:CreateStack',
        drillStack,
        { ...template('isso-understudy', 'drill-host'), ...drillHost },
      ],
      [
        'make a stack with a role of its choice',
        'cloudformation:CreateStack',
        drillStack,
        { ...asked, 'cloudformation:RoleArn': role('admin') },
      ],
      ['make a stack of another name', 'cloudformation:CreateStack', stack('isso-staging'), asked],
      [
        'make a host that counts as production',
        'cloudformation:CreateStack',
        drillStack,
        { ...asked, 'aws:RequestTag/Environment': 'production' },
      ],
      ['change a drill host', 'cloudformation:UpdateStack', drillStack, asked],
      ['change it by a change set', 'cloudformation:CreateChangeSet', drillStack, asked],
      ['delete the stack of the roles', 'cloudformation:DeleteStack', stack('isso-staging-drill')],
      ['delete the stack of production', 'cloudformation:DeleteStack', stack('isso-production')],
      ['become the builder', 'sts:AssumeRole', role('isso-staging-drill-builder')],
      ['give an instance the builder', 'iam:PassRole', role('isso-staging-drill-builder'), passed('ec2')],
      ['hand another role on', 'iam:PassRole', role('isso-production-host'), passed('cloudformation')],
      ['run an instance', 'ec2:RunInstances', instance, run],
      ['change the template', 's3:PutObject', state('templates/drill-host.yaml'), create],
      ['forge results', 's3:PutObject', state('results/isso/drill/1/i-1.json'), create],
      ['ask something of staging', 's3:PutObject', state('requests/isso/staging/1.json'), create],
      ["read staging's results", 's3:GetObject', state('results/isso/staging/1/i-1.json')],
      ['overwrite a request', 's3:PutObject', state('requests/isso/drill/1.json'), {}],
    ],
  },
  {
    who: 'isso-staging-rollback',
    may: [
      ['restore', 'ssm:SendCommand', document('isso-restore')],
      ['go back to a release', 'ssm:SendCommand', document('isso-rollback')],
      ['back up first', 'ssm:SendCommand', document('isso-backup')],
      ['probe', 'ssm:SendCommand', document('isso-probe')],
      ['cancel', 'ssm:SendCommand', document('isso-cancel')],
      ['send to an instance of staging', 'ssm:SendCommand', instance, tags('isso', 'staging')],
      ['read a backup', 's3:GetObject', backups('backups/isso/staging/daily/1/app.db')],
      ['read what was proven', 's3:GetObject', backups('proven/isso/staging/1/app.db')],
      ['find backups', 's3:ListBucket', 'arn:aws:s3:::isso-understudy-backups'],
      ['find releases', 's3:ListBucket', 'arn:aws:s3:::isso-understudy'],
      ['read what steps usually take', 's3:GetObject', state('ledger/isso/staging/1.json')],
      ['write into the ledger', 's3:PutObject', state('ledger/isso/staging/1.json'), create],
      ['ask for a restore', 's3:PutObject', state('requests/isso/staging/1.json'), create],
      ['take the lease', 's3:PutObject', state('leases/isso/staging.json'), create],
      ['renew the lease it read', 's3:PutObject', state('leases/isso/staging.json'), swap],
    ],
    mayNot: [
      ['deploy', 'ssm:SendCommand', document('isso-deploy')],
      ['prepare a host', 'ssm:SendCommand', document('isso-prepare-host')],
      ['run a shell command', 'ssm:SendCommand', document('AWS-RunShellScript')],
      ['send to an instance of production', 'ssm:SendCommand', instance, tags('isso', 'production')],
      ['send to an instance of another app', 'ssm:SendCommand', instance, tags('other', 'staging')],
      ["read production's backups", 's3:GetObject', backups('backups/isso/production/daily/1/app.db')],
      ['write a backup', 's3:PutObject', backups('backups/isso/staging/daily/1/app.db'), create],
      ['delete a backup', 's3:DeleteObject', backups('backups/isso/staging/daily/1/app.db')],
      ['call a backup proven', 's3:PutObject', backups('proven/isso/staging/1/app.db'), create],
      ['store a release', 's3:PutObject', state('releases/isso/staging/1.tar.gz'), create],
      ['take the lease by force', 's3:PutObject', state('leases/isso/staging.json'), {}],
      ['read secrets', 'ssm:GetParametersByPath', parameter('/isso/staging')],
    ],
  },
  {
    who: 'isso-staging-drill-builder',
    may: [
      ['lay a network', 'ec2:CreateVpc', ec2('vpc/vpc-1'), {}],
      ['lay an endpoint', 'ec2:CreateVpcEndpoint', ec2('vpc-endpoint/vpce-1'), {}],
      ['look', 'ec2:DescribeInstances', '*'],
      ['change what it has just made', 'ec2:ModifyVpcAttribute', ec2('vpc/vpc-1'), {}],
      ['remove its network', 'ec2:DeleteVpc', ec2('vpc/vpc-1'), drillTags],
      ['run a drill host', 'ec2:RunInstances', instance, run],
      ['run it from an image', 'ec2:RunInstances', image, { 'ec2:Owner': account }],
      ['run it in its network', 'ec2:RunInstances', ec2('subnet/subnet-1'), drillTags],
      ['tag it as it is run', 'ec2:CreateTags', instance, { 'ec2:CreateAction': 'RunInstances' }],
      ['terminate it', 'ec2:TerminateInstances', instance, drillTags],
      ['give it its role', 'iam:PassRole', role('isso-staging-drill-host'), passed('ec2')],
      ['give its end a role', 'iam:PassRole', role('isso-staging-drill-end'), passed('scheduler')],
      [
        'give it an end',
        'scheduler:CreateSchedule',
        `arn:aws:scheduler:${region}:${account}:schedule/default/isso-staging-drill-host-7-1`,
      ],
    ],
    mayNot: [
      [
        'run it as production',
        'ec2:RunInstances',
        instance,
        { ...run, 'aws:RequestTag/Environment': 'production' },
      ],
      [
        "run it with production's role",
        'ec2:RunInstances',
        instance,
        { ...run, 'ec2:InstanceProfile': profile('isso-production-host') },
      ],
      [
        'run it with the old metadata',
        'ec2:RunInstances',
        instance,
        { ...run, 'ec2:MetadataHttpTokens': 'optional' },
      ],
      ["run it from somebody's image", 'ec2:RunInstances', image, { 'ec2:Owner': '999999999999' }],
      ['run it in another network', 'ec2:RunInstances', ec2('subnet/subnet-1'), tags('isso', 'production')],
      ['terminate an instance of staging', 'ec2:TerminateInstances', instance, tags('isso', 'staging')],
      ['tag an instance that is there', 'ec2:CreateTags', instance, drillHost],
      [
        'tag a network as another',
        'ec2:CreateTags',
        ec2('vpc/vpc-1'),
        { 'aws:RequestTag/Environment': 'staging' },
      ],
      ['remove the network of production', 'ec2:DeleteVpc', ec2('vpc/vpc-1'), tags('isso', 'production')],
      ['open a way out', 'ec2:CreateInternetGateway', ec2('internet-gateway/igw-1'), {}],
      [
        'open the network of production',
        'ec2:AuthorizeSecurityGroupIngress',
        ec2('security-group/sg-1'),
        tags('isso', 'production'),
      ],
      ['change user data', 'ec2:ModifyInstanceAttribute', instance, drillTags],
      ["give it production's role", 'iam:PassRole', role('isso-production-host'), passed('ec2')],
      ['read a backup', 's3:GetObject', backups('backups/isso/staging/daily/1/app.db')],
    ],
  },
  {
    who: 'isso-staging-drill-host',
    may: [
      ['poll for commands', 'ec2messages:GetMessages', '*'],
      ['say that it is there', 'ssm:UpdateInstanceInformation', instance],
      ['read what it was asked', 's3:GetObject', state('requests/isso/drill/1.json')],
      ['tell a result once', 's3:PutObject', state('results/isso/drill/1/i-1.json'), create],
      ['write a log once', 's3:PutObject', state('logs/isso/drill/1/i-1.log'), create],
      ["load a drill's secrets", 'ssm:GetParametersByPath', parameter('/isso/drill')],
    ],
    mayNot: [
      ['read a backup', 's3:GetObject', backups('backups/isso/staging/daily/1/app.db')],
      ['list backups', 's3:ListBucket', 'arn:aws:s3:::isso-understudy-backups'],
      ['add a backup', 's3:PutObject', backups('backups/isso/staging/daily/1/app.db'), create],
      ['write a proof of a drill', 's3:PutObject', backups('drills/isso/staging/1.json'), create],
      ["read staging's requests", 's3:GetObject', state('requests/isso/staging/1.json')],
      ['fetch a release', 's3:GetObject', state('releases/isso/staging/1.tar.gz')],
      ['change a result', 's3:PutObject', state('results/isso/drill/1/i-1.json'), {}],
      ["forge staging's results", 's3:PutObject', state('results/isso/staging/1/i-1.json'), create],
      ["load staging's secrets", 'ssm:GetParametersByPath', parameter('/isso/staging')],
      ['change the template', 's3:PutObject', state('templates/drill-host.yaml'), create],
    ],
  },
  {
    who: 'isso-staging-drill-end',
    may: [['remove a drill host', 'cloudformation:DeleteStack', drillStack]],
    mayNot: [
      ['remove anything else', 'cloudformation:DeleteStack', stack('isso-staging')],
      [
        "remove production's drill host",
        'cloudformation:DeleteStack',
        stack('isso-production-drill-host-7-1'),
      ],
      ['make a stack', 'cloudformation:CreateStack', drillStack, asked],
      ['terminate an instance', 'ec2:TerminateInstances', instance, drillTags],
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

test.each(['isso-staging-ci', 'isso-staging-drill', 'isso-staging-rollback'])(
  'what CI may do whatever the resource is the hole that SECURITY.md names, and no more: %s',
  (who) => {
    const statements = (holders.get(who)?.policies ?? []).flatMap(
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
  },
);

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
  ['isso-staging-ci', foundation, 'deploy-staging', 'staging', 'production'],
  ['isso-staging-promoter', foundation, 'promote', 'production', 'staging'],
  ['isso-staging-drill', drills, 'verify-backup', 'staging', 'production'],
  ['isso-staging-rollback', rollbacks, 'rollback', 'staging', 'production'],
] as const)('who may become %s', (role, made, file, environment, other) => {
  const claims = {
    aud: 'sts.amazonaws.com',
    sub: `repo:acme/isso:environment:${environment}`,
    repository_id: '42',
    ref: 'refs/heads/main',
    job_workflow_ref: workflow.replace('deploy-staging', file),
  };
  const newSubject = { SubjectPrefix: 'repo:acme@7/isso@42' };
  const release = [`understudy-actions/understudy/.github/workflows/${file}.yml@refs/tags/v*`];
  const tagged = { WorkflowRefs: release, PromoteWorkflowRefs: release };
  const workflowAt = (ref: string) => ({
    job_workflow_ref: `understudy-actions/understudy/.github/workflows/${file}.yml@${ref}`,
  });

  const rows: [string, boolean, Partial<typeof claims>, Record<string, string | string[]>?][] = [
    ['the job of our environment, on main, in our workflow', true, {}],
    ['a job of another environment', false, { sub: `repo:acme/isso:environment:${other}` }],
    ['a job without an environment', false, { sub: 'repo:acme/isso:ref:refs/heads/main' }],
    ['a pull request', false, { sub: 'repo:acme/isso:pull_request', ref: 'refs/pull/1/merge' }],
    ['another branch', false, { ref: 'refs/heads/try' }],
    ['a branch that begins like main', false, { ref: 'refs/heads/main2' }],
    ['another repository of that name', false, { repository_id: '43' }],
    ['a fork', false, { sub: `repo:evil/isso:environment:${environment}`, repository_id: '44' }],
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
      { sub: `repo:acme@7/isso@42:environment:${environment}` },
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
    ['main, where tags may deploy', false, {}, { Refs: ['refs/tags/v*'], PromoteRefs: ['refs/tags/v*'] }],
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
