import { AutoScalingClient, CreateLaunchConfigurationCommand } from '@aws-sdk/client-auto-scaling';
import {
  CreateLaunchTemplateCommand,
  CreateLaunchTemplateVersionCommand,
  DescribeSnapshotsCommand,
  EC2Client,
  RunInstancesCommand,
} from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Wish } from '../../rehearsal/faults/faults.ts';
import { ask } from '../../rehearsal/ground/socket.ts';
import { awaitImage } from '../../src/image/follow.ts';
import { type ImageServices, listImages, nameImage } from '../../src/image/image.ts';
import { deprecateAt, ensureImage, type ImageOrder } from '../../src/image/make.ts';
import { removeImage } from '../../src/image/remove.ts';
import { findUsage } from '../../src/image/usage.ts';
import { baseImage, Ground, region } from './gateway/ground.ts';

// Our own code for images, by the SDK, against the gateway: what EC2 may do to them.

jest.setTimeout(60_000);

let ground: Ground;
let services: ImageServices;
let instance: string;
let runs = 100;

beforeAll(async () => {
  ground = await Ground.open();
  const credentials = { accessKeyId: 'operator', secretAccessKey: 'operator' };
  const ec2 = new EC2Client({ endpoint: ground.url, region, credentials, maxAttempts: 3 });
  const clients = { ec2, s3: ground.s3 } as unknown as ImageServices['clients'];
  const bucket = { now: () => Date.now() } as ImageServices['bucket'];
  services = { clients, bucket, sleep: (ms) => new Promise((r) => setTimeout(r, ms / 20)), now: Date.now };
  const one = { ImageId: baseImage, MinCount: 1, MaxCount: 1 };
  instance = (await ground.ec2.send(new RunInstancesCommand(one))).Instances?.[0]?.InstanceId ?? '';
});

afterAll(async () => {
  const { emulatorErrors } = await ground.calls();
  await ground.close();
  expect(emulatorErrors).toBe(0);
});

beforeEach(async () => {
  await ask(ground.socket, 'DELETE', '/_cloud/fault');
  runs += 1;
});

async function fault(wish: Omit<Wish, 'action'>): Promise<void> {
  const order = { action: 'CreateImage', ...wish };
  expect((await ask(ground.socket, 'POST', '/_cloud/fault', order)).status).toBe(201);
}

const orderOf = (change: Partial<ImageOrder> = {}): ImageOrder => ({
  ...{ app: 'isso', environment: 'staging', instance, name: nameImage('isso', 'staging', String(runs)) },
  ...{ operation: `1-${runs}-1-create-ami-staging`, reboot: false, extraTags: { Release: '0123456789ab' } },
  ...change,
});

const named = async (name = orderOf().name) =>
  (await listImages(services, 'isso', 'staging')).filter((image) => image.name === name);

async function madeCalls(): Promise<number> {
  const { calls } = await ground.calls();
  return calls.filter(({ action }) => action === 'CreateImage').length;
}

describe('an image that is made', () => {
  test('is followed with the percents of its snapshots, and bears its tags, as they do', async () => {
    await fault({ kind: 'slow', seconds: 1 });
    const begun = await ensureImage(services, orderOf());
    expect(begun).toMatchObject({ state: 'pending', instance, golden: false });
    const told: number[] = [];
    const image = await awaitImage(services, begun.id, (percent) => told.push(percent));
    expect(image).toMatchObject({ id: begun.id, state: 'available', release: '0123456789ab' });
    expect(told.length).toBeGreaterThan(3);
    expect(told).toEqual([...new Set(told)].toSorted((a, b) => a - b));
    const asked = new DescribeSnapshotsCommand({ SnapshotIds: [...image.snapshots] });
    const [snapshot] = (await ground.ec2.send(asked)).Snapshots ?? [];
    expect(snapshot).toMatchObject({ State: 'completed', Progress: '100%' });
    expect(snapshot?.Tags).toEqual(
      expect.arrayContaining([
        { Key: 'Understudy', Value: 'image' },
        { Key: 'App', Value: 'isso' },
      ]),
    );
    const time = Date.now() + 90 * 86_400_000;
    await deprecateAt(services, image, time);
    expect((await named())[0]?.deprecated).toBe(time);
  });

  test('is found by its name in another attempt, and not made twice', async () => {
    const first = await ensureImage(services, orderOf());
    const again = await ensureImage(services, orderOf({ operation: '1-1-2-create-ami-staging' }));
    expect(again.id).toBe(first.id);
    expect(await named()).toHaveLength(1);
  });

  test('is found when the answer of its making was lost, and the SDK asked again', async () => {
    await fault({ kind: 'lost' });
    const before = await madeCalls();
    const image = await ensureImage(services, orderOf());
    expect(await madeCalls()).toBe(before + 2);
    expect((await named()).map(({ id }) => id)).toEqual([image.id]);
  });

  test('takes no name of an image of another instance', async () => {
    await ensureImage(services, orderOf());
    await expect(ensureImage(services, orderOf({ instance: 'i-0123456789abcdef0' }))).rejects.toMatchObject({
      reason: 'image-failed',
      outcome: 'refused',
      happened: expect.stringMatching(/belongs to ami-\w+, which was made of i-/),
    });
  });
});

