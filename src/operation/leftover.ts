import * as z from 'zod/mini';
import { messageOf } from '../action/errors.ts';
import { phase, say, warn } from '../action/log.ts';
import { type Result, resultOf } from '../action/result.ts';
import { state } from '../action/state.ts';
import { code, writeSummary } from '../action/summary.ts';
import { cancelCommand } from '../command/follow.ts';
import { findCommand } from '../command/send.ts';
import { type DocumentName, documentParameters } from '../document/parameters.ts';
import { releaseLeaseOf } from '../lease/lease.ts';
import { appendEntry } from '../ledger/ledger.ts';
import { runCommand } from './command.ts';
import { connect, type Operation, type Services } from './operation.ts';
import { type InstanceOutcome, instanceOutcome, overall } from './outcome.ts';
import { settle } from './settle.ts';
import { summarise, type Told } from './summary.ts';
import { readTold } from './telling.ts';

const documents = Object.keys(documentParameters) as [DocumentName, ...DocumentName[]];

const saved = z.object({
  operation: z.object({
    ...{ id: z.string(), action: z.string(), document: z.enum(documents) },
    ...{ app: z.string(), region: z.string(), environment: z.string() },
    ...{ bucket: z.string(), backups: z.exactOptional(z.string()), roleArn: z.exactOptional(z.string()) },
    ...{ repository: z.string(), run: z.string() },
    ...{ attempt: z.number(), rollout: z.object({ concurrency: z.number(), errors: z.number() }) },
  }),
  instances: z.array(z.string()),
  /** The operation that took the lease. */
  holder: z.string(),
  release: z.exactOptional(z.object({ id: z.string(), commit: z.string() })),
  job: z.object({ actor: z.string(), runUrl: z.string() }),
});

/** What main leaves for post when it dies. */
export interface Leftover {
  readonly operation: Operation;
  /** The instances of the environment. */
  readonly instances: readonly string[];
  /** The id of the operation that took the lease. */
  readonly holder: string;
  readonly release?: { readonly id: string; readonly commit: string };
  readonly job: { readonly actor: string; readonly runUrl: string };
}

/** What main saves before it takes the lease, or goes on to another piece of work under it, for post to look after. */
export function saveLeftover({ operation, instances, holder, release, job }: Leftover): void {
  const of = release && { release: { id: release.id, commit: release.commit } };
  const { actor, runUrl } = job;
  state.operation.save(JSON.stringify({ operation, instances, holder, ...of, job: { actor, runUrl } }));
}

/** What an action makes of the words of the hosts, where it can see for itself. */
export type Review = (
  services: Services,
  operation: Operation,
  told: readonly Told[],
) => Promise<readonly Told[]>;

/** How long post waits for a host to come to an end; GitHub gives a cancelled job five minutes. */
const awaitMs = 200_000;

/**
 * Looks after what main left, because it was cancelled, died, or could not tell: asks for the cancel, awaits it,
 * says the state, and gives the lease back. Does nothing when main ended well.
 */
export async function lookAfterLeftover(
  review: Review = async (_services, _operation, told) => told,
  open: (operation: Operation) => Services = connect,
): Promise<void> {
  const left = readLeftover();
  if (!left) return;
  const services = open(left.operation);
  try {
    if (state.ended.read() === '') {
      const outcomes = await readTold(services, left.operation, await endOperation(services, left));
      await tell(services, left, await review(services, left.operation, outcomes));
    }
  } finally {
    await giveBack(services, { ...left.operation, id: left.holder });
  }
}

function readLeftover(): Leftover | undefined {
  const text = state.operation.read();
  if (text === '' || state.ended.read() === 'all') return undefined;
  return saved.parse(JSON.parse(text));
}

async function endOperation(
  services: Services,
  { operation, instances }: Leftover,
): Promise<readonly InstanceOutcome[]> {
  const { app } = operation;
  const command = state.command.read() || (await lookForCommand(services, operation));
  if (command === 'none') {
    const result = resultOf({
      outcome: 'refused',
      reason: 'cancelled',
      sentence: 'It was cancelled before any command was sent.',
    });
    return instances.map((instance) => instanceOutcome(instance, result, false));
  }
  const asked = await phase('Ask for the cancel', () =>
    askForCancel(services, operation, command, instances),
  );
  const unknown = resultOf({ outcome: 'unknown', reason: 'no-result', app });
  const open = instances.map((instance) => ({
    ...instanceOutcome(instance, unknown, true),
    mayBegin: !asked,
  }));
  const settling = { services, operation, limitMs: awaitMs, neverStarted: 'cancelled' } as const;
  return phase('Await the hosts', () => settle(open, settling));
}

/** Main may have died between sending and saving: SSM knows. Undefined when it does not tell. */
async function lookForCommand(services: Services, operation: Operation): Promise<string | undefined> {
  const { app, document, id } = operation;
  try {
    return (await findCommand({ app, document, parameters: { operation: id } }, services)) ?? 'none';
  } catch (error) {
    warn(`SSM does not tell whether the command was sent: ${messageOf(error)}`);
    return undefined;
  }
}

/**
 * SSM kills only the watchers, and hands the command to nobody else; the work itself reads a request of its own, and
 * a command that is delivered late stops at it. Says whether one of the two was taken.
 */
async function askForCancel(
  services: Services,
  operation: Operation,
  command: string | undefined,
  instances: readonly string[],
): Promise<boolean> {
  const bySsm =
    command !== undefined &&
    (await attempt('SSM could not cancel the command', () => cancelCommand(services.clients.ssm, command)));
  const task = {
    document: 'cancel',
    parameters: { about: operation.id, operation: `cancel-${operation.id}`.slice(0, 120) },
    timeout: 60,
    instances,
    rolled: false,
  } as const;
  const byHost = await attempt('The hosts could not be asked to stop', () =>
    runCommand(services, operation, task),
  );
  return bySsm || byHost;
}

/** Whether it could be done; a warning says why not. */
async function attempt(what: string, work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    warn(`${what}: ${messageOf(error)}`);
    return false;
  }
}

async function tell(
  services: Services,
  { operation, release, job }: Leftover,
  instances: readonly Told[],
): Promise<void> {
  const { app, environment, id, action } = operation;
  const result: Result = overall(instances, app);
  for (const { instance, result, reason, sentence } of instances)
    say(`${instance}  ${result} (${reason}): ${sentence}`);
  if (instances.some(({ open }) => open)) warn(`After the cancel: ${result.sentence} ${result.todo}`);
  const title = `${action} of ${app} in ${environment}, after it was stopped`;
  await attempt('The summary could not be written', () =>
    writeSummary(summarise({ title, result, facts: [['Operation', code(id)]], instances })),
  );
  await attempt('The ledger could not be written', () =>
    appendEntry(services.bucket, {
      ...{ operation: id, action, app, environment, actor: job.actor, run: job.runUrl },
      ...{ ...(release && { release: release.id, commit: release.commit }), seconds: 0 },
      ...{ result: result.result, reason: result.reason, sentence: result.sentence },
      instances: instances.map(({ instance, result, reason, manifest }) => ({
        ...{ instance, result, reason, ...(manifest !== undefined && { manifest }) },
      })),
    }),
  );
}

/** Always: a host that is still at work has its own lock, and refuses the next operation as busy. */
async function giveBack({ bucket }: Services, { app, environment, id }: Operation): Promise<void> {
  await attempt('The lease could not be given back', async () => {
    const released = await releaseLeaseOf(bucket, app, environment, id);
    say(
      released === 'released'
        ? `the lease of ${environment} is given back`
        : 'the lease is not held by this operation',
    );
  });
}
