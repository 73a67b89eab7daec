import { createHash } from 'node:crypto';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  AllocateAddressCommand,
  AssociateAddressCommand,
  CreateImageCommand,
  CreateTagsCommand,
  DeleteTagsCommand,
  DescribeAddressesCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  EC2Client,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { callerRepository } from '../../rehearsal/cloud/caller.ts';
import {
  askHosts,
  type Cloud,
  onHost,
  operatorClient,
  startCloud,
  stopCloud,
} from '../../rehearsal/cloud/cloud.ts';
import { ensureHosts, sendAndAwait } from '../../rehearsal/cloud/enrol.ts';
import { addFault, clearFaults, listFaults } from '../../rehearsal/cloud/fault.ts';
import { provision } from '../../rehearsal/cloud/provision.ts';
import { tellRun } from '../../rehearsal/cloud/runs.ts';
import { type RecordedCall, readCalls } from '../../rehearsal/gateway/record.ts';
import { repositoryFolder } from '../../rehearsal/ground/places.ts';
import { findDeniedCalls } from '../../rehearsal/policies/calls.ts';
import { attach, holdersIn } from '../../rehearsal/policies/foundation.ts';
import { Job, type Started, type Step } from '../../rehearsal/runner/step.ts';
import { placeTags } from '../../src/image/place.ts';
import { placeOf } from '../../src/instance/find.ts';
import { packApp } from '../host/app.ts';
import { toldBy } from './drills.ts';
import { ledgerOf } from './ledger.ts';
import { dyingAt } from './promotion/deaths.ts';

// The third button, through the bundle: production comes back on a new real host, launched from its image; with its last
// writes where the old one answers, and from its newest backup where it does not.

jest.setTimeout(180_000);

const name = `ri${process.pid.toString(36)}`;
const [app, environment, repository] = ['shop', 'production', 'acme/shop'];
const place = { bucket: 'shop-production', app, environment };
let cloud: Cloud;
let work: string;
let folder: string;
let job: Job;
let ec2: EC2Client;
let image = '';
let address = '';

beforeAll(async () => {
  cloud = await startCloud({ name });
  ec2 = new EC2Client(operatorClient(cloud));
  work = await mkdtemp(join(tmpdir(), 'understudy-image-'));
  folder = await callerRepository(cloud, app, await callerIn(work));
  await provision(cloud, { app, environment, folder, repository });
  job = await Job.open(cloud, repository, 'rollback.yml', environment);
  const [first = ''] = await ensureHosts(cloud, { app, environment, folder });
  await deploy(first, '1');
  image = await imageOf(first);
  // Since then another release came, as after every promotion: the image has the one before.
  await deploy(first, '2');
  const { AllocationId = '' } = await ec2.send(new AllocateAddressCommand({ Domain: 'vpc' }));
  address = AllocationId;
  await ec2.send(new AssociateAddressCommand({ AllocationId, InstanceId: first }));
}, 240_000);

afterAll(async () => {
  await stopCloud(name);
  await rm(work, { recursive: true, force: true });
}, 60_000);

afterEach(() => clearFaults(cloud));

async function callerIn(at: string): Promise<string> {
  const caller = join(at, 'caller');
  await cp(join(repositoryFolder, 'rehearsal/scenes/kiosk'), caller, { recursive: true });
  const calling = join(caller, '.github/workflows/rollback.yml');
  const text = (await readFile(calling, 'utf8')).replaceAll('kiosk', app).replaceAll('staging', environment);
  await writeFile(calling, text);
  const config = `app: shop
region: us-east-2
environments:
  production: {bucket: shop-production, backups: shop-production-backups}
service: {listen: 8080, user: shop, switch: pause, notify: true}
checks: [{path: /health, status: 200, type: application/json, timeout: 5s}]
data: {databases: [app.db]}
`;
  await writeFile(join(caller, 'understudy.yml'), config);
  return caller;
}

let operations = 0;

function sendTo(instance: string, document: string, values: Record<string, string>): Promise<void> {
  operations += 1;
  const all = {
    ...{ app, environment, operation: `operator-${operations}-${document}-production`, timeout: '300' },
    ...values,
  };
  const parameters = Object.fromEntries(Object.entries(all).map(([key, value]) => [key, [value]]));
  return sendAndAwait(cloud, instance, `shop-${document}`, parameters);
}

async function deploy(instance: string, version: string): Promise<void> {
  const archive = await packApp({ version });
  const release = createHash('sha256').update(archive).digest('hex');
  const s3 = new S3Client({ ...operatorClient(cloud), forcePathStyle: true });
  const Key = `releases/shop/production/${release}.tar.gz`;
  await s3.send(new PutObjectCommand({ Bucket: 'shop-production', Key, Body: archive }));
  await sendTo(instance, 'deploy', { release, fence: '1' });
}

