import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CreateBucketCommand, GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import {
  GetCommandInvocationCommand,
  SendCommandCommand,
  type SendCommandCommandInput,
  SSMClient,
} from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import {
  askHosts,
  awaitState,
  type Cloud,
  launchHost,
  onHost,
  operatorClient,
  startCloud,
  stopCloud,
} from '../../rehearsal/cloud/cloud.ts';

jest.setTimeout(60_000);

// The whole path: Systems Manager, the gateway, the agent on a real systemd host, and back.

const name = 'tagent';
let cloud: Cloud;
let ssm: SSMClient;
let host: string;

beforeAll(async () => {
  await stopCloud(name);
  cloud = await startCloud({ name });
  ssm = new SSMClient(operatorClient(cloud));
  host = (await launchHost(cloud, { tags: { App: 'isso' } })).instanceId;
}, 120_000);

afterAll(async () => {
  await stopCloud(name);
}, 60_000);

/** Runs a line on the host, as somebody would who sits before it. */
async function shell(line: string, on = host): Promise<string> {
  const { code, stdout, stderr } = await onHost(cloud, on, ['bash', '-c', line]);
  if (code !== 0) throw new Error(`"${line}" ended with ${code}: ${stderr}`);
  return stdout.trim();
}

async function send(...lines: (string | Partial<SendCommandCommandInput>)[]): Promise<string> {
  const commands = lines.filter((line) => typeof line === 'string');
  const [more] = lines.filter((line) => typeof line !== 'string');
  const order = { DocumentName: 'AWS-RunShellScript', InstanceIds: [host], Parameters: { commands } };
  const { Command } = await ssm.send(new SendCommandCommand({ ...order, ...more }));
  return Command?.CommandId ?? '';
}

