import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EC2Client, RunInstancesCommand } from '@aws-sdk/client-ec2';
import { GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { ListCommandsCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { callerRepository, commitAll, git } from '../../rehearsal/cloud/caller.ts';
import {
  type Cloud,
  launchHost,
  onHost,
  operatorClient,
  startCloud,
  stopCloud,
} from '../../rehearsal/cloud/cloud.ts';
import { enrol } from '../../rehearsal/cloud/enrol.ts';
import { addFault } from '../../rehearsal/cloud/fault.ts';
import { provision } from '../../rehearsal/cloud/provision.ts';
import { baseImage } from '../../rehearsal/gateway/ec2/images.ts';
import { repositoryFolder } from '../../rehearsal/ground/places.ts';
import { Job, type Step } from '../../rehearsal/runner/step.ts';
import { addTable, type Variant, writeApp } from '../host/app.ts';

const name = `in${process.pid.toString(36)}`;
const [app, environment, repository] = ['shop', 'staging', 'acme/shop'];
const tags = { App: app, Environment: environment };
let cloud: Cloud;
let job: Job;
let work: string;
let folder: string;
/** Takes every release; refuses those that it is told to; has no agent that ever answered. */
let healthy: string;
let broken: string;
let unreachable: string;
let runs = 0;
let first: Packed;
/** Legal, and accepted to the last. */
const oddNames = [
  'it\'s "quoted"',
  ' two\nlines ',
  'größe',
  '数据',
  '-rf',
  '$(reboot)',
  'a -> b',
  '*',
  'back\\slash',
];
const secret = 'let-me-in-please';

beforeAll(async () => {
  cloud = await startCloud({ name });
  work = await mkdtemp(join(tmpdir(), 'understudy-fleet-'));
  const source = join(work, 'shop');
  await write(source, { version: '1' });
  await cp(join(repositoryFolder, 'examples/chatmrpt/.github'), join(source, '.github'), { recursive: true });
  folder = await callerRepository(cloud, app, source);
  const place = { app, environment, folder };
  await provision(cloud, { ...place, repository });
  const wish = { tags, instanceProfile: `${app}-${environment}-host` };
  const launched = await Promise.all([launchHost(cloud, wish), launchHost(cloud, wish), launchMute()]);
  [healthy = '', broken = '', unreachable = ''] = launched.map(({ instanceId }) => instanceId);
  await Promise.all([enrol(cloud, healthy, place), enrol(cloud, broken, place)]);
  job = await Job.open(cloud, repository);
  const Name = `/${app}/${environment}/TOKEN`;
  const ssm = new SSMClient(operatorClient(cloud));
  await ssm.send(new PutParameterCommand({ Name, Value: secret, Type: 'SecureString' }));
  first = await pack({ version: '1' }, '{concurrency: 2, errors: 1}');
  expect(resultOf(await send(first))).toMatchObject({ result: 'failed', reason: 'offline' });
  expect(await live()).toEqual(['1', '1']);
}, 180_000);

afterAll(async () => {
  await stopCloud(name);
  await rm(work, { recursive: true, force: true });
}, 60_000);

/** An instance with the tags whose agent never comes: without a role it gets no credentials. */
async function launchMute(): Promise<{ instanceId: string }> {
  const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
  const { Instances = [] } = await new EC2Client(operatorClient(cloud)).send(
    new RunInstancesCommand({
      ...{ ImageId: baseImage, MinCount: 1, MaxCount: 1, InstanceType: 't3.medium' },
      TagSpecifications: [{ ResourceType: 'instance', Tags }],
    }),
  );
  return { instanceId: Instances[0]?.InstanceId ?? '' };
}

async function write(into: string, variant: Variant, rollout = '{concurrency: 1, errors: 1}'): Promise<void> {
  // Whoever is told so by a file in its data does not start.
  const atImport = `if os.path.exists(os.path.join(shared, 'refuses')) and '${variant.version}' != '1':
    raise RuntimeError('this host does not take it')`;
  await writeApp(into, { ...variant, atImport, described: false });
  for (const each of oddNames) await writeFile(join(into, each), each);
  const config = `app: shop
region: us-east-2
environments:
  staging:
    bucket: shop-understudy
    role-arn: arn:aws:iam::123456789012:role/shop-staging-ci
    rollout: ${rollout}
service: {listen: 8080, user: shop, start-timeout: 30s}
checks:
  - {path: /health, type: application/json, json: {version: '${variant.version}'}}
data: {databases: [app.db]}
`;
  await writeFile(join(into, 'understudy.yml'), config);
}

interface Packed {
  readonly archive: string;
  readonly release: string;
}

async function pack(variant: Variant, rollout?: string): Promise<Packed> {
  await write(folder, variant, rollout);
  await commitAll(folder, `Version ${variant.version}`);
  const archive = join(work, `${variant.version}.tar.gz`);
  const commit = (await git(folder, 'rev-parse', 'HEAD')).trim();
  const { outputs } = await job.run('pack-release', { path: folder, archive, commit });
  return { archive, release: outputs['release'] ?? '' };
}

function send(packed: Packed, more: Record<string, string> = {}, excerpts = 'auto'): Promise<Step> {
  runs += 1;
  const inputs = { ...packed, environment, excerpts, 'github-token': 'ghs_x' };
  return job.run('deploy-staging', inputs, { GITHUB_RUN_ID: String(7000 + runs), ...more });
}

interface Told {
  readonly result: string;
  readonly reason: string;
  readonly sentence: string;
  readonly instances: readonly { instance: string; result: string; reason: string; sentence: string }[];
}

function resultOf(step: Step): Told {
  return JSON.parse(step.outputs['result'] ?? '{}');
}

function of(told: Told, instance: string) {
  return told.instances.find((one) => one.instance === instance);
}

/** The versions that users of the two hosts meet. */
async function live(): Promise<string[]> {
  const ask = ['curl', '--silent', '--max-time', '20', 'http://127.0.0.1:8080/health'];
  const answers = await Promise.all([healthy, broken].map((id) => onHost(cloud, id, ask)));
  return answers.map(({ stdout }) => JSON.parse(stdout).version);
}

async function shell(instance: string, command: string): Promise<void> {
  const { code, stderr } = await onHost(cloud, instance, ['bash', '-c', command]);
  if (code !== 0) throw new Error(stderr);
}

/** The deploy commands that were sent, the last one first. */
async function commands() {
  const { Commands = [] } = await new SSMClient(operatorClient(cloud)).send(new ListCommandsCommand({}));
  return Commands.filter(({ DocumentName }) => DocumentName === `${app}-deploy`);
}

test('a release holds names with quotes, spaces, newlines and letters of all the world, on the host too', async () => {
  const program = 'import os, json; print(json.dumps(os.listdir("/srv/shop/current")))';
  const { stdout } = await onHost(cloud, healthy, ['python3', '-c', program]);
  expect(JSON.parse(stdout)).toEqual(expect.arrayContaining([...oddNames]));
});

describe('a fleet of three, one of which is broken and one unreachable', () => {
  beforeAll(() => shell(broken, 'touch /srv/shop/shared/refuses'));

  test('takes the release back where it was healthy, and accounts for each', async () => {
    const sent = (await commands()).length;
    const step = await send(await pack({ version: '2' }), {}, 'on');
    const told = resultOf(step);
    expect(told).toMatchObject({ result: 'reverted', reason: 'start-failed', met: true });
    expect(told.sentence).toMatch(new RegExp(`^${broken}: .+ Of 3 instances: 2 reverted, 1 refused\\.$`));
    expect(of(told, broken)).toMatchObject({ result: 'reverted', reason: 'start-failed' });
    expect(of(told, unreachable)).toMatchObject({ result: 'refused', reason: 'offline' });
    expect(of(told, healthy)).toMatchObject({ result: 'reverted', reason: 'fleet-refused' });
    expect(of(told, healthy)?.sentence).toMatch(
      /was healthy here, and was taken back .+ is live in place of/,
    );
    for (const id of [healthy, broken, unreachable]) expect(step.summary).toContain(`<code>${id}</code>: `);
    expect(step.summary).toContain('this host does not take it');
    expect(step.code).toBe(1);
    expect(await live()).toEqual(['1', '1']);
    const [back, there, ...earlier] = await commands();
    expect(earlier).toHaveLength(sent);
    expect(there).toMatchObject({ MaxConcurrency: '1', MaxErrors: '1' });
    expect(there?.Targets).toEqual([{ Key: 'InstanceIds', Values: [healthy, broken].toSorted() }]);
    expect(back).toMatchObject({ Targets: [{ Values: [healthy] }], Parameters: { data: ['same'] } });
  }, 240_000);

  test('leaves it where it changed the schema of the data, and says so', async () => {
    const variant = { version: '3', migrate: addTable('more') };
    await makePublic();
    const step = await send(await pack(variant, '{concurrency: 2, errors: 1}'));
    const told = resultOf(step);
    expect(told).toMatchObject({ result: 'failed', reason: 'start-failed' });
    expect(of(told, healthy)).toMatchObject({ result: 'done', reason: 'deployed' });
    expect(of(told, healthy)?.sentence).toMatch(
      /It stays live here, .+ The schema of the live data is not the one/,
    );
    expect(await live()).toEqual(['3', '1']);
    // The repository is public now: of the log and of answers nothing is shown.
    expect(`${step.log}${step.summary}${JSON.stringify(step.outputs)}`).not.toContain('this host does not');
  }, 240_000);

  test('is refused as a whole, before anything is sent, when fewer may fail than cannot be reached', async () => {
    const sent = (await commands()).length;
    const told = resultOf(await send(await pack({ version: '4' }, '{concurrency: 1, errors: 0}')));
    expect(told).toMatchObject({ result: 'refused', reason: 'offline' });
    expect(told.sentence).toContain(`1 of 3 instances: ${unreachable} (never registered)`);
    expect(await commands()).toHaveLength(sent);
  }, 30_000);

  test('does not believe a command that says Success: the instance that it was not delivered to is told', async () => {
    // The first command that it would get is the probe, the second the deploy.
    const resource = `*instance/${broken}`;
    await addFault(cloud, { action: 'SendCommand', kind: 'undeliverable', resource, after: 1 });
    const variant = { version: '5', migrate: addTable('more') };
    const told = resultOf(await send(await pack(variant, '{concurrency: 2, errors: 2}')));
    expect((await commands())[0]).toMatchObject({ Status: 'Success' });
    expect(told).toMatchObject({ result: 'failed' });
    expect(told.sentence).toContain('Of 3 instances: 1 failed, 1 refused, 1 done');
    expect(of(told, broken)).toMatchObject({ result: 'failed', reason: 'delivery-timed-out' });
    expect(of(told, healthy)).toMatchObject({ result: 'done', reason: 'deployed' });
    expect(await live()).toEqual(['5', '1']);
  }, 240_000);
});

describe('old code', () => {
  test.each([
    ['by a re-run of its job', { GITHUB_RUN_ID: '7001', GITHUB_RUN_ATTEMPT: '2' }],
    ['by hand, on its commit', { GITHUB_EVENT_NAME: 'workflow_dispatch' }],
  ])(
    'is refused: %s',
    async (_, more) => {
      const sent = (await commands()).length;
      const told = resultOf(await send(first, more));
      expect(told).toMatchObject({ result: 'refused', reason: 'not-descendant' });
      expect(told.sentence).toContain(`is older than the live one, so deploying it would go back`);
      expect(told.sentence).toContain(`is live on ${healthy}`);
      expect(await commands()).toHaveLength(sent);
    },
    60_000,
  );
});

test('the ledger has the versions of the parameters that a release ran with, and no value', async () => {
  const entries = await ledger();
  expect(entries.length).toBeGreaterThan(2);
  expect(JSON.stringify(entries)).not.toContain(secret);
  const [earliest] = entries.filter(({ instances }) => instances.some(({ result }) => result === 'done'));
  const done = earliest?.instances.find(({ instance }) => instance === healthy);
  expect(done).toMatchObject({ result: 'done', parameters: { TOKEN: 1 } });
});

async function makePublic(): Promise<void> {
  const body = JSON.stringify({ repository, path: folder, visibility: 'public' });
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${cloud.githubUrl}/_cloud/repositories`, { method: 'PUT', body, headers });
  expect(answer.ok).toBe(true);
}

interface Entry {
  readonly instances: readonly { instance: string; result: string; parameters?: Record<string, number> }[];
}

async function ledger(): Promise<Entry[]> {
  const s3 = new S3Client({ ...operatorClient(cloud), forcePathStyle: true });
  const place = { Bucket: 'shop-understudy' };
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ ...place, Prefix: 'ledger/' }));
  return Promise.all(
    Contents.map(async ({ Key = '' }) => {
      const { Body } = await s3.send(new GetObjectCommand({ ...place, Key }));
      return JSON.parse((await Body?.transformToString()) ?? '');
    }),
  );
}
