import {
  CancelCommandCommand,
  type CommandInvocation,
  ListCommandInvocationsCommand,
  ListCommandsCommand,
  type SSMClient,
} from '@aws-sdk/client-ssm';
import { isNamed } from '../aws/errors.ts';
import { type Clock, jitter, type Sleep } from '../aws/time.ts';
import { commandHasEnded, hasEnded, type Standing, standingOf } from './status.ts';

/** What SSM says of one instance. */
export interface Invocation {
  readonly instance: string;
  readonly standing: Standing;
  /** SSM's own words, for people. */
  readonly statusDetails: string;
  /** The first 2,500 characters of the step's output. */
  readonly output: string;
}

interface FollowOptions {
  readonly ssm: SSMClient;
  readonly command: string;
  /** Every instance that must be accounted for. */
  readonly expected: readonly string[];
  /** After this long we stop looking. */
  readonly limitMs: number;
  readonly sleep: Sleep;
  readonly now: Clock;
  readonly signal?: AbortSignal;
  /** How soon it is asked again; `quick` when absent. */
  readonly pace?: Pace;
  /** Told when an instance's standing changes. */
  readonly onChange?: (invocation: Invocation) => void;
}

/** Ms until one asks for the first time, how many times longer each wait is than the one before, and the longest. */
export interface Pace {
  readonly first: number;
  readonly growth: number;
  readonly longest: number;
}

/** Somebody waits for the end. */
const quick: Pace = { first: 250, growth: 1.4, longest: 1200 };
/** Once the command has ended, instances that SSM does not list are given up after so many looks in vain. */
const looksAfterEnd = { whenAllTargetsAreListed: 3, otherwise: 12 } as const;

/**
 * Follows a command until every expected instance has ended, or the limit is reached; gives one invocation for each
 * of them, and for any other that the command reached. Counts them itself: the command's own status can say Success
 * with four of five undeliverable. A refusal by IAM ends it at once (the SDK's waiter would go on asking).
 */
export async function followCommand(options: FollowOptions): Promise<Invocation[]> {
  const { ssm, command, expected, limitMs, sleep, now, signal, pace = quick, onChange = () => {} } = options;
  const started = now();
  const seen = new Map<string, Invocation>(expected.map((instance) => [instance, notYet(instance)]));
  let wait = pace.first;
  let vain = 0;
  for (;;) {
    signal?.throwIfAborted();
    await sleep(jitter(wait), signal);
    wait = Math.min(wait * pace.growth, pace.longest);
    const listed = await listInvocations(ssm, command);
    for (const invocation of listed) if (advance(seen, invocation)) onChange(invocation);
    const open = [...seen.values()].filter(({ standing }) => !hasEnded(standing));
    if (open.length === 0) return [...seen.values()];
    const targets = await targetsWhenEnded(ssm, command, open);
    if (targets !== undefined) vain += 1;
    const unlisted = standingOfUnlisted(vain, listed.length >= (targets ?? Number.POSITIVE_INFINITY));
    if (unlisted) return closeUnlisted(seen, unlisted);
    if (now() - started > limitMs) return [...seen.values()];
  }
}

function notYet(instance: string): Invocation {
  return { instance, standing: 'pending', statusDetails: 'not listed', output: '' };
}

/** Takes news of an instance; an end is never taken back. Says whether its standing changed. */
function advance(seen: Map<string, Invocation>, news: Invocation): boolean {
  const before = seen.get(news.instance);
  if (before && hasEnded(before.standing)) return false;
  seen.set(news.instance, news);
  return before?.standing !== news.standing;
}

/**
 * How many instances a command was for, once it is handed to no further one. The parent is asked only when what is
 * open may never be listed: it costs a call.
 */
async function targetsWhenEnded(
  ssm: SSMClient,
  command: string,
  open: readonly Invocation[],
): Promise<number | undefined> {
  if (open.some(({ standing }) => standing !== 'pending')) return undefined;
  const { Commands = [] } = await ssm.send(new ListCommandsCommand({ CommandId: command }));
  const { Status, TargetCount = Number.POSITIVE_INFINITY } = Commands[0] ?? {};
  return commandHasEnded(Status) ? TargetCount : undefined;
}

/** What to make of instances that are not listed after so many looks in vain; undefined as long as they may come. */
function standingOfUnlisted(vain: number, allTargetsAreListed: boolean): 'never-ran' | 'failed' | undefined {
  if (allTargetsAreListed && vain >= looksAfterEnd.whenAllTargetsAreListed) return 'never-ran';
  // SSM hides some of its targets: what became of them, nobody but the host can tell.
  return vain >= looksAfterEnd.otherwise ? 'failed' : undefined;
}

function closeUnlisted(
  seen: ReadonlyMap<string, Invocation>,
  standing: 'never-ran' | 'failed',
): Invocation[] {
  return [...seen.values()].map((invocation) =>
    hasEnded(invocation.standing) ? invocation : { ...invocation, standing },
  );
}

async function listInvocations(ssm: SSMClient, command: string): Promise<Invocation[]> {
  const invocations: Invocation[] = [];
  let token: string | undefined;
  do {
    const page = await listPage(ssm, command, token);
    invocations.push(...page.invocations.map(toInvocation));
    token = page.next;
  } while (token);
  return invocations;
}

interface Page {
  readonly invocations: readonly CommandInvocation[];
  readonly next: string | undefined;
}

async function listPage(ssm: SSMClient, CommandId: string, token: string | undefined): Promise<Page> {
  try {
    const { CommandInvocations = [], NextToken } = await ssm.send(
      new ListCommandInvocationsCommand({ CommandId, Details: true, ...(token ? { NextToken: token } : {}) }),
    );
    return { invocations: CommandInvocations, next: NextToken };
  } catch (error) {
    // Right after SendCommand, SSM may not know the command yet.
    if (isNamed(error, 'InvocationDoesNotExist', 'InvalidCommandId'))
      return { invocations: [], next: undefined };
    throw error;
  }
}

function toInvocation(invocation: CommandInvocation): Invocation {
  const { InstanceId = '', StatusDetails = invocation.Status ?? '', CommandPlugins = [] } = invocation;
  const output = CommandPlugins.map((plugin) => plugin.Output ?? '').join('\n');
  return { instance: InstanceId, standing: standingOf(invocation), statusDetails: StatusDetails, output };
}

/** Asks SSM to cancel a command: it kills our watcher on the host, and hands it to no further instance. */
export async function cancelCommand(ssm: SSMClient, command: string): Promise<void> {
  await ssm.send(new CancelCommandCommand({ CommandId: command }));
}
