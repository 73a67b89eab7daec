import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import * as z from 'zod/mini';
import { messageOf, sentenceOf } from '../action/errors.ts';
import { inSeconds, phase, say, warn } from '../action/log.ts';
import { state } from '../action/state.ts';
import { type Clients, settingsBeside } from '../aws/clients.ts';
import { isNamed, tellRefusals } from '../aws/errors.ts';
import { awaitMade, createStack, removeStack, type StackOrder } from '../aws/stack.ts';
import { jitter } from '../aws/time.ts';
import { readAgent } from '../instance/find.ts';
import { type Account, connect, type Operation, type Services } from '../operation/operation.ts';

/** After so long AWS removes the stack by itself, whatever became of GitHub. */
const lifeMs = 2 * 3_600_000;
const makeLimitMs = 15 * 60_000;
const onlineLimitMs = 10 * 60_000;
const removeLimitMs = 15 * 60_000;
/** GitHub gives a cancelled job five minutes. */
const postLimitMs = 4 * 60_000;

/** The stack of one drill, as main leaves it for post: all that the drill has in AWS, so that nothing stays by halves. */
const drillStack = z.object({
  account: z.object({
    ...{ region: z.string(), roleArn: z.exactOptional(z.string()), bucket: z.string() },
    ...{ run: z.string(), attempt: z.number() },
  }),
  stack: z.string(),
  /** UTC, `yyyy-mm-ddThh:mm:ss`. */
  ends: z.string(),
});

type DrillStack = z.infer<typeof drillStack>;

interface Wish {
  readonly services: Services;
  readonly operation: Operation;
  /** The backup bucket. */
  readonly backups: string;
  /** The AMI to launch from. */
  readonly image: string;
  readonly signal: AbortSignal;
}

/** An instance that is there for one drill. */
export interface DrillHost {
  readonly instance: string;
  /** From the first call until Systems Manager had its agent. */
  readonly launchMs: number;
}

/**
 * Does a piece of work that may need a drill host: it is launched when it is first asked for, and gone afterwards, however
 * the work ended. After a cancel, for which GitHub gives seconds, post sees to it: `removeDrillHost`.
 */
export async function withDrillHost<Value>(
  wish: Wish,
  work: (launch: () => Promise<DrillHost>) => Promise<Value>,
): Promise<Value> {
  const chosen = stackOf(wish.operation, wish.services.bucket.now());
  let host: Promise<DrillHost> | undefined;
  const launch = (): Promise<DrillHost> => {
    host ??= takeHost(wish, chosen);
    return host;
  };
  try {
    return await work(launch);
  } finally {
    if (host && !wish.signal.aborted) {
      await phase('Remove the drill host', () => remove(wish.services, chosen, removeLimitMs));
    }
  }
}

/** Removes what main left, because it was cancelled or died, with credentials that are taken afresh. */
export async function removeDrillHost(): Promise<void> {
  const text = state.stack.read();
  if (text === '') return;
  const left = drillStack.parse(JSON.parse(text));
  await phase('Remove the drill host', () => remove(connect(left.account), left, postLimitMs));
}

function stackOf(operation: Operation, now: number): DrillStack {
  const { app, environment, region, roleArn, run, attempt, bucket } = operation;
  const account: Account = { region, run, attempt, bucket, ...(roleArn !== undefined && { roleArn }) };
  const ends = new Date(now + lifeMs).toISOString().slice(0, 19);
  return { account, stack: `${app}-${environment}-drill-host-${run}-${attempt}`, ends };
}

async function takeHost(wish: Wish, chosen: DrillStack): Promise<DrillHost> {
  const { services, signal } = wish;
  const { clients, sleep, now } = services;
  const started = now();
  const order = await orderOf(wish, chosen);
  signal.throwIfAborted();
  state.stack.save(JSON.stringify(chosen));
  const client = cloudFormationOf(clients);
  const stack = await createStack(client, order).catch((error: unknown) => {
    throw notTaken(error, wish);
  });
  say(`the stack ${chosen.stack} is asked for; AWS removes it at ${chosen.ends} UTC, whatever becomes of us`);
  const { InstanceId: instance } = await awaitMade({ client, sleep, now, signal }, stack, makeLimitMs);
  if (!instance) throw new Error(`The stack ${chosen.stack} does not tell its instance.`);
  await awaitAgent(wish, instance);
  const launchMs = now() - started;
  say(`${instance} is online after ${inSeconds(launchMs)}`);
  return { instance, launchMs };
}

function cloudFormationOf(clients: Clients): CloudFormationClient {
  const client = new CloudFormationClient(settingsBeside(clients));
  tellRefusals(client);
  return client;
}

async function orderOf(
  { services, operation, backups, image }: Wish,
  { stack, ends }: DrillStack,
): Promise<StackOrder> {
  const { app, environment, id, region, bucket, roleArn } = operation;
  const [, partition = '', account = ''] =
    /^arn:([^:]+):\w+::(\d{12}):/.exec(roleArn ?? (await whoAmI(services))) ?? [];
  const domain = partition === 'aws-cn' ? 'amazonaws.com.cn' : 'amazonaws.com';
  return {
    name: stack,
    templateUrl: `https://${bucket}.s3.${region}.${domain}/${template}`,
    roleArn: `arn:${partition}:iam::${account}:role/${app}-${environment}-drill-builder`,
    parameters: {
      ...{ App: app, Environment: environment, Operation: id, Image: image, Ends: ends },
      ...{ StateBucketName: bucket, BackupBucketName: backups },
    },
    tags: { App: app, Environment: 'drill', Operation: id },
  };
}

const template = 'templates/drill-host.yaml';

async function whoAmI({ clients }: Services): Promise<string> {
  const sts = new STSClient(settingsBeside(clients));
  return (await sts.send(new GetCallerIdentityCommand({}))).Arn ?? '';
}

/** CloudFormation says of a template that is not there only that it may not be read. */
function notTaken(error: unknown, { operation: { bucket } }: Wish): unknown {
  if (!isNamed(error, 'ValidationError')) return error;
  const stored = `The template must be in the bucket: aws s3 cp infra/drill-host.yaml s3://${bucket}/${template}`;
  return new Error(`CloudFormation did not take the stack: ${sentenceOf(error)} ${stored}`, { cause: error });
}

async function awaitAgent({ services, signal }: Wish, instance: string): Promise<void> {
  const { clients, sleep, now } = services;
  for (const started = now(); ; await sleep(jitter(1500), signal)) {
    const { online, status } = await readAgent(clients.ssm, instance);
    if (online) return;
    if (now() - started < onlineLimitMs) continue;
    throw new Error(
      `The agent of the drill host ${instance} is not there after ${inSeconds(onlineLimitMs)} (${status}): the image may lack amazon-ssm-agent.`,
    );
  }
}

/** Never throws: the verdict stands whatever becomes of the host, and a warning says what to do. */
async function remove(
  { clients, sleep, now }: Services,
  { stack, ends }: DrillStack,
  limitMs: number,
): Promise<void> {
  let why: string | undefined;
  try {
    why = await removeStack({ client: cloudFormationOf(clients), sleep, now }, stack, limitMs);
  } catch (error) {
    why = messageOf(error);
  }
  if (why === undefined) {
    state.stack.save('');
    say(`the stack ${stack} is gone, and the drill host with it`);
    return;
  }
  warn(
    `The drill host is not gone after ${inSeconds(limitMs)} (${why}). Its stack ${stack} costs about 0.08 USD an hour, and AWS removes it at ${ends} UTC by itself; sooner by: aws cloudformation delete-stack --stack-name ${stack}`,
  );
}
