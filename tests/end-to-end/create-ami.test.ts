import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CloudFormationClient, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import {
  CreateLaunchTemplateCommand,
  CreateSnapshotCommand,
  DeregisterImageCommand,
  DescribeImagesCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  EC2Client,
  type Image,
} from '@aws-sdk/client-ec2';
import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type Cloud, operatorClient, startCloud, stopCloud } from '../../rehearsal/cloud/cloud.ts';
import { addFault, clearFaults } from '../../rehearsal/cloud/fault.ts';
import { listHosts } from '../../rehearsal/cloud/host.ts';
import { type RecordedCall, readCalls } from '../../rehearsal/gateway/record.ts';
import { findDeniedCalls } from '../../rehearsal/policies/calls.ts';
import { attach, holdersIn } from '../../rehearsal/policies/foundation.ts';
import { Job, type Step } from '../../rehearsal/runner/step.ts';
import { Cast } from '../../rehearsal/scenes/cast.ts';
import type { Staging } from '../../rehearsal/scenes/staging.ts';
import { assertConclusion, jobOf, resultOf } from '../../rehearsal/scenes/verdict.ts';

// Images of a real host, made and proven by the workflow, and by the bundle where something is to go wrong.

jest.setTimeout(180_000);

const name = `im${process.pid.toString(36)}`;
const [app, environment] = ['kiosk', 'staging'];
let cloud: Cloud;
let kiosk: Staging;
let job: Job;
let ec2: EC2Client;

beforeAll(async () => {
  await stopCloud(name);
  cloud = await startCloud({ name });
  kiosk = await new Cast(cloud).get('kiosk');
  await kiosk.ensureLive();
  job = await Job.open(cloud, kiosk.repository.name, 'create-ami.yml');
  ec2 = new EC2Client(operatorClient(cloud));
}, 180_000);

afterAll(() => stopCloud(name), 60_000);

afterEach(() => clearFaults(cloud));

let runs = 7000;
function nextRun(): Record<string, string> {
  runs += 1;
  return { GITHUB_RUN_ID: String(runs) };
}

const role = (which: string): string => `arn:aws:iam::${cloud.account}:role/${app}-${environment}-${which}`;

const inputsOf = (inputs: Record<string, string>): Record<string, string> => ({
  config: join(kiosk.repository.folder, 'understudy.yml'),
  ...{ 'back-up-first': 'false', keep: 'all', 'proof-role-arn': role('drill'), 'github-token': 'ghs_x' },
  ...inputs,
});

const create = (inputs: Record<string, string> = {}, run = nextRun()): Promise<Step> =>
  job.run('create-ami', inputsOf(inputs), run);

const toldBy = ({ outputs }: Step): { result: string; reason: string; sentence: string; todo: string } =>
  JSON.parse(outputs['result'] ?? '{}');

const images = async (): Promise<Image[]> => {
  const Filters = [{ Name: 'tag:Understudy', Values: ['image'] }];
  return (await ec2.send(new DescribeImagesCommand({ Owners: ['self'], Filters }))).Images ?? [];
};

const snapshotsOf = (image: Image | undefined): string[] =>
  (image?.BlockDeviceMappings ?? []).flatMap(({ Ebs }) => Ebs?.SnapshotId ?? []);

const snapshots = async (): Promise<string[]> =>
  ((await ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }))).Snapshots ?? []).map(
    ({ SnapshotId = '' }) => SnapshotId,
  );

const tagsOf = ({ Tags = [] }: Pick<Image, 'Tags'>): Record<string, string> =>
  Object.fromEntries(Tags.map(({ Key = '', Value = '' }) => [Key, Value]));

const callsOf = (action: string): RecordedCall[] =>
  readCalls(join(cloud.state, 'calls.jsonl')).filter((call) => call.action === action);

async function nothingIsLeftOfProofs(): Promise<void> {
  const asked = await new CloudFormationClient(operatorClient(cloud)).send(new DescribeStacksCommand());
  const names = (asked.Stacks ?? []).map(({ StackName = '' }) => StackName);
  expect(names.filter((one) => one.includes('drill-host'))).toEqual([]);
  const others = (await listHosts(cloud)).filter(({ id }) => id !== kiosk.host.id);
  expect(others.filter(({ state }) => state !== 'terminated')).toEqual([]);
}

