import { createHash } from 'node:crypto';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CreateImageCommand,
  CreateTagsCommand,
  DeleteTagsCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  EC2Client,
  type Instance,
} from '@aws-sdk/client-ec2';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { callerRepository } from '../../rehearsal/cloud/caller.ts';
import {
  type Cloud,
  launchHost,
  onHost,
  operatorClient,
  startCloud,
  stopCloud,
} from '../../rehearsal/cloud/cloud.ts';
import { ensureHosts, sendAndAwait } from '../../rehearsal/cloud/enrol.ts';
import { expireStack } from '../../rehearsal/cloud/expire.ts';
import { addFault, clearFaults } from '../../rehearsal/cloud/fault.ts';
import { provision } from '../../rehearsal/cloud/provision.ts';
import { baseImage } from '../../rehearsal/gateway/ec2/images.ts';
import { type RecordedCall, readCalls } from '../../rehearsal/gateway/record.ts';
import { repositoryFolder } from '../../rehearsal/ground/places.ts';
import { findDeniedCalls } from '../../rehearsal/policies/calls.ts';
import { holdersIn } from '../../rehearsal/policies/foundation.ts';
import { Job, type Started, type Step } from '../../rehearsal/runner/step.ts';
import { packApp } from '../host/app.ts';
import { toldBy } from './drills.ts';
import { ledgerOf } from './ledger.ts';

// Through the bundle: production on a real host, its image, and staging launched from it as real hosts, one after another.

jest.setTimeout(180_000);

const name = `ls${process.pid.toString(36)}`;
const [app, repository] = ['shop', 'acme/shop'];
let cloud: Cloud;
let work: string;
let folder: string;
let job: Job;
let ec2: EC2Client;
let production = '';
let image = '';

beforeAll(async () => {
  cloud = await startCloud({ name });
  ec2 = new EC2Client(operatorClient(cloud));
  work = await mkdtemp(join(tmpdir(), 'understudy-launch-'));
  folder = await callerRepository(cloud, app, await callerIn(work));
  for (const environment of ['staging', 'production'])
    await provision(cloud, { app, environment, folder, repository });
  job = await Job.open(cloud, repository, 'launch-staging.yml', 'production');
  [production = ''] = await ensureHosts(cloud, { app, environment: 'production', folder });
  await deployToProduction();
  await onProduction('curl --fail --silent --show-error "http://127.0.0.1:8080/add?ada@example.org"');
  image = await imageOf(production, 'golden', { Golden: 'true' });
}, 180_000);

afterAll(async () => {
  await stopCloud(name);
  await rm(work, { recursive: true, force: true });
}, 60_000);

afterEach(() => clearFaults(cloud));

const environmentOf = (called: string, bucket: string): string =>
  `  ${called}: {bucket: ${bucket}, backups: ${bucket}-backups, role-arn: "arn:aws:iam::111122223333:role/shop-${called}-ci"}`;

/** The kiosk's workflows, of an app by another name that has a production as well. */
async function callerIn(at: string): Promise<string> {
  const caller = join(at, 'caller');
  await cp(join(repositoryFolder, 'rehearsal/scenes/kiosk'), caller, { recursive: true });
  const launching = join(repositoryFolder, 'examples/isso/.github/workflows/launch-staging.yml');
  const text = (await readFile(launching, 'utf8')).replaceAll('isso', app);
  await writeFile(join(caller, '.github/workflows/launch-staging.yml'), text);
  const config = `app: shop
region: us-east-2
environments:
${environmentOf('staging', 'shop-understudy')}
${environmentOf('production', 'shop-production')}
service: {listen: 8080, user: shop, switch: pause, notify: true}
checks: [{path: /health, status: 200, type: application/json, json: {version: '1'}, timeout: 5s}]
data: {databases: [app.db]}
`;
  await writeFile(join(caller, 'understudy.yml'), config);
  return caller;
}