/** A golden image of an instance, as create-ami makes them. */
async function imageOf(instance: string): Promise<string> {
  const tags = {
    ...{ App: app, Environment: environment, Understudy: 'image', Golden: 'true' },
    ...placeTags(await placeOf(ec2, instance)),
  };
  const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
  const { ImageId = '' } = await ec2.send(
    new CreateImageCommand({
      ...{ InstanceId: instance, Name: 'shop-production-golden', NoReboot: true },
      TagSpecifications: [{ ResourceType: 'image', Tags }],
    }),
  );
  for (;;) {
    const { Images = [] } = await ec2.send(new DescribeImagesCommand({ ImageIds: [ImageId] }));
    if (Images[0]?.State === 'available') return ImageId;
    await sleep(200);
  }
}

let runs = 9000;

const inputsOf = (inputs: Record<string, string>): Record<string, string> => ({
  ...{ environment, what: 'image', config: join(folder, 'understudy.yml'), 'github-token': 'ghs_x' },
  'role-arn': `arn:aws:iam::${cloud.account}:role/shop-production-rollback`,
  ...inputs,
});

/** Of a new run, unless another attempt of the last one is asked for. */
function envOf(attempt = 1): Record<string, string> {
  if (attempt === 1) runs += 1;
  return { GITHUB_RUN_ID: String(runs), GITHUB_RUN_ATTEMPT: String(attempt) };
}

const press = (
  inputs: Record<string, string> = {},
  attempt?: number,
  more: Record<string, string> = {},
): Promise<Step> => job.run('rollback', inputsOf(inputs), { ...envOf(attempt), ...more });

/** GitHub says that the first attempt of the last run is over, as when its runner is gone. */
const attemptEnded = (): Promise<void> => tellRun(cloud, { repository, id: runs, status: 'completed' });

const verdictOf = (step: Step): string[] => [toldBy(step).result, toldBy(step).reason];

const calls = (): RecordedCall[] => readCalls(join(cloud.state, 'calls.jsonl'));
const reads = /^(Describe|Get|List|Head)/;

/** Those of production that are not gone, with their states. */
async function production(tag = environment): Promise<string[]> {
  const Filters = [
    { Name: 'tag:App', Values: [app] },
    { Name: 'tag:Environment', Values: [tag] },
  ];
  const { Reservations = [] } = await ec2.send(new DescribeInstancesCommand({ Filters }));
  return Reservations.flatMap(({ Instances = [] }) => Instances)
    .filter(({ State }) => !['terminated', 'shutting-down'].includes(State?.Name ?? ''))
    .map(({ InstanceId, State }) => `${InstanceId} ${State?.Name}`);
}

const now = async (): Promise<string> => (await production())[0]?.split(' ')[0] ?? '';

/** Whom users meet. */
async function holder(): Promise<string> {
  const { Addresses = [] } = await ec2.send(new DescribeAddressesCommand({ AllocationIds: [address] }));
  return Addresses[0]?.InstanceId ?? '';
}

const sh = async (instance: string, script: string): Promise<string> =>
  (await onHost(cloud, instance, ['bash', '-c', script])).stdout.trim();
const health = (instance: string) => sh(instance, 'curl --silent --max-time 10 http://127.0.0.1:8080/health');
const note = (instance: string, text: string) =>
  sh(instance, `curl --fail --silent --show-error "http://127.0.0.1:8080/add?${text}"`);
const notes = async (instance: string): Promise<string[]> =>
  (await sh(instance, 'sqlite3 /srv/shop/shared/app.db "SELECT note FROM notes"')).split('\n');

test('without an Elastic IP that bears the tags it is refused, and nothing is changed', async () => {
  const before = calls().length;
  const step = await press();
  expect([step.code, ...verdictOf(step)]).toEqual([1, 'refused', 'cannot-move']);
  expect(toldBy(step).sentence).toContain('No Elastic IP has the tags App=shop and Environment=production');
  expect(toldBy(step).todo).toContain('aws ec2 create-tags');
  const wrote = calls()
    .slice(before)
    .filter(({ action }) => !reads.test(action));
  expect(new Set(wrote.map(({ action }) => action))).toEqual(
    new Set(['AssumeRoleWithWebIdentity', 'PutObject']),
  );
  expect(await ledgerOf(cloud, place, step)).toMatchObject([{ result: 'refused', reason: 'cannot-move' }]);
});