describe('an image of a host that serves on', () => {
  let made: Image | undefined;

  test('is golden once an instance came up from it on what stood in the WAL alone', async () => {
    // Rows that no checkpoint has brought into the database: they are there after a power cut, if SQLite recovers them.
    await kiosk.host.ask(
      'systemd-run',
      '--unit=writer',
      '--uid=kiosk',
      'python3',
      '-c',
      `
import sqlite3, time
db = sqlite3.connect('/srv/kiosk/shared/visits.db', isolation_level=None)
db.execute('PRAGMA journal_mode=wal'); db.execute('PRAGMA wal_autocheckpoint=0')
for n in range(1234): db.execute("INSERT INTO visits VALUES ('in the WAL')")
open('/srv/kiosk/shared/written', 'w').close()
time.sleep(3600)`,
    );
    await kiosk.host.until('[[ -e /srv/kiosk/shared/written ]]');
    const before = await kiosk.host.ask('systemctl', 'show', '-P', 'InvocationID', 'kiosk@*.service');
    const run = await kiosk.dispatch('create-ami.yml');
    assertConclusion(run, 'success');
    const { result, reason, sentence } = resultOf(run, 'image');
    expect([result, reason]).toEqual(['done', 'golden']);
    expect(sentence).toMatch(/was healthy on i-\w+, booted from it, on 1,2\d\d rows/);
    [made] = await images();
    const release = await kiosk.host.liveRelease();
    expect(tagsOf(made ?? {})).toMatchObject({
      ...{ App: app, Environment: environment, Golden: 'true', Release: release },
      ...{ Instance: kiosk.host.id, Name: `kiosk-staging-${run.runId}` },
      // Where another instance of it would run, which nobody else tells once this one is destroyed.
      InstanceType: expect.stringMatching(/^\w+\.\w+$/),
      ...{ Subnet: expect.stringMatching(/^subnet-/), Groups: expect.stringMatching(/^sg-/) },
    });
    expect(Date.parse(made?.DeprecationTime ?? '')).toBeGreaterThan(Date.now() + 89 * 86_400_000);
    expect(jobOf(run, 'image').outputs).toMatchObject({ image: made?.ImageId, golden: 'true' });
    expect(jobOf(run, 'image').summary).toContain('it is the last golden one');
    // A backup came first, and its copy lies on the disk and in the image; nothing was restarted.
    expect(run.log).toContain('confirmed: backups/kiosk/staging/');
    expect(await kiosk.host.ask('systemctl', 'show', '-P', 'InvocationID', 'kiosk@*.service')).toBe(before);
    expect(await kiosk.account.lease()).toBe('released');
    await nothingIsLeftOfProofs();
    await kiosk.host.ask('systemctl', 'stop', 'writer');
  });

  test('is neither made nor proven again by another attempt of its run', async () => {
    const [creates, stacks] = [callsOf('CreateImage').length, callsOf('CreateStack').length];
    const again = { GITHUB_RUN_ID: (made?.Name ?? '').replace(/.*-/, ''), GITHUB_RUN_ATTEMPT: '2' };
    const given = { image: made?.ImageId ?? '' };
    for (const step of [
      await create({ prove: 'true', 'back-up-first': 'true' }, again),
      await create({ prove: 'true', ...given }),
    ]) {
      expect(toldBy(step)).toMatchObject({ result: 'unchanged', reason: 'golden' });
      expect(step.outputs).toMatchObject({ ...given, golden: 'true' });
    }
    expect([callsOf('CreateImage').length, callsOf('CreateStack').length]).toEqual([creates, stacks]);
  });

  test('is not golden when the app does not come up from it', async () => {
    const release = `/srv/kiosk/releases/${await kiosk.host.liveRelease()}`;
    await kiosk.host.ask('mv', `${release}/app.py`, `${release}/gone.py`);
    const config = join(cloud.state, 'impatient.yml');
    const text = await readFile(join(kiosk.repository.folder, 'understudy.yml'), 'utf8');
    await writeFile(config, text.replace('notify: true', 'notify: true, start-timeout: 1s'));
    const step = await create({ prove: 'true', config });
    await kiosk.host.ask('mv', `${release}/gone.py`, `${release}/app.py`);
    const { result, reason, sentence, todo } = toldBy(step);
    expect([result, reason, step.code]).toEqual(['failed', 'image-unproven', 1]);
    expect(sentence).toMatch(/^ami-\w+ is not golden\. On i-\w+, \w{12} was live and not healthy after/);
    expect(todo).toContain(`image: ${step.outputs['image']}`);
    const [unproven] = (await images()).filter(({ ImageId }) => ImageId === step.outputs['image']);
    expect(tagsOf(unproven ?? {})).toMatchObject({ Environment: environment });
    expect(tagsOf(unproven ?? {})).not.toHaveProperty('Golden');
    await nothingIsLeftOfProofs();
  });
});