/** Its own hook takes people's names out, and says where it ran. */
const scrub = `mkdir -p .understudy/hooks
cat >.understudy/hooks/scrub <<'END'
#!/bin/bash
set -euo pipefail
sqlite3 "$UNDERSTUDY_SHARED/app.db" "UPDATE notes SET note = 'somebody'"
END
chmod 755 .understudy/hooks/scrub`;

async function deployToProduction(): Promise<void> {
  const archive = await packApp({ version: '1', also: scrub });
  const release = createHash('sha256').update(archive).digest('hex');
  const s3 = new S3Client({ ...operatorClient(cloud), forcePathStyle: true });
  const Key = `releases/shop/production/${release}.tar.gz`;
  await s3.send(new PutObjectCommand({ Bucket: 'shop-production', Key, Body: archive }));
  const values = {
    ...{ app, environment: 'production', operation: 'operator-1-deploy-production', timeout: '300' },
    ...{ release, fence: '1' },
  };
  const parameters = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, [value]]));
  await sendAndAwait(cloud, production, 'shop-deploy', parameters);
}

const onProduction = async (script: string): Promise<string> =>
  (await onHost(cloud, production, ['bash', '-c', script])).stdout.trim();

/** An image of an instance as create-ami makes them, that is available. */
async function imageOf(instance: string, called: string, more: Record<string, string> = {}): Promise<string> {
  const tags = { App: app, Environment: 'production', Understudy: 'image', ...more };
  const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
  const { ImageId = '' } = await ec2.send(
    new CreateImageCommand({
      ...{ InstanceId: instance, Name: `shop-production-${called}`, NoReboot: true },
      TagSpecifications: [{ ResourceType: 'image', Tags }],
    }),
  );
  for (;;) {
    const { Images = [] } = await ec2.send(new DescribeImagesCommand({ ImageIds: [ImageId] }));
    if (Images[0]?.State === 'available') return ImageId;
    await sleep(200);
  }
}

let runs = 5000;
/** Another run for each launch: stacks and operations are named by them. */
function attempt() {
  runs += 1;
  return { GITHUB_RUN_ID: String(runs) };
}

const inputsOf = (inputs: Record<string, string>): Record<string, string> => ({
  ...{ config: join(folder, 'understudy.yml'), 'github-token': 'ghs_x' },
  'role-arn': `arn:aws:iam::${cloud.account}:role/shop-staging-launcher`,
  ...inputs,
});

const launch = (inputs: Record<string, string> = {}): Promise<Step> =>
  job.run('launch-staging', inputsOf(inputs), attempt());

const stackOf = (run: number): string => `shop-staging-launched-${run}-1`;

/** Those of the environment that are not gone, with their states. */
async function staging(): Promise<string[]> {
  const Filters = [
    { Name: 'tag:App', Values: [app] },
    { Name: 'tag:Environment', Values: ['staging'] },
  ];
  const { Reservations = [] } = await ec2.send(new DescribeInstancesCommand({ Filters }));
  return Reservations.flatMap(({ Instances = [] }) => Instances)
    .filter(({ State }) => !['terminated', 'shutting-down'].includes(State?.Name ?? ''))
    .map(({ InstanceId, State }) => `${InstanceId} ${State?.Name}`);
}

async function describeInstance(id: string): Promise<Instance> {
  const { Reservations = [] } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
  return Reservations[0]?.Instances?.[0] ?? {};
}

const calls = (): RecordedCall[] => readCalls(join(cloud.state, 'calls.jsonl'));
const reads = /^(Describe|Get|List|Head)/;

