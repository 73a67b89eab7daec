import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CloudWatchLogsClient, DeleteLogGroupCommand } from '@aws-sdk/client-cloudwatch-logs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { callerRepository } from '../../rehearsal/cloud/caller.ts';
import {
  type Cloud,
  launchHost,
  onHost,
  operatorClient,
  startCloud,
  stopCloud,
} from '../../rehearsal/cloud/cloud.ts';
import { enrol } from '../../rehearsal/cloud/enrol.ts';
import { provision } from '../../rehearsal/cloud/provision.ts';
import { wantedResources } from '../../rehearsal/cloud/stacks.ts';
import { repositoryFolder } from '../../rehearsal/ground/places.ts';
import { run } from '../../rehearsal/ground/run.ts';

const name = 'tprov';
const [app, environment] = ['chatmrpt', 'staging'];
const example = join(repositoryFolder, 'examples', app);
let cloud: Cloud;
let folder: string;

beforeAll(async () => {
  await stopCloud(name);
  cloud = await startCloud({ name });
  folder = await callerRepository(cloud, app, example);
}, 120_000);

afterAll(() => stopCloud(name), 60_000);

const logOf = (repository: string): Promise<string> =>
  run(['git', '-C', repository, 'log', '--format=%H', 'main']);

describe('the repository that a push is played from', () => {
  test('is a copy that names the local account, when the folder is an example', () => {
    const config = readFileSync(join(folder, 'understudy.yml'), 'utf8');
    expect(config).toContain(`arn:aws:iam::${cloud.account}:role/`);
    expect(existsSync(join(example, '.git'))).toBe(false);
  });

  test('grows by a commit for each change, and not without one', async () => {
    const source = mkdtempSync(join(tmpdir(), 'understudy-caller-'));
    try {
      cpSync(example, source, { recursive: true });
      writeFileSync(join(source, 'gone.txt'), 'for now');
      const copy = await callerRepository(cloud, 'other', source);
      const first = await logOf(copy);
      await callerRepository(cloud, 'other', source);
      expect(await logOf(copy)).toBe(first);
      rmSync(join(source, 'gone.txt'));
      await callerRepository(cloud, 'other', source);
      expect(await logOf(copy)).toMatch(new RegExp(`^[0-9a-f]{40}\n${first}$`));
      expect(existsSync(join(copy, 'gone.txt'))).toBe(false);
    } finally {
      rmSync(source, { recursive: true });
    }
  });

  test('is the folder itself, when that is a repository that names the local account', async () => {
    expect(await callerRepository(cloud, app, folder)).toBe(folder);
  });
});

describe('the resources that a template asks for', () => {
  const template = `
Resources:
  Always: {Type: AWS::S3::Bucket, Properties: {BucketName: !Sub "\${App}-x"}}
  Sometimes: {Type: AWS::IAM::OIDCProvider, Condition: Wanted}
`;

  test.each([
    [{ Wanted: true }, ['Always', 'Sometimes']],
    [{ Wanted: false }, ['Always']],
    [{}, ['Always', 'Sometimes']],
  ])('under %j are %j', (conditions, expected) => {
    expect(wantedResources(template, conditions).map(([logicalId]) => logicalId)).toEqual(expected);
  });
});

describe('an environment', () => {
  const wish = () => ({ app, environment, folder, repository: `acme/${app}` });

  test('is provisioned by the shipped templates, and what the emulator skips is told', async () => {
    const alarm = ['Committed', 'HistoryPolicy', 'NoBackup'];
    const skipped = ['StateBucketPolicy', 'BackupBucketPolicy', ...alarm, 'OidcProvider'];
    expect(await provision(cloud, wish())).toEqual(skipped);
    expect(await provision(cloud, wish())).toEqual(skipped);
  }, 60_000);

  test('gets its hosts prepared by an operator, as often as one likes', async () => {
    const tags = { Name: 'to be enrolled' };
    const instanceProfile = `${app}-${environment}-host`;
    const { instanceId } = await launchHost(cloud, { tags, instanceProfile });
    await enrol(cloud, instanceId, wish());
    await enrol(cloud, instanceId, wish());
    const { stdout } = await onHost(cloud, instanceId, ['cat', `/etc/understudy/${app}.json`]);
    expect(JSON.parse(stdout)).toMatchObject({
      app,
      environment,
      instance: instanceId,
      bucket: `${app}-understudy`,
    });
  }, 120_000);

  test('is refused when CloudFormation says done and something is not there', async () => {
    const logs = new CloudWatchLogsClient(operatorClient(cloud));
    await logs.send(new DeleteLogGroupCommand({ logGroupName: `/understudy/${app}/${environment}` }));
    await expect(provision(cloud, wish())).rejects.toThrow(
      `LogGroup (AWS::Logs::LogGroup): Error: there is no log group /understudy/${app}/${environment}`,
    );
  }, 60_000);

  test('must be one that understudy.yml describes', async () => {
    await expect(provision(cloud, { ...wish(), environment: 'nowhere' })).rejects.toThrow('nowhere');
  });
});
