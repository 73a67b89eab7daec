import {
  CreateTagsCommand,
  DescribeInstancesCommand,
  type EC2Client,
  StartInstancesCommand,
  StopInstancesCommand,
} from '@aws-sdk/client-ec2';
import { OperationError } from '../action/errors.ts';
import { inSeconds, say } from '../action/log.ts';
import { type Clock, jitter, type Sleep } from '../aws/time.ts';

/** Of an instance that does not shut down in time EC2 pulls the plug; that, too, may take minutes. */
const stopLimitMs = 10 * 60_000;

interface Waiting {
  readonly ec2: EC2Client;
  readonly sleep: Sleep;
  readonly now: Clock;
  readonly signal?: AbortSignal;
}

/**
 * Stops an instance, and waits until EC2 says that it is: from then on it writes nothing and answers nobody.
 * @throws OperationError when it is not stopped in time
 */
export async function stopInstance({ ec2, sleep, now, signal }: Waiting, id: string): Promise<void> {
  await ec2.send(new StopInstancesCommand({ InstanceIds: [id] }));
  for (const started = now(); ; await sleep(jitter(1500), signal)) {
    const { Reservations = [] } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    const state = Reservations[0]?.Instances?.[0]?.State?.Name ?? 'gone';
    if (['stopped', 'terminated', 'gone'].includes(state)) {
      say(`${id} is ${state} after ${inSeconds(now() - started)}`);
      return;
    }
    if (now() - started < stopLimitMs) continue;
    throw new OperationError({
      ...{ reason: 'not-moved', outcome: 'unknown', instance: id },
      happened: `EC2 says ${state} ${inSeconds(stopLimitMs)} after it was asked to stop.`,
      stateNow: 'It may still serve.',
      todo: `Force it: aws ec2 stop-instances --force --instance-ids ${id}; then run this job again.`,
    });
  }
}

export async function startInstance(ec2: EC2Client, id: string): Promise<void> {
  await ec2.send(new StartInstancesCommand({ InstanceIds: [id] }));
}

/** The tag Environment of an instance that was replaced: no operation finds it any more. */
const retired = 'retired';

export async function tagRetired(ec2: EC2Client, id: string): Promise<void> {
  await ec2.send(new CreateTagsCommand({ Resources: [id], Tags: [{ Key: 'Environment', Value: retired }] }));
}