describe('where the old instance answers', () => {
  let old = '';

  beforeAll(async () => {
    const Tags = [
      { Key: 'App', Value: app },
      { Key: 'Environment', Value: environment },
    ];
    await ec2.send(new CreateTagsCommand({ Resources: [address], Tags }));
    old = await now();
    await note(old, 'ada');
  });

  test('the plan tells each step, and changes nothing', async () => {
    const before = calls().length;
    const step = await press({ plan: 'true' });
    expect([step.code, ...verdictOf(step)]).toEqual([0, 'unchanged', 'planned']);
    for (const told of [image, old, 'close the port', 'move ', 'stopped, tagged as retired'])
      expect(step.summary).toContain(told);
    const wrote = calls()
      .slice(before)
      .filter(({ action, principal }) => principal.endsWith('-rollback') && !reads.test(action));
    expect(wrote.map(({ action }) => action)).toEqual(['SendCommand']);
    expect(wrote[0]?.resource).toContain('shop-probe');
  });

  test('what fails before the address is moved is put back: users have the old one again', async () => {
    await addFault(cloud, { action: 'AssociateAddress', kind: 'denied', times: 1 });
    const step = await press();
    expect([step.code, ...verdictOf(step)]).toEqual([1, 'reverted', 'not-moved']);
    expect(toldBy(step).sentence).toContain(`${old} is in service again.`);
    expect(toldBy(step).sentence).toMatch(/The new instance, i-\w+, is removed again/);
    expect(await production()).toEqual([`${old} running`]);
    expect(await holder()).toBe(old);
    expect(await health(old)).toBe('{"version": "2"}');
    expect(await notes(old)).toEqual(['ada']);
  });

  test('a cancel in the middle is put back by post', async () => {
    const started = await atWork('This machine is retired');
    started.kill('SIGINT');
    const { state } = await started.ended;
    const saved = Object.fromEntries(Object.entries(state).map(([key, value]) => [`STATE_${key}`, value]));
    const post = await job.run('rollback', inputsOf({}), { ...last(), ...saved });
    expect(post.log).toContain(`${old} is in service again.`);
    expect(post.log).toContain('the lease of production is given back');
    expect(await production()).toEqual([`${old} running`]);
    expect(await health(old)).toBe('{"version": "2"}');
    expect(await holder()).toBe(old);
  });

  test('its last writes come along, users are led to the new one, and it is kept stopped', async () => {
    await note(old, 'grace');
    const step = await press();
    expect([step.code, ...verdictOf(step)]).toEqual([0, 'done', 'moved']);
    const fresh = await now();
    expect(fresh).not.toBe(old);
    expect(await production()).toEqual([`${fresh} running`]);
    expect(await production('retired')).toEqual([`${old} stopped`]);
    expect(await holder()).toBe(fresh);
    expect(await health(fresh)).toBe('{"version": "2"}');
    expect(await notes(fresh)).toEqual(['ada', 'grace']);
    expect(await sh(fresh, 'ls /var/lib/understudy/shop')).not.toContain('asleep');
    expect(step.summary).toMatch(/It took.+launch \d.+restore \d/);
    expect(step.summary).toContain('Nobody was served');
    expect(await ledgerOf(cloud, place, step)).toMatchObject([
      { action: 'rollback-image', result: 'done', reason: 'moved', steps: { launch: expect.any(Number) } },
    ]);
    // What is done again after all was done is nothing.
    expect(verdictOf(await press({}, 2))).toEqual(['done', 'moved']);
    expect(await production()).toEqual([`${fresh} running`]);
  });
});

const last = () => ({ GITHUB_RUN_ID: String(runs), GITHUB_RUN_ATTEMPT: '1' });

/** A rollback that has come so far as its log says. */
async function atWork(line: string, inputs: Record<string, string> = {}): Promise<Started> {
  const started = await job.start('rollback', inputsOf(inputs), envOf());
  for (const until = Date.now() + 120_000; !new RegExp(line).test(started.log()); await sleep(100)) {
    if (Date.now() > until) throw new Error(`it did not come so far:\n${started.log()}`);
  }
  return started;
}

describe('where the old instance is destroyed together with its disk', () => {
  let lost = '';

  beforeAll(async () => {
    lost = await now();
    await note(lost, 'before-the-backup');
    await sendTo(lost, 'backup', { fence: '9999', tier: 'daily' });
    await note(lost, 'after-the-backup');
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [lost] }));
    for (const until = Date.now() + 30_000; (await production()).length > 0 && Date.now() < until; )
      await sleep(200);
  });

  test('it is refused until somebody confirms what is lost', async () => {
    const step = await press();
    expect([step.code, ...verdictOf(step)]).toEqual([1, 'refused', 'loss-unconfirmed']);
    expect(toldBy(step).sentence).toMatch(
      /The old instance is gone.+Lost with it: what was written since 20/,
    );
    expect(toldBy(step).todo).toContain('confirm: true');
    expect(await production()).toEqual([]);
  });

  test('a runner that dies half-way leaves nothing that its re-run does not finish', async () => {
    const started = await atWork('is online after', { confirm: 'true' });
    started.kill('SIGKILL');
    await started.ended;
    await attemptEnded();
    const step = await press({ confirm: 'true' }, 2);
    expect([step.code, ...verdictOf(step)]).toEqual([0, 'done', 'moved']);
    const fresh = await now();
    expect(await production()).toEqual([`${fresh} running`]);
    expect(await holder()).toBe(fresh);
    expect(await health(fresh)).toBe('{"version": "2"}');
    expect(await notes(fresh)).toEqual(['ada', 'grace', 'before-the-backup']);
  });
});