describe('staging', () => {
  let first = '';

  test('is launched from the golden image: a bigger disk, its tags, its own role, the app on its port', async () => {
    const before = calls().length;
    const notes = await onProduction('sqlite3 /srv/shop/shared/app.db "SELECT * FROM notes"');
    const step = await launch();
    expect(toldBy(step)).toMatchObject({ result: 'done', reason: 'launched' });
    expect(step.code).toBe(0);
    first = step.outputs['instance'] ?? '';
    expect(await staging()).toEqual([`${first} running`]);
    const instance = await describeInstance(first);
    expect(instance).toMatchObject({
      ImageId: image,
      IamInstanceProfile: { Arn: expect.stringMatching(/\/shop-staging-host$/) },
    });
    const sh = async (script: string) => (await onHost(cloud, first, ['bash', '-c', script])).stdout.trim();
    expect(Number(await sh('df --output=size -BG / | tail -n 1 | tr -dc 0-9'))).toBeGreaterThanOrEqual(39);
    expect(JSON.parse(await sh('curl --fail --silent http://127.0.0.1:8080/health'))).toEqual({
      version: '1',
    });
    // What people wrote in production is not there, and production has it still.
    expect(await sh('sqlite3 /srv/shop/shared/app.db "SELECT * FROM notes"')).toBe('somebody');
    expect(await onProduction('sqlite3 /srv/shop/shared/app.db "SELECT * FROM notes"')).toBe(notes);
    // Nobody wrote anything to it.
    const writes = calls()
      .slice(before)
      .filter(({ action }) => !reads.test(action));
    expect(
      writes.filter(({ resource }) => resource.includes(production) || resource.includes('shop-production')),
    ).toEqual([]);
    expect(writes.map(({ action }) => action)).toContain('CreateStack');
    expect(step.summary).toContain('Lives until');
    expect(step.summary).toContain("by the release's hook");
  });

  test('is replaced by the next, once that is healthy', async () => {
    const before = calls().length;
    const step = await launch({ life: 'none' });
    expect(toldBy(step)).toMatchObject({ result: 'done', reason: 'launched' });
    const second = step.outputs['instance'] ?? '';
    expect(second).not.toBe(first);
    expect(await staging()).toEqual([`${second} running`]);
    const order = calls()
      .slice(before)
      .map(({ action, resource }) => `${action} ${resource}`);
    const removed = order.findIndex((call) => call.startsWith('DeleteStack'));
    expect(order[removed]).toContain(stackOf(runs - 1));
    const probed = order.findLastIndex(
      (call) => call.startsWith('SendCommand') && call.includes('shop-probe'),
    );
    expect(probed).toBeGreaterThan(0);
    expect(removed).toBeGreaterThan(probed);
    first = second;
  });

  test('of an image without a release is removed again, and the one before goes on', async () => {
    const Tags = [{ Key: 'App', Value: app }];
    await ec2.send(new CreateTagsCommand({ Resources: [baseImage], Tags }));
    const step = await launch({ image: baseImage });
    await ec2.send(new DeleteTagsCommand({ Resources: [baseImage], Tags }));
    const { result, reason, sentence } = toldBy(step);
    expect([result, reason, step.code]).toEqual(['failed', 'launch-failed', 1]);
    expect(sentence).toMatch(/holds no live release.*is removed again.*goes on as it was/);
    expect(sentence).toContain(first);
    expect(await staging()).toEqual([`${first} running`]);
  });

  test('that cannot be enrolled is removed again', async () => {
    await addFault(cloud, {
      action: 'SendCommand',
      kind: 'undeliverable',
      resource: '*document/shop-prepare-host',
    });
    const step = await launch();
    expect(toldBy(step).result).toBe('failed');
    expect(toldBy(step).sentence).toContain('The new instance is removed again.');
    expect(await staging()).toEqual([`${first} running`]);
  });

  /** A launch whose instance is there. */
  async function atWork(): Promise<Started> {
    const started = await job.start('launch-staging', inputsOf({}), attempt());
    for (const until = Date.now() + 60_000; !started.log().includes('is online after'); await sleep(100)) {
      if (Date.now() > until) throw new Error(`no instance came:\n${started.log()}`);
    }
    return started;
  }

  test('that is cancelled is removed by post, and the lease given back', async () => {
    const started = await atWork();
    started.kill('SIGINT');
    const { state, outputs } = await started.ended;
    expect(JSON.parse(outputs['result'] ?? '{}')).toMatchObject({ reason: 'cancelled' });
    const saved = Object.fromEntries(Object.entries(state).map(([key, value]) => [`STATE_${key}`, value]));
    const post = await job.run('launch-staging', inputsOf({}), { GITHUB_RUN_ID: String(runs), ...saved });
    expect(post.code).toBe(0);
    expect(post.log).toContain('the lease of staging is given back');
    expect(await staging()).toEqual([`${first} running`]);
  });

  test('whose runner dies is ended by AWS when its time is over', async () => {
    const started = await atWork();
    started.kill('SIGKILL');
    await started.ended;
    expect(await staging()).toHaveLength(2);
    await expireStack(cloud, stackOf(runs));
    for (const until = Date.now() + 30_000; (await staging()).length > 1 && Date.now() < until; )
      await sleep(200);
    expect(await staging()).toEqual([`${first} running`]);
  });
});