interface Ended {
  readonly status: string;
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Waits for the end of a command. */
async function ended(command: string, on = host): Promise<Ended> {
  for (;;) {
    const about = { CommandId: command, InstanceId: on };
    const answer = await ssm.send(new GetCommandInvocationCommand(about)).catch(() => undefined);
    const status = answer?.StatusDetails ?? 'Pending';
    if (!['Pending', 'InProgress', 'Delayed', 'Cancelling'].includes(status)) {
      const { ResponseCode, StandardOutputContent, StandardErrorContent } = answer ?? {};
      return {
        status,
        code: ResponseCode ?? -1,
        stdout: StandardOutputContent ?? '',
        stderr: StandardErrorContent ?? '',
      };
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function untilOnHost(line: string, on = host): Promise<void> {
  for (;;) {
    const { code } = await onHost(cloud, on, ['bash', '-c', line]).catch(() => ({ code: 1 }));
    if (code === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const waitFor = (file: string): string => `until [ -e ${file} ]; do sleep 0.1; done`;

/** A host whose agent waits as the real one does: it loses its power now, and is asked about it at the end. */
interface Patient {
  readonly id: string;
  readonly command: string;
  readonly backAt: number;
}
let patient: Patient;

beforeAll(async () => {
  const id = (await launchHost(cloud, { tags: { App: 'patient' } })).instanceId;
  const file = '/etc/amazon/ssm/amazon-ssm-agent.json';
  const usual = 'del(.Agent.RebootDelaySeconds, .Agent.LostCommandSeconds, .Agent.ResendSeconds)';
  await shell(
    `jq '${usual}' ${file} > /tmp/c && cp /tmp/c ${file} && systemctl restart amazon-ssm-agent`,
    id,
  );
  const command = await send('touch /var/tmp/begun; sync', 'sleep 600', { InstanceIds: [id] });
  await untilOnHost('test -e /var/tmp/begun', id);
  await askHosts(cloud, 'POST', `/hosts/${id}/crash`);
  await askHosts(cloud, 'POST', `/hosts/${id}/start`);
  patient = { id, command, backAt: Date.now() };
}, 60_000);

describe('a command that goes to a host and back', () => {
  test('it runs as root in the agent’s own cgroup, in /usr/bin, with 1,024 open files', async () => {
    const command = await send(
      '#!/bin/bash',
      'id -un; pwd; ulimit -n',
      'cat /proc/self/cgroup | grep -o "[^/]*$" | sort -u',
    );
    const { status, stdout } = await ended(command);
    expect(status).toBe('Success');
    expect(stdout.split('\n')).toEqual(
      expect.arrayContaining(['root', '/usr/bin', '1024', 'amazon-ssm-agent.service']),
    );
  });

  test('a root-owned script that only root can read', async () => {
    const command = await send('echo hello');
    await ended(command);
    const script = `/var/lib/amazon/ssm/${host}/document/orchestration/${command}/runShellScript/_script.sh`;
    expect(await shell(`stat -c '%U %a' ${script}; cat ${script}`)).toBe('root 700\necho hello');
  });

  test('the whole output goes to S3 as the instance, however long', async () => {
    const s3 = new S3Client({ ...operatorClient(cloud), forcePathStyle: true });
    await s3.send(
      new CreateBucketCommand({
        Bucket: 'agent-logs',
        CreateBucketConfiguration: { LocationConstraint: 'us-east-2' },
      }),
    );
    const command = await send('seq 10000', {
      OutputS3BucketName: 'agent-logs',
      OutputS3KeyPrefix: 'logs/isso',
    });
    expect((await ended(command)).stdout).toHaveLength(24_000);
    const Key = `logs/isso/${command}/${host}/awsrunShellScript/runShellScript/stdout`;
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: 'agent-logs', Key }));
    expect((await Body?.transformToString())?.split('\n')).toHaveLength(10_001);
    const put = readFileSync(join(cloud.state, 'calls.jsonl'), 'utf8')
      .split('\n')
      .find((line) => line.includes(Key) && line.includes('PutObject'));
    expect(JSON.parse(put ?? '{}')).toMatchObject({
      principal: expect.stringMatching(/^role\//),
      status: 200,
    });
  });

  test('a cut network: the command goes on, and its reply comes when the network is back', async () => {
    const command = await send('touch /tmp/cut', waitFor('/tmp/go-cut'), 'echo through');
    await untilOnHost('test -e /tmp/cut');
    await askHosts(cloud, 'POST', `/hosts/${host}/cut`);
    await shell('touch /tmp/go-cut');
    await untilOnHost(
      `grep -q through /var/lib/amazon/ssm/${host}/document/orchestration/${command}/*/stdout`,
    );
    await askHosts(cloud, 'POST', `/hosts/${host}/heal`);
    expect(await ended(command)).toMatchObject({ status: 'Success', stdout: 'through\n' });
  });

  test.each([
    ['restarted', 'systemctl restart amazon-ssm-agent'],
    [
      'killed with -9',
      'systemctl kill --kill-who=main -s KILL amazon-ssm-agent; systemctl restart amazon-ssm-agent',
    ],
  ])('the agent %s: the command goes on and is reported', async (how, line) => {
    const file = `/tmp/${how.split(' ')[0]}`;
    const command = await send(`touch ${file}`, waitFor(`${file}-go`), 'echo lived');
    await untilOnHost(`test -e ${file}`);
    await shell(line);
    await shell(`touch ${file}-go`);
    expect(await ended(command)).toMatchObject({ status: 'Success', stdout: 'lived\n' });
  });

  test('exit 194 reboots the machine and runs the step again, its output appended', async () => {
    const before = await shell('cat /proc/sys/kernel/random/boot_id; systemctl show -P UserspaceTimestamp');
    const flag = '/var/tmp/rebooted';
    const command = await send('echo line 1', `[ -e ${flag} ] && exit 0`, `touch ${flag}; sync; exit 194`);
    expect(await ended(command)).toMatchObject({ status: 'Success', stdout: 'line 1\nline 1\n' });
    expect(await shell('cat /proc/sys/kernel/random/boot_id; systemctl show -P UserspaceTimestamp')).not.toBe(
      before,
    );
  });

  test('a power cut in the middle: not run again, reported Failed 1 with empty output', async () => {
    const command = await send('echo begun; echo run >> /var/tmp/runs; sync', 'sleep 600');
    await untilOnHost('test -e /var/tmp/runs');
    await askHosts(cloud, 'POST', `/hosts/${host}/crash`);
    await askHosts(cloud, 'POST', `/hosts/${host}/start`);
    await awaitState(cloud, host, 'running');
    expect(await ended(command)).toEqual({ status: 'Failed', code: 1, stdout: '', stderr: '' });
    expect(await shell('cat /var/tmp/runs')).toBe('run');
  });
});

describe('what a host knows of itself', () => {
  test('the AWS CLI on it has the role of the instance', async () => {
    expect(await shell('aws sts get-caller-identity --query Arn --output text')).toMatch(
      new RegExp(`^arn:aws:sts::${cloud.account}:assumed-role/[^/]+/${host}$`),
    );
  });

  test('metadata wants a token there too', async () => {
    const base = 'http://169.254.169.254/latest';
    expect(await shell(`curl -s -o /dev/null -w '%{http_code}' ${base}/meta-data/instance-id`)).toBe('401');
    const token = `$(curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' ${base}/api/token)`;
    expect(await shell(`curl -s -H "X-aws-ec2-metadata-token: ${token}" ${base}/meta-data/instance-id`)).toBe(
      host,
    );
  });
});

describe('an agent with the waits of the real one', () => {
  test('tells of a command that its power cut ended only a minute after the boot', async () => {
    expect(await ended(patient.command, patient.id)).toMatchObject({ status: 'Failed', code: 1 });
    expect(Date.now() - patient.backAt).toBeGreaterThan(60_000);
  }, 120_000);
});