describe('an image whose making goes wrong', () => {
  test('is not waited for once it failed; the next attempt removes it, and makes it anew', async () => {
    await addFault(cloud, { action: 'CreateImage', kind: 'ends', state: 'failed' });
    const run = nextRun();
    const step = await create({}, run);
    expect(toldBy(step)).toMatchObject({ result: 'failed', reason: 'image-failed' });
    expect(toldBy(step).sentence).toMatch(/ami-\w+ is failed after .*: EC2 could not make it/);
    const again = await create({}, { ...run, GITHUB_RUN_ATTEMPT: '2' });
    expect(toldBy(again)).toMatchObject({ result: 'done', reason: 'imaged' });
    expect(again.outputs['image']).not.toBe(step.outputs['image']);
    expect((await images()).map(({ ImageId }) => ImageId)).not.toContain(step.outputs['image']);
  });

  test('is found by the next attempt when its job was cancelled, or its runner died', async () => {
    await addFault(cloud, { action: 'CreateImage', kind: 'slow', seconds: 6 });
    const run = nextRun();
    const started = await job.start('create-ami', inputsOf({}), run);
    while (!/ami-\w+ {2}\d+ %/.test(started.log())) await new Promise((r) => setTimeout(r, 100));
    started.kill('SIGINT');
    const cancelled = await started.ended;
    expect(toldBy(cancelled)).toMatchObject({ result: 'unknown', reason: 'cancelled' });
    expect(toldBy(cancelled).sentence).toContain('EC2 goes on by itself');
    expect(await kiosk.account.lease()).toBe('released');
    const second = await job.start('create-ami', inputsOf({}), { ...run, GITHUB_RUN_ATTEMPT: '2' });
    while (!/ami-\w+ {2}\d+ %/.test(second.log())) await new Promise((r) => setTimeout(r, 100));
    second.kill('SIGKILL');
    await second.ended;
    const step = await create({}, { ...run, GITHUB_RUN_ATTEMPT: '3' });
    expect(toldBy(step)).toMatchObject({ result: 'done', reason: 'imaged' });
    expect(step.outputs['image']).toBe(cancelled.outputs['image']);
    expect((await images()).filter(({ Name }) => Name === `kiosk-staging-${runs}`)).toHaveLength(1);
  });

  test('is refused where AWS refuses it, and where there is nothing to do', async () => {
    await addFault(cloud, { action: 'CreateImage', kind: 'denied' });
    expect(toldBy(await create())).toMatchObject({ result: 'refused', reason: 'access-denied' });
    expect(toldBy(await create({ instance: 'i-0123456789abcdef0' }))).toMatchObject({ result: 'refused' });
    expect(toldBy(await create({ image: 'ami-0123456789abcdef0' })).reason).toBe('bad-input');
    const given = await create({ image: 'ami-0123456789abcdef0', prove: 'true' });
    expect(toldBy(given)).toMatchObject({ result: 'refused', reason: 'image-failed' });
    const unprovable = await create({ prove: 'true', 'proof-role-arn': '' });
    expect(toldBy(unprovable).todo).toContain(
      `proof-role-arn: ${role('drill').replace(cloud.account, '***')}`,
    );
  });
});

describe('what is kept', () => {
  const monthMs = 31 * 86_400_000;

  async function aged(months: number): Promise<string> {
    await addFault(cloud, { action: 'CreateImage', kind: 'aged', seconds: (months * monthMs) / 1000 });
    return (await create()).outputs['image'] ?? '';
  }

  test('is told before it is done, and all the rest is gone with its snapshots', async () => {
    const [used, monthly, old] = [await aged(5), await aged(2), await aged(4)];
    await ec2.send(
      new CreateLaunchTemplateCommand({
        LaunchTemplateName: 'somebody',
        LaunchTemplateData: { ImageId: used },
      }),
    );
    const before = await images();
    const doomed = before.find(({ ImageId }) => ImageId === old);
    const step = await create({ keep: '1', 'keep-months': '4' });
    expect(toldBy(step)).toMatchObject({ result: 'done', reason: 'imaged' });
    const left = (await images()).map(({ ImageId }) => ImageId);
    const golden = before.find((image) => tagsOf(image)['Golden'])?.ImageId;
    expect(new Set(left)).toEqual(new Set([step.outputs['image'], golden, used, monthly]));
    for (const snapshot of snapshotsOf(doomed)) expect(await snapshots()).not.toContain(snapshot);
    const { log, summary } = step;
    expect(log).toContain(`stays  ${used}  `);
    expect(log).toContain('the launch template somebody, version 1 uses it');
    expect(log.indexOf(`goes   ${old}`)).toBeLessThan(log.lastIndexOf('Tidy up: took'));
    expect(summary).toMatch(
      new RegExp(`<code>${old}</code> \\|.*\\| removed \\| it is older than the last 1`),
    );
  });

  test('is no snapshot that an earlier failure left, but for one that is young', async () => {
    await addFault(cloud, { action: 'CreateImage', kind: 'aged', seconds: 7200 });
    const first = await create();
    const image = (await images()).find(({ ImageId }) => ImageId === first.outputs['image']);
    const [orphan = ''] = snapshotsOf(image);
    // As when an image was deregistered by hand, without its snapshots.
    await ec2.send(new DeregisterImageCommand({ ImageId: image?.ImageId ?? '' }));
    const { Volumes = [] } = await ec2.send(new DescribeVolumesCommand({}));
    const VolumeId = Volumes[0]?.VolumeId ?? '';
    const Tags = Object.entries({ App: app, Environment: environment, Understudy: 'image' });
    const young = await ec2.send(
      new CreateSnapshotCommand({
        VolumeId,
        TagSpecifications: [{ ResourceType: 'snapshot', Tags: Tags.map(([Key, Value]) => ({ Key, Value })) }],
      }),
    );
    const step = await create({ keep: '100' });
    expect(step.log).toContain(`goes   ${orphan}: no image stands on it`);
    expect(await snapshots()).not.toContain(orphan);
    expect(await snapshots()).toContain(young.SnapshotId);
  });
});

