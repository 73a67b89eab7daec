import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateImageCommand,
  DeregisterImageCommand,
  DescribeImagesCommand,
  DescribeInstanceStatusCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  type Instance,
  RebootInstancesCommand,
  RunInstancesCommand,
  type RunInstancesCommandInput,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { baseImage, Ground, until } from './gateway/ground.ts';
import { FakeHosts } from './gateway/hosts.ts';

jest.setTimeout(60_000);

let folder: string;
let hosts: FakeHosts;
let ground: Ground;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gateway-hosts-'));
  hosts = new FakeHosts(folder);
  await hosts.open();
  ground = await Ground.open('--hosts', hosts.socket);
  await ground.makeRole('host');
});

afterAll(async () => {
  const { emulatorErrors } = await ground.calls();
  await ground.close();
  await hosts.close();
  rmSync(folder, { recursive: true });
  expect(emulatorErrors).toBe(0);
});

async function run(input: Partial<RunInstancesCommandInput> = {}): Promise<Instance[]> {
  const one = { ImageId: baseImage, MinCount: 1, MaxCount: 1 };
  return (await ground.ec2.send(new RunInstancesCommand({ ...one, ...input }))).Instances ?? [];
}

async function runOne(input: Partial<RunInstancesCommandInput> = {}): Promise<string> {
  return (await run(input))[0]?.InstanceId ?? '';
}

async function describe1(id: string): Promise<Instance | undefined> {
  const answer = await ground.ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
  return answer.Reservations?.[0]?.Instances?.[0];
}

describe('RunInstances', () => {
  test('boots a host for each instance, with its root size, and tells its tags, state and address', async () => {
    const [instance] = await run({
      IamInstanceProfile: { Name: 'host' },
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { VolumeSize: 40 } }],
      TagSpecifications: [{ ResourceType: 'instance', Tags: [{ Key: 'App', Value: 'isso' }] }],
    });
    const id = instance?.InstanceId ?? '';
    expect(instance?.State).toEqual({ Code: 0, Name: 'pending' });
    expect(hosts.requests).toContain(`PUT /hosts/${id} {"rootGiB":40}`);
    expect(await describe1(id)).toMatchObject({
      ImageId: baseImage,
      State: { Name: 'pending' },
      PrivateIpAddress: hosts.hosts.get(id)?.ip,
      Tags: [{ Key: 'App', Value: 'isso' }],
    });
    hosts.become(id, 'running');
    expect((await describe1(id))?.State).toEqual({ Code: 16, Name: 'running' });
  });

  test('launches MaxCount, each with the role', async () => {
    const instances = await run({ MinCount: 1, MaxCount: 3, IamInstanceProfile: { Name: 'host' } });
    expect(instances).toHaveLength(3);
    for (const { InstanceId } of instances) {
      const { body } = await ground.admin<{ roleName: string }>(`/_cloud/credentials/${InstanceId}`);
      expect(body.roleName).toBe('host');
    }
  });

  test('the same ClientToken with the same arguments gives the same instance', async () => {
    const ClientToken = 'deploy-1';
    const [first, again] = await Promise.all([runOne({ ClientToken }), runOne({ ClientToken })]);
    expect(again).toBe(first);
    expect(await runOne({ ClientToken })).toBe(first);
    expect(hosts.requests.filter((each) => each.includes(first))).toHaveLength(1);
  });

  test('the same ClientToken with other arguments is IdempotentParameterMismatch', async () => {
    await runOne({ ClientToken: 'deploy-2' });
    await expect(run({ ClientToken: 'deploy-2', InstanceType: 't3.large' })).rejects.toMatchObject({
      name: 'IdempotentParameterMismatch',
    });
    await expect(run({ ClientToken: 'x'.repeat(65) })).rejects.toMatchObject({
      name: 'InvalidParameterValue',
    });
  });

  test.each([
    ['ami-0123456789abcdef0', 'InvalidAMIID.NotFound'],
    ['ami-golden', 'InvalidAMIID.Malformed'],
  ])('refuses the unknown image %s', async (ImageId, name) => {
    const before = hosts.hosts.size;
    await expect(run({ ImageId })).rejects.toMatchObject({ name });
    expect(hosts.hosts.size).toBe(before);
  });
});

