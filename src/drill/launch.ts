import * as z from 'zod/mini';
import { inSeconds, phase, say, warn } from '../action/log.ts';
import { state } from '../action/state.ts';
import { type LaunchedHost, launchHost, removeHost } from '../instance/host-stack.ts';
import { accountOf, connect, type Operation, type Services, savedAccount } from '../operation/operation.ts';

/** After so long AWS removes the stack by itself, whatever became of GitHub. */
const lifeMs = 2 * 3_600_000;
const removeLimitMs = 15 * 60_000;
/** GitHub gives a cancelled job five minutes. */
const postLimitMs = 4 * 60_000;

/** The stack of one drill, as main leaves it for post: all that the drill has in AWS, so that nothing stays by halves. */
const drillStack = z.object({
  account: savedAccount,
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
  /** Tells the host from that of another action in the same run. */
  readonly purpose?: string;
}

/**
 * Does a piece of work that may need a drill host: it is launched when it is first asked for, and gone afterwards, however
 * the work ended. After a cancel, for which GitHub gives seconds, post sees to it: `removeDrillHost`.
 */
export async function withDrillHost<Value>(
  wish: Wish,
  work: (launch: () => Promise<LaunchedHost>) => Promise<Value>,
): Promise<Value> {
  const chosen = stackOf(wish, wish.services.bucket.now());
  let host: Promise<LaunchedHost> | undefined;
  const launch = (): Promise<LaunchedHost> => {
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

function stackOf({ operation, purpose }: Wish, now: number): DrillStack {
  const { app, environment, run, attempt } = operation;
  const ends = new Date(now + lifeMs).toISOString().slice(0, 19);
  const which = purpose === undefined ? '' : `${purpose}-`;
  return {
    account: accountOf(operation),
    stack: `${app}-${environment}-drill-host-${which}${run}-${attempt}`,
    ends,
  };
}

function takeHost({ services, operation, backups, image, signal }: Wish, chosen: DrillStack) {
  const { app, environment, id, region, bucket, roleArn } = operation;
  const { stack, ends } = chosen;
  return launchHost(services, {
    ...{ stack, template: 'drill-host', builder: `${app}-${environment}-drill-builder`, bucket, region },
    ...(roleArn !== undefined && { roleArn }),
    parameters: {
      ...{ App: app, Environment: environment, Operation: id, Image: image, Ends: ends },
      ...{ StateBucketName: bucket, BackupBucketName: backups },
    },
    tags: { App: app, Environment: 'drill', Operation: id },
    signal,
    onAsk: () => {
      state.stack.save(JSON.stringify(chosen));
      say(`AWS removes the stack ${stack} at ${ends} UTC, whatever becomes of us`);
    },
  });
}

/** The verdict stands whatever becomes of the host, and a warning says what to do. */
async function remove(services: Services, { stack, ends }: DrillStack, limitMs: number): Promise<void> {
  const why = await removeHost(services, stack, limitMs);
  if (why === undefined) {
    state.stack.save('');
    say(`the stack ${stack} is gone, and the drill host with it`);
    return;
  }
  warn(
    `The drill host is not gone after ${inSeconds(limitMs)} (${why}). Its stack ${stack} costs about 0.08 USD an hour, and AWS removes it at ${ends} UTC by itself; sooner by: aws cloudformation delete-stack --stack-name ${stack}`,
  );
}