describe('where the runner dies with the address taken from the old one, and given to nobody', () => {
  test('its re-run gives it to a new one, once, also when answers to its calls are lost', async () => {
    const old = await now();
    await note(old, 'hopper');
    const killed = await press({}, 1, dyingAt({ words: 'is free;' }));
    expect(killed.code).toBe(-1);
    expect(await holder()).toBe('');
    await attemptEnded();
    const principal = 'role/shop-production-rollback';
    const unanswered = ['CreateStack', 'AssociateAddress', 'CreateTags', 'StopInstances'];
    for (const action of unanswered) await addFault(cloud, { action, principal, kind: 'lost', times: 1 });
    const step = await press({}, 2);
    expect([step.code, ...verdictOf(step)]).toEqual([0, 'done', 'moved']);
    expect((await listFaults(cloud)).map(({ met }) => met)).toEqual(unanswered.map(() => 1));
    const fresh = await now();
    expect(await production()).toEqual([`${fresh} running`]);
    expect(await production('retired')).toContain(`${old} stopped`);
    expect(await holder()).toBe(fresh);
    expect(await health(fresh)).toBe('{"version": "2"}');
    expect(await notes(fresh)).toEqual(['ada', 'grace', 'before-the-backup', 'hopper']);
  });
});

describe('where the old instance is there, and silent', () => {
  test('it is stopped before the new one begins, and kept', async () => {
    const silent = await now();
    await note(silent, 'heard-by-nobody');
    await askHosts(cloud, 'POST', `/hosts/${silent}/cut`);
    const before = calls().length;
    const step = await press({ confirm: 'true' });
    expect([step.code, ...verdictOf(step)]).toEqual([0, 'done', 'moved']);
    const fresh = await now();
    expect(await production()).toEqual([`${fresh} running`]);
    expect(await production('retired')).toContain(`${silent} stopped`);
    expect(await holder()).toBe(fresh);
    expect(await notes(fresh)).toEqual(['ada', 'grace', 'before-the-backup', 'hopper']);
    const did = calls()
      .slice(before)
      .map(({ action, resource }) => `${action} ${resource}`);
    const restored = did.findIndex((call) => call.startsWith('SendCommand') && call.includes('shop-restore'));
    const stopped = did.findIndex((call) => call.startsWith('StopInstances') && call.includes(silent));
    expect(stopped).toBeGreaterThan(0);
    expect(stopped).toBeLessThan(restored);
  });
});

test('an image of which nobody knows where its instance ran is refused', async () => {
  const Tags = [{ Key: 'Subnet' }];
  await ec2.send(new DeleteTagsCommand({ Resources: [image], Tags }));
  const step = await press({ to: image });
  expect([step.code, ...verdictOf(step)]).toEqual([1, 'refused', 'not-launchable']);
  expect(toldBy(step).sentence).toContain('does not tell by its tags');
});

test('the roles may do all that they did', async () => {
  const own = calls().filter(({ principal }) =>
    /^role\/shop-production-(rollback|image-builder)$/.test(principal),
  );
  expect(own.map(({ action }) => action)).toEqual(
    expect.arrayContaining(['CreateStack', 'DisassociateAddress', 'AssociateAddress', 'StopInstances']),
  );
  expect(own.map(({ action }) => action)).not.toContain('RunInstances');
  const workflow = `understudy-actions/understudy/.github/workflows/rollback.yml@${'0'.repeat(40)}`;
  const parameters = {
    ...{ App: app, Environment: environment, Repository: repository, RepositoryId: '1' },
    ...{ WorkflowRefs: [workflow], OidcProviderArn: 'arn:aws:iam::123456789012:oidc-provider/x' },
    ...{ StateBucketName: 'shop-production', BackupBucketName: 'shop-production-backups' },
    Vpc: 'vpc-0123456789abcdef0',
  };
  const { account, region } = cloud;
  const holders = attach(holdersIn({ account, region, parameters }, 'rollback'));
  expect(await findDeniedCalls(own, holders)).toEqual([]);
});