describe('states change over time', () => {
  test('stop, start, reboot and terminate do what they say to the host', async () => {
    const id = await runOne();
    hosts.become(id, 'running');
    const stopped = await ground.ec2.send(new StopInstancesCommand({ InstanceIds: [id] }));
    expect(stopped.StoppingInstances?.[0]).toMatchObject({
      PreviousState: { Name: 'running' },
      CurrentState: { Name: 'stopping', Code: 64 },
    });
    hosts.become(id, 'stopped');
    expect((await describe1(id))?.State?.Name).toBe('stopped');
    const started = await ground.ec2.send(new StartInstancesCommand({ InstanceIds: [id] }));
    expect(started.StartingInstances?.[0]?.CurrentState?.Name).toBe('pending');
    hosts.become(id, 'running');
    await ground.ec2.send(new RebootInstancesCommand({ InstanceIds: [id] }));
    const ended = await ground.ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    expect(ended.TerminatingInstances?.[0]?.CurrentState?.Name).toBe('shutting-down');
    const asked = hosts.requests
      .filter((each) => each.includes(id))
      .map((each) => each.replace(` /hosts/${id}`, ''));
    expect(asked.slice(1)).toEqual(['POST/stop', 'POST/start', 'POST/reboot', 'DELETE']);
    await expect(ground.ec2.send(new StartInstancesCommand({ InstanceIds: [id] }))).rejects.toMatchObject({
      name: 'IncorrectInstanceState',
    });
  });

  test("filters by state and address judge the hosts' truth", async () => {
    const id = await runOne({
      TagSpecifications: [{ ResourceType: 'instance', Tags: [{ Key: 'Own', Value: 'f' }] }],
    });
    const find = async (state: string) => {
      const Filters = [
        { Name: 'tag:Own', Values: ['f'] },
        { Name: 'instance-state-name', Values: [state] },
      ];
      return (await ground.ec2.send(new DescribeInstancesCommand({ Filters }))).Reservations?.length;
    };
    expect(await find('running')).toBe(0);
    expect(await find('pending')).toBe(1);
    const Filters = [{ Name: 'private-ip-address', Values: [hosts.hosts.get(id)?.ip ?? ''] }];
    const byAddress = await ground.ec2.send(new DescribeInstancesCommand({ Filters }));
    expect(byAddress.Reservations?.[0]?.Instances?.[0]?.InstanceId).toBe(id);
  });

  test('DescribeInstanceStatus tells of running ones alone unless asked for all', async () => {
    const id = await runOne();
    const ask = async (IncludeAllInstances?: boolean) => {
      const question = new DescribeInstanceStatusCommand({ InstanceIds: [id], IncludeAllInstances });
      return (await ground.ec2.send(question)).InstanceStatuses ?? [];
    };
    expect(await ask()).toEqual([]);
    expect((await ask(true))[0]?.InstanceState?.Name).toBe('pending');
    hosts.become(id, 'running');
    expect((await ask())[0]?.InstanceState?.Name).toBe('running');
  });

  test('the CLI waits until an instance is running', async () => {
    const id = await runOne();
    hosts.become(id, 'running');
    await ground.aws('ec2', 'wait', 'instance-running', '--instance-ids', id);
  });
});