test('with a reboot, the lease is held until the app is back', async () => {
  const before = await kiosk.host.ask('cat', '/proc/sys/kernel/random/boot_id');
  const step = await create({ reboot: 'true' });
  expect(toldBy(step)).toMatchObject({ reason: 'imaged', sentence: expect.stringContaining('available') });
  expect(step.log).toMatch(/i-\w+ is back, and release \w{12} healthy on it/);
  expect(await kiosk.host.ask('cat', '/proc/sys/kernel/random/boot_id')).not.toBe(before);
  expect(await kiosk.account.lease()).toBe('released');
});

test('each stands in the ledger once, the refused ones too', async () => {
  const s3 = kiosk.account.s3;
  const place = { Bucket: 'kiosk-understudy', Prefix: 'ledger/kiosk/staging/' };
  const { Contents = [] } = await s3.send(new ListObjectsV2Command(place));
  const entries = await Promise.all(
    Contents.map(async ({ Key }): Promise<{ operation: string; action: string; reason: string }> => {
      const { Body } = await s3.send(new GetObjectCommand({ Bucket: place.Bucket, Key }));
      return JSON.parse((await Body?.transformToString()) ?? '');
    }),
  );
  const own = entries.filter(({ action }) => action === 'create-ami');
  const reasons = own.map(({ reason }) => reason);
  expect(reasons).toEqual(expect.arrayContaining(['golden', 'imaged', 'image-failed', 'access-denied']));
  expect(new Set(own.map(({ operation }) => operation)).size).toBe(own.length);
});

test('the roles that made and proved them may do all that they did, and the one that deploys proves nothing', async () => {
  const { account, region } = cloud;
  const WorkflowRefs = [`understudy-actions/understudy/.github/workflows/create-ami.yml@${'0'.repeat(40)}`];
  const parameters = {
    ...{ App: app, Environment: environment, Repository: kiosk.repository.name, RepositoryId: '1' },
    ...{ WorkflowRefs, OidcProviderArn: `arn:aws:iam::${account}:oidc-provider/x`, Proofs: 'true' },
    ...{ StateBucketName: 'kiosk-understudy', BackupBucketName: 'kiosk-understudy-backups' },
  };
  const stack = { account, region, parameters };
  const templates = (['foundation', 'drill', 'images'] as const).map((file) => holdersIn(stack, file));
  const holders = attach(new Map(templates.flatMap((each) => [...each])));
  const makers = ['ci', 'drill', 'drill-host'].map((one) => `role/kiosk-staging-${one}`);
  const all = readCalls(join(cloud.state, 'calls.jsonl'));
  const calls = all.filter(({ principal, fault }) => makers.includes(principal) && !fault);
  expect(new Set(calls.map(({ principal }) => principal))).toEqual(new Set(makers));
  expect(await findDeniedCalls(calls, holders)).toEqual([]);
  const byCi = calls.filter(({ principal }) => principal === 'role/kiosk-staging-ci');
  const actions = new Set(byCi.map(({ action }) => action));
  expect(actions).toContain('CreateImage');
  for (const action of ['CreateStack', 'CreateTags', 'RunInstances']) expect(actions).not.toContain(action);
});
