import {
  type CloudFormationClient,
  CreateStackCommand,
  DeleteStackCommand,
  DescribeStackEventsCommand,
  DescribeStacksCommand,
  type StackEvent,
} from '@aws-sdk/client-cloudformation';
import { inSeconds, say } from '../action/log.ts';
import { isNamed } from './errors.ts';
import { type Clock, jitter, type Sleep } from './time.ts';

/** A stack as it is to be made. Its name is its client token: asked for again, it is the same. */
export interface StackOrder {
  readonly name: string;
  readonly templateUrl: string;
  /** The role that CloudFormation takes for all that it does to the stack. */
  readonly roleArn: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
}

interface Services {
  readonly client: CloudFormationClient;
  readonly sleep: Sleep;
  readonly now: Clock;
  readonly signal?: AbortSignal;
}

/** Begins to make a stack, which is removed again where it cannot be made whole. Gives its ARN, which outlives it. */
export async function createStack(client: CloudFormationClient, order: StackOrder): Promise<string> {
  const { StackId } = await client.send(
    new CreateStackCommand({
      StackName: order.name,
      ClientRequestToken: order.name,
      TemplateURL: order.templateUrl,
      RoleARN: order.roleArn,
      OnFailure: 'DELETE',
      Parameters: Object.entries(order.parameters).map(([ParameterKey, ParameterValue]) => ({
        ParameterKey,
        ParameterValue,
      })),
      Tags: Object.entries(order.tags).map(([Key, Value]) => ({ Key, Value })),
    }),
  );
  return StackId ?? order.name;
}

/**
 * Waits until a stack is made, and gives its outputs.
 * @throws Error with the first reason, or when it takes longer than `limitMs`
 */
export async function awaitMade(
  services: Services,
  stack: string,
  limitMs: number,
): Promise<Record<string, string>> {
  const told = new Set<string>();
  const found = await follow(services, stack, limitMs, async ({ status }) => {
    await tellProgress(services.client, stack, told);
    return status !== 'CREATE_IN_PROGRESS';
  });
  if (found.status === 'CREATE_COMPLETE') return found.outputs;
  const late = found.status === 'CREATE_IN_PROGRESS';
  const why = late
    ? `it was not complete after ${inSeconds(limitMs)}`
    : await firstReason(services.client, stack);
  throw new Error(`CloudFormation could not make the stack ${nameOf(stack)}: ${why}`);
}

/** Asks for a stack to be removed, and waits until it is gone. Gives what it is where it is not gone after `limitMs`. */
export async function removeStack(
  services: Services,
  name: string,
  limitMs: number,
): Promise<string | undefined> {
  const { client } = services;
  // By its name a stack that is gone cannot be told from one that never was; by its ARN it can.
  const known = await describe(client, name);
  if (known.status === gone) return undefined;
  await client.send(new DeleteStackCommand({ StackName: name }));
  const over = await follow(services, known.arn, limitMs, async ({ status }) => hasEnded(status));
  return over.status === gone ? undefined : over.status;
}

const gone = 'DELETE_COMPLETE';
const hasEnded = (status: string): boolean => status === gone || status === 'DELETE_FAILED';

interface Described {
  readonly arn: string;
  readonly status: string;
  readonly outputs: Record<string, string>;
}

async function describe(client: CloudFormationClient, stack: string): Promise<Described> {
  try {
    const { Stacks = [] } = await client.send(new DescribeStacksCommand({ StackName: stack }));
    const { StackId = stack, StackStatus = '', Outputs = [] } = Stacks[0] ?? {};
    const outputs = Object.fromEntries(
      Outputs.map(({ OutputKey = '', OutputValue = '' }) => [OutputKey, OutputValue]),
    );
    return { arn: StackId, status: StackStatus, outputs };
  } catch (error) {
    if (isNamed(error, 'ValidationError') && /does not exist/.test(String(error)))
      return { arn: stack, status: gone, outputs: {} };
    throw error;
  }
}

const longestWaitMs = 5000;

async function follow(
  { client, sleep, now, signal }: Services,
  stack: string,
  limitMs: number,
  isOver: (found: Described) => Promise<boolean>,
): Promise<Described> {
  const started = now();
  for (let wait = 500; ; wait = Math.min(wait * 1.4, longestWaitMs)) {
    const found = await describe(client, stack);
    if ((await isOver(found)) || now() - started > limitMs) return found;
    await sleep(jitter(wait), signal);
  }
}

/** The newest hundred, the oldest of them first: our stacks have no more. */
async function eventsOf(client: CloudFormationClient, stack: string): Promise<StackEvent[]> {
  const { StackEvents = [] } = await client.send(new DescribeStackEventsCommand({ StackName: stack }));
  return StackEvents.toReversed();
}

/** Each part of the stack once, when it is there. */
async function tellProgress(client: CloudFormationClient, stack: string, told: Set<string>): Promise<void> {
  for (const { LogicalResourceId: part = '', ResourceStatus: status } of await eventsOf(client, stack)) {
    if (status !== 'CREATE_COMPLETE' || told.has(part)) continue;
    told.add(part);
    say(`  made: ${part}`);
  }
}

/** What failed first: the others failed because of it. */
async function firstReason(client: CloudFormationClient, stack: string): Promise<string> {
  const failed = (await eventsOf(client, stack)).find(({ ResourceStatus = '' }) =>
    ResourceStatus.endsWith('_FAILED'),
  );
  if (!failed) return 'it does not say why.';
  return `${failed.LogicalResourceId} (${failed.ResourceType}): ${failed.ResourceStatusReason ?? 'without a reason'}`;
}

/** The name in an ARN: `arn:…:stack/<name>/<uuid>`. */
const nameOf = (stack: string): string => (stack.startsWith('arn:') ? (stack.split('/')[1] ?? stack) : stack);