describe('is refused before anything is made:', () => {
  const made = () => calls().filter(({ action }) => action === 'CreateStack').length;

  test.each([
    ['production', { environment: 'production' }, 'bad-input', 'production is never launched beside itself'],
    [
      'an image that is none',
      { image: 'ami-0123456789abcdef0' },
      'not-launchable',
      'has no image ami-0123456789abcdef0',
    ],
    ['an image of something else', { image: baseImage }, 'not-launchable', 'is not of shop'],
    ['a disk that is smaller than that of the image', { disk: '8' }, 'not-launchable', 'more than the 8'],
    ['a life that has no end to speak of', { life: '91d' }, 'bad-input', 'from 1h to 90d'],
    ['whoever may reach it by a name', { access: 'office' }, 'bad-input', 'a block of IPv4 addresses'],
    ['no golden image', { from: 'elsewhere' }, 'not-launchable', 'No image of shop in elsewhere is golden'],
  ])('%s', async (_, inputs, reason, sentence) => {
    const before = made();
    const step = await launch(inputs);
    expect(toldBy(step)).toMatchObject({ result: 'refused', reason });
    expect(toldBy(step).sentence).toContain(sentence);
    expect(made()).toBe(before);
  });

  test('an environment where an instance runs that no launch has made', async () => {
    const { instanceId } = await launchHost(cloud, { tags: { App: app, Environment: 'staging' } });
    const before = made();
    const step = await launch();
    expect(toldBy(step)).toMatchObject({ result: 'refused', reason: 'former-foreign' });
    expect(toldBy(step).sentence).toContain(instanceId);
    expect(made()).toBe(before);
    const place = { bucket: 'shop-understudy', app, environment: 'staging' };
    expect(await ledgerOf(cloud, place, step)).toMatchObject([
      { action: 'launch-staging', result: 'refused', reason: 'former-foreign' },
    ]);
  });
});

test('the roles may do all that they did', async () => {
  const own = calls().filter(({ principal }) =>
    /^role\/shop-staging-(launcher|builder|launch-end)$/.test(principal),
  );
  expect(own.map(({ action }) => action)).toEqual(
    expect.arrayContaining(['CreateStack', 'DeleteStack', 'SendCommand']),
  );
  expect(own.map(({ action }) => action)).not.toContain('RunInstances');
  const workflow = `understudy-actions/understudy/.github/workflows/launch-staging.yml@${'0'.repeat(40)}`;
  const parameters = {
    ...{ App: app, Environment: 'staging', From: 'production', Repository: repository, RepositoryId: '1' },
    ...{ WorkflowRefs: [workflow], OidcProviderArn: 'arn:aws:iam::123456789012:oidc-provider/x' },
    StateBucketName: 'shop-understudy',
  };
  const { account, region } = cloud;
  expect(await findDeniedCalls(own, holdersIn({ account, region, parameters }, 'staging'))).toEqual([]);
});
