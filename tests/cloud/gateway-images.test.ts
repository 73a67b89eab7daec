import { DescribeSnapshotsCommand, EC2Client, RunInstancesCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Wish } from '../../rehearsal/faults/faults.ts';
import { ask } from '../../rehearsal/ground/socket.ts';
import { awaitImage } from '../../src/image/follow.ts';
import { type ImageServices, listImages, nameImage } from '../../src/image/image.ts';
import { deprecateAt, ensureImage, type ImageOrder } from '../../src/image/make.ts';
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
  const clients = { ec2 } as unknown as ImageServices['clients'];
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
