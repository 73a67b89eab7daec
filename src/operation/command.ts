import { inSeconds, say } from '../action/log.ts';
import { followCommand, type Invocation } from '../command/follow.ts';
import { type HostState, readState } from '../command/result-line.ts';
import { findDocument, type Order, sendCommand } from '../command/send.ts';
import type { DocumentName } from '../document/parameters.ts';
import type { Operation, Services } from './operation.ts';

/** A command to be run for an operation on some instances. */
export interface Task {
  readonly document: DocumentName;
  /** Beside app, environment, operation and timeout, which every document has. */
  readonly parameters: Readonly<Record<string, string>>;
  /** Seconds that the agent of an instance may take to take the command; the least when absent. */
  readonly delivery?: number;
  /** Seconds that one instance may take. */
  readonly timeout: number;
  /** Every instance that must be accounted for. */
  readonly instances: readonly string[];
  /** Whether SSM rolls it over the instances by the operation's `rollout`; otherwise all are asked at once. */
  readonly rolled: boolean;
  /** Asked right before it is sent; throws when it may not be any more. */
  readonly mayStillSend?: () => void;
  /** Told the command's id as soon as it is sent. */
  readonly onSent?: (command: string) => void;
}

/** The least that SSM takes. What asks and is asked again waits no longer for an agent that is not there. */
const leastDelivery = 30;

/** Sends a command for an operation and follows it to its end on every instance. */
export async function runCommand(
  services: Services,
  operation: Operation,
  task: Task,
  signal?: AbortSignal,
): Promise<Invocation[]> {
  const { clients, sleep, now } = services;
  const order = toOrder(operation, task);
  const document = await documentOf(clients, `${operation.app}-${task.document}`);
  signal?.throwIfAborted();
  task.mayStillSend?.();
  const command = await sendCommand(order, document, { clients, sleep });
  task.onSent?.(command);
  say(`sent ${document.name} version ${document.version} as command ${command}`);
  const waves = Math.ceil(task.instances.length / order.rollout.concurrency);
  const started = now();
  return followCommand({
    ssm: clients.ssm,
    command,
    expected: task.instances,
    limitMs: (order.deliverySeconds + task.timeout * waves + 30) * 1000,
    sleep,
    now,
    ...(services.pace && { pace: services.pace }),
    ...(signal && { signal }),
    onChange: (invocation) => tell(invocation, now() - started),
  });
}

/** A document is looked up once for each account: whoever watches for hours sends the same again and again. */
const documents = new WeakMap<Services['clients'], Map<string, ReturnType<typeof findDocument>>>();

async function documentOf(clients: Services['clients'], name: string): ReturnType<typeof findDocument> {
  const known = documents.get(clients) ?? new Map<string, ReturnType<typeof findDocument>>();
  documents.set(clients, known);
  const document = known.get(name) ?? findDocument(clients, name);
  known.set(name, document);
  try {
    return await document;
  } catch (error) {
    known.delete(name);
    throw error;
  }
}

function toOrder({ app, environment, id, rollout }: Operation, task: Task): Order {
  const { document, delivery = leastDelivery, timeout, instances, rolled } = task;
  const concurrency = rolled ? rollout.concurrency : instances.length;
  const waves = Math.ceil(instances.length / concurrency);
  return {
    app,
    document,
    targets: { instances, rolled },
    parameters: { app, environment, operation: id, timeout: String(timeout), ...task.parameters },
    rollout: { concurrency, errors: rolled ? rollout.errors : instances.length },
    deliverySeconds: delivery + (waves - 1) * timeout,
  };
}

function tell({ instance, standing, statusDetails }: Invocation, ms: number): void {
  say(
    `${inSeconds(ms).padStart(8)}  ${instance}  ${standing}${standing === 'running' ? '' : ` (${statusDetails})`}`,
  );
}

const probeSeconds = 60;

/** What is asked of a host beside its state. */
interface Question {
  /** The operation to tell about; the one that ended there last when absent. */
  readonly about?: string;
  /** `kept`: the releases that are kept there. Or how long a release, by its SHA-256, was healthy there. */
  readonly ask?: string;
}

/** What each instance says of itself; an instance that did not answer is not in the map. */
export async function probe(
  services: Services,
  operation: Operation,
  instances: readonly string[],
  { about = 'none', ask = 'none' }: Question = {},
  signal?: AbortSignal,
): Promise<Map<string, HostState>> {
  const parameters = {
    about,
    ask,
    operation: `probe-${services.bucket.now().toFixed(0)}-${operation.id}`.slice(0, 120),
  };
  const task = { document: 'probe', parameters, timeout: probeSeconds, instances, rolled: false } as const;
  const invocations = await runCommand(services, operation, task, signal);
  return new Map(
    invocations.flatMap(({ instance, output }) => {
      const state = readState(output);
      return state ? [[instance, state] as const] : [];
    }),
  );
}
