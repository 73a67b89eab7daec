import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { messageOf, sentenceOf } from '../action/errors.ts';
import { inSeconds, say } from '../action/log.ts';
import { type Clients, settingsBeside } from '../aws/clients.ts';
import { isNamed, tellRefusals } from '../aws/errors.ts';
import { awaitMade, createStack, removeStack, type StackOrder } from '../aws/stack.ts';
import { type Clock, jitter, type Sleep } from '../aws/time.ts';
import { readAgent } from './find.ts';

const makeLimitMs = 15 * 60_000;
const onlineLimitMs = 10 * 60_000;

interface Services {
  readonly clients: Clients;
  readonly sleep: Sleep;
  readonly now: Clock;
}

/** A host that CloudFormation makes with all that is its own, of a template that an operator stored. */
export interface HostOrder {
  /** The stack's name, and its client token. */
  readonly stack: string;
  /** Of `infra/<template>.yaml`, which lies in the state bucket as `templates/<template>.yaml`. */
  readonly template: string;
  /** The state bucket, and its region. */
  readonly bucket: string;
  readonly region: string;
  /** The role that asks; without one, that of the job's own credentials. */
  readonly roleArn?: string;
  /** Name of the role that CloudFormation makes it with: the account's own, for the one that asks may launch nothing. */
  readonly builder: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** Told right before CloudFormation is asked: from here on there may be a stack to remove. */
  readonly onAsk: () => void;
}

/** A host that is there. */
export interface LaunchedHost {
  readonly instance: string;
  /** From the first call until Systems Manager had its agent. */
  readonly launchMs: number;
}

/**
 * Makes the stack of one host, and waits until Systems Manager has its agent. Whatever fails later, the stack stays: see
 * `removeHost`. One that cannot be made is removed by CloudFormation.
 * @throws Error with what CloudFormation, EC2 or the agent did not do
 */
export async function launchHost(services: Services, order: HostOrder): Promise<LaunchedHost> {
  const { clients, sleep, now } = services;
  const { stack, signal } = order;
  const started = now();
  const asked = await toStackOrder(services, order);
  signal.throwIfAborted();
  order.onAsk();
  const client = cloudFormationOf(clients);
  const made = await createStack(client, asked).catch((error: unknown) => {
    throw notTaken(error, order);
  });
  say(`the stack ${stack} is asked for`);
  const { InstanceId: instance } = await awaitMade({ client, sleep, now, signal }, made, makeLimitMs);
  if (!instance) throw new Error(`The stack ${stack} does not tell its instance.`);
  await awaitAgent(services, instance, signal);
  const launchMs = now() - started;
  say(`${instance} is online after ${inSeconds(launchMs)}`);
  return { instance, launchMs };
}

/** Removes the stack of a host, and the host with it. Never throws: gives why it is not gone after `limitMs`. */
export async function removeHost(
  { clients, sleep, now }: Services,
  stack: string,
  limitMs: number,
): Promise<string | undefined> {
  try {
    return await removeStack({ client: cloudFormationOf(clients), sleep, now }, stack, limitMs);
  } catch (error) {
    return messageOf(error);
  }
}

function cloudFormationOf(clients: Clients): CloudFormationClient {
  const client = new CloudFormationClient(settingsBeside(clients));
  tellRefusals(client);
  return client;
}

async function toStackOrder({ clients }: Services, order: HostOrder): Promise<StackOrder> {
  const { stack, bucket, region, builder, roleArn, parameters, tags } = order;
  const [, partition = '', account = ''] =
    /^arn:([^:]+):\w+::(\d{12}):/.exec(roleArn ?? (await whoAmI(clients))) ?? [];
  const domain = partition === 'aws-cn' ? 'amazonaws.com.cn' : 'amazonaws.com';
  return {
    name: stack,
    templateUrl: `https://${bucket}.s3.${region}.${domain}/${keyOf(order)}`,
    roleArn: `arn:${partition}:iam::${account}:role/${builder}`,
    parameters,
    tags,
  };
}

const keyOf = ({ template }: HostOrder): string => `templates/${template}.yaml`;

async function whoAmI(clients: Clients): Promise<string> {
  const sts = new STSClient(settingsBeside(clients));
  return (await sts.send(new GetCallerIdentityCommand({}))).Arn ?? '';
}

/** CloudFormation says of a template that is not there only that it may not be read. */
function notTaken(error: unknown, order: HostOrder): unknown {
  if (!isNamed(error, 'ValidationError')) return error;
  const stored = `aws s3 cp infra/${order.template}.yaml s3://${order.bucket}/${keyOf(order)}`;
  return new Error(
    `CloudFormation did not take the stack: ${sentenceOf(error)} The template must be in the bucket: ${stored}`,
    { cause: error },
  );
}

async function awaitAgent(
  { clients, sleep, now }: Services,
  instance: string,
  signal: AbortSignal,
): Promise<void> {
  for (const started = now(); ; await sleep(jitter(1500), signal)) {
    const { online, status } = await readAgent(clients.ssm, instance);
    if (online) return;
    if (now() - started < onlineLimitMs) continue;
    throw new Error(
      `The agent of ${instance} is not there after ${inSeconds(onlineLimitMs)} (${status}): the image may lack amazon-ssm-agent.`,
    );
  }
}