describe('an image that comes to nothing', () => {
  test.each([
    ['failed', 'failed', 'EC2 could not make it: Client.InternalError: ordered by a fault'],
    ['error', 'failed', 'EC2 met an error with it'],
    ['invalid', 'failed', 'EC2 calls it invalid'],
    ['deregistered', 'failed', 'somebody deregistered it'],
    ['disabled', 'failed', 'somebody disabled it'],
    ['gone', 'failed', 'EC2 does not know it'],
    ['mislaid', 'unknown', 'a word that is not known here, mislaid'],
  ])('%s: %s, with what it means', async (state, outcome, meaning) => {
    await fault({ kind: 'ends', state });
    const { id } = await ensureImage(services, orderOf());
    await expect(awaitImage(services, id, () => {})).rejects.toMatchObject({
      ...{ reason: 'image-failed', outcome },
      happened: expect.stringContaining(`${id} is ${state}`),
      message: expect.stringContaining(meaning),
    });
  });

  test('is removed with its snapshots and made anew by the next attempt', async () => {
    await fault({ kind: 'ends', state: 'failed' });
    const bad = await ensureImage(services, orderOf());
    await expect(awaitImage(services, bad.id, () => {})).rejects.toThrow('is failed');
    const snapshots = (await named()).flatMap((image) => image.snapshots);
    const good = await ensureImage(services, orderOf());
    expect(good.id).not.toBe(bad.id);
    expect((await named()).map(({ id }) => id)).toEqual([good.id]);
    const asked = new DescribeSnapshotsCommand({ SnapshotIds: snapshots });
    await expect(ground.ec2.send(asked)).rejects.toMatchObject({ name: 'InvalidSnapshot.NotFound' });
    expect(await awaitImage(services, good.id, () => {})).toMatchObject({ state: 'available' });
  });
});

test('an image is removed with its snapshots, though the answer was lost', async () => {
  const { id } = await ensureImage(services, orderOf());
  const image = await awaitImage(services, id, () => {});
  const lost = { action: 'DeregisterImage', kind: 'lost' };
  expect((await ask(ground.socket, 'POST', '/_cloud/fault', lost)).status).toBe(201);
  await removeImage(services, image);
  expect(await named()).toEqual([]);
  const asked = new DescribeSnapshotsCommand({ SnapshotIds: [...image.snapshots] });
  await expect(ground.ec2.send(asked)).rejects.toMatchObject({ name: 'InvalidSnapshot.NotFound' });
  await removeImage(services, image);
});

test('whoever uses an image is found: instances, any version of a template, launch configurations', async () => {
  const [old, current, grouped] = ['ami-00000001', 'ami-00000002', 'ami-00000003'];
  const templateOf = (LaunchTemplateName: string, ImageId: string) =>
    new CreateLaunchTemplateCommand({ LaunchTemplateName, LaunchTemplateData: { ImageId } });
  await ground.ec2.send(templateOf('web', old));
  // More versions than a page of the emulator holds by itself.
  for (let version = 2; version <= 20; version += 1) {
    const LaunchTemplateData = { ImageId: current };
    const next = { LaunchTemplateName: 'web', LaunchTemplateData };
    await ground.ec2.send(new CreateLaunchTemplateVersionCommand(next));
  }
  await ground.ec2.send(templateOf('own', 'resolve:ssm:/images/web'));
  await ground.ec2.send(templateOf('theirs', 'resolve:ssm:/aws/service/ami-amazon-linux-latest/x'));
  process.env['AWS_ENDPOINT_URL'] = ground.url;
  try {
    const credentials = { accessKeyId: 'operator', secretAccessKey: 'operator' };
    const scaling = new AutoScalingClient({ endpoint: ground.url, region, credentials });
    const configuration = { LaunchConfigurationName: 'fleet', ImageId: grouped, InstanceType: 't3.micro' };
    await scaling.send(new CreateLaunchConfigurationCommand(configuration));
    const { users, untold } = await findUsage(services);
    expect(Object.fromEntries(users)).toMatchObject({
      [baseImage]: `the instance ${instance}`,
      [old]: 'the launch template web, version 1',
      [current]: 'the launch template web, version 20',
      [grouped]: 'the launch configuration fleet of Auto Scaling',
    });
    expect(untold).toEqual(['the launch template own, version 1']);
  } finally {
    delete process.env['AWS_ENDPOINT_URL'];
  }
});