describe('images', () => {
  const images = async (...ImageIds: string[]) =>
    (await ground.ec2.send(new DescribeImagesCommand({ ImageIds }))).Images ?? [];

  test('the base is there, and moto`s examples are not', async () => {
    const all = (await ground.ec2.send(new DescribeImagesCommand({}))).Images ?? [];
    expect(all.map((each) => each.ImageId)).toContain(baseImage);
    expect(all.length).toBeLessThan(10);
    expect((await images(baseImage))[0]).toMatchObject({ Name: 'understudy-base', State: 'available' });
  });

  test('CreateImage is pending until the host is captured, tags image and snapshot, and refuses a name in use', async () => {
    const id = await runOne();
    const tags = [{ Key: 'App', Value: 'isso' }];
    const input = {
      InstanceId: id,
      Name: 'isso-golden-1',
      NoReboot: true,
      TagSpecifications: [
        { ResourceType: 'image' as const, Tags: tags },
        { ResourceType: 'snapshot' as const, Tags: tags },
      ],
    };
    const ImageId = (await ground.ec2.send(new CreateImageCommand(input))).ImageId ?? '';
    const [image] = await images(ImageId);
    expect(image).toMatchObject({ State: 'pending', Tags: tags });
    const capture = `PUT /images/${ImageId} {"host":"${id}","reboot":false}`;
    await until(
      async () => hosts.requests,
      (all) => all.includes(capture),
    );
    await expect(run({ ImageId })).rejects.toMatchObject({ name: 'InvalidAMIID.Unavailable' });
    const SnapshotIds = [image?.BlockDeviceMappings?.[0]?.Ebs?.SnapshotId ?? ''];
    const { Snapshots } = await ground.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds }));
    expect(Snapshots?.[0]?.Tags).toEqual(tags);
    await expect(ground.ec2.send(new CreateImageCommand(input))).rejects.toMatchObject({
      name: 'InvalidAMIName.Duplicate',
    });
    hosts.finishImage(ImageId);
    await ground.aws('ec2', 'wait', 'image-available', '--image-ids', ImageId);
    const child = await runOne({ ImageId });
    expect(hosts.hosts.get(child)?.image).toBe(ImageId);
  });

  test('DeregisterImage with DeleteAssociatedSnapshots leaves no snapshot', async () => {
    const id = await runOne();
    const made = await ground.ec2.send(new CreateImageCommand({ InstanceId: id, Name: 'isso-golden-2' }));
    const ImageId = made.ImageId ?? '';
    const capture = `PUT /images/${ImageId} {"host":"${id}","reboot":true}`;
    await until(
      async () => hosts.requests,
      (all) => all.includes(capture),
    );
    const [image] = await images(ImageId);
    const SnapshotId = image?.BlockDeviceMappings?.[0]?.Ebs?.SnapshotId ?? '';
    hosts.finishImage(ImageId);
    const gone = await ground.ec2.send(
      new DeregisterImageCommand({ ImageId, DeleteAssociatedSnapshots: true }),
    );
    expect(gone.DeleteSnapshotResults).toEqual([{ SnapshotId, ReturnCode: 'success' }]);
    expect(hosts.requests).toContain(`DELETE /images/${ImageId}`);
    await expect(
      ground.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [SnapshotId] })),
    ).rejects.toMatchObject({
      name: 'InvalidSnapshot.NotFound',
    });
    await expect(run({ ImageId })).rejects.toMatchObject({ name: 'InvalidAMIID.NotFound' });
  });
});

describe('credentials of instances', () => {
  test('are the role`s, the same while they are fresh, and make calls of that role', async () => {
    const id = await runOne({ IamInstanceProfile: { Name: 'host' } });
    const path = `/_cloud/credentials/${id}`;
    const first = await ground.admin<{ roleName: string; AccessKeyId: string; Token: string }>(path);
    expect(first.body).toMatchObject({ roleName: 'host' });
    expect((await ground.admin(path)).body).toEqual(first.body);
    await (await ground.agentOf(id)).register();
    const { calls } = await ground.calls();
    expect(calls.at(-1)).toMatchObject({
      service: 'ssm',
      action: 'UpdateInstanceInformation',
      principal: 'role/host',
      resource: `arn:aws:ec2:us-east-2:123456789012:instance/${id}`,
      status: 200,
    });
  });

  test('do not exist without a profile, nor for a role that does not trust EC2', async () => {
    expect((await ground.admin(`/_cloud/credentials/${await runOne()}`)).status).toBe(404);
    await ground.makeRole('stranger', JSON.stringify({ Version: '2012-10-17', Statement: [] }));
    const id = await runOne({ IamInstanceProfile: { Name: 'stranger' } });
    const refused = await ground.admin<{ __type: string }>(`/_cloud/credentials/${id}`);
    expect(refused).toMatchObject({ status: 403, body: { __type: 'AssumeRoleUnauthorizedAccess' } });
  });

  test('a host cannot ask for them through the fabric`s door, nor anybody over TCP', async () => {
    const id = await runOne({ IamInstanceProfile: { Name: 'host' } });
    const path = `/_cloud/credentials/${id}`;
    expect(await ground.admin(path)).toMatchObject({ status: 200 });
    expect(await ground.admin(path, ground.door)).toMatchObject({ status: 403 });
    expect((await fetch(`${ground.url}${path}`)).status).toBe(403);
  });
});
