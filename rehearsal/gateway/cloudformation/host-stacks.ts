import { setTimeout as sleep } from 'node:timers/promises';
import type { Instances } from '../ec2/instances.ts';
import type { Moto } from '../moto.ts';
import { type Element, element, elementsNamed, itemsOf, setText, textAt } from '../xml.ts';
import { clearNetwork, resourcesMadeFor } from './network.ts';
import type { StackHost } from './read.ts';

type Status =
  | 'CREATE_IN_PROGRESS'
  | 'CREATE_COMPLETE'
  | 'CREATE_FAILED'
  | 'DELETE_IN_PROGRESS'
  | 'DELETE_COMPLETE'
  | 'DELETE_FAILED';

interface StackEvent {
  readonly logicalId: string;
  readonly physicalId: string;
  readonly type: string;
  readonly status: Status;
  readonly reason: string | undefined;
  readonly time: Date;
}

interface HostStack {
  readonly id: string;
  readonly name: string;
  status: Status;
  reason: string | undefined;
  readonly events: StackEvent[];
  /** Instance ids by logical id. */
  readonly hosts: ReadonlyMap<string, string>;
  /** Settled once every host was asked to boot, or one could not. */
  booted: Promise<void>;
}

interface Parts {
  readonly moto: Moto;
  readonly instances: Instances;
  /** Called once a stack is gone. */
  readonly onGone: (name: string) => void;
}

/** Milliseconds that a host may take to come up, or to go. */
const patience = 600_000;

/**
 * Stacks that have hosts. moto makes and deletes everything at once, and an instance of a stack only in its books; here
 * it is a host that boots and shuts down, and the stack is complete when the host is there, and gone when it is gone.
 */
export class HostStacks {
  readonly #parts: Parts;
  /** By stack id; those that are gone too. */
  readonly #stacks = new Map<string, HostStack>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Takes over a stack that moto has just made, and boots its hosts. */
  async begin(name: string, hosts: readonly StackHost[]): Promise<void> {
    const { moto } = this.#parts;
    const [found] = elementsNamed(
      await moto.query('cloudformation', 'DescribeStacks', { StackName: name }),
      'Stacks',
    );
    const id = textAt(itemsOf(found)[0], 'StackId') ?? '';
    const made = await resourcesMadeFor(moto, name);
    const physical = new Map(made.map(({ logicalId, physicalId }) => [logicalId, physicalId]));
    const own = new Map(hosts.map(({ logicalId }) => [logicalId, physical.get(logicalId) ?? '']));
    const stack: HostStack = {
      ...{ id, name, status: 'CREATE_IN_PROGRESS', reason: undefined, events: [], hosts: own },
      booted: Promise.resolve(),
    };
    this.#stacks.set(id, stack);
    this.#turn(stack, 'CREATE_IN_PROGRESS', 'User Initiated');
    stack.booted = this.#boot(stack, hosts);
    void this.#finish(stack);
  }

  /** The stack of a name or an id, if it has hosts and is not gone. */
  find(nameOrId: string): HostStack | undefined {
    const gone = ({ status }: HostStack) => status === 'DELETE_COMPLETE';
    return [...this.#stacks.values()].find(
      (each) => !gone(each) && (each.id === nameOrId || each.name === nameOrId),
    );
  }

  /** Begins to remove a stack: its hosts first. */
  remove(stack: HostStack, reason = 'User Initiated'): void {
    if (stack.status === 'DELETE_IN_PROGRESS') return;
    this.#turn(stack, 'DELETE_IN_PROGRESS', reason);
    this.#removeHosts(stack).then(
      () => this.#turn(stack, 'DELETE_COMPLETE'),
      (cause: unknown) => {
        console.error(`gateway: the stack ${stack.name} was not removed:`, cause);
        this.#turn(stack, 'DELETE_FAILED', sentenceOf(cause));
      },
    );
  }

  /** Writes the states that stacks really have into an answer of moto. */
  correct(answer: Element): void {
    for (const item of ['Stacks', 'StackSummaries']
      .flatMap((list) => elementsNamed(answer, list))
      .flatMap(itemsOf)) {
      const stack = this.#stacks.get(textAt(item, 'StackId') ?? '');
      if (stack === undefined) continue;
      setText(item, 'StackStatus', stack.status);
      if (stack.reason !== undefined) setText(item, 'StackStatusReason', stack.reason);
      // There are none before it is complete.
      if (stack.status === 'CREATE_IN_PROGRESS')
        item.children = item.children.filter(({ name }) => name !== 'Outputs');
    }
    this.#correctResources(answer);
    this.#correctEvents(answer);
  }

  #correctResources(answer: Element): void {
    const lists = ['StackResources', 'StackResourceSummaries'].flatMap((list) => elementsNamed(answer, list));
    for (const item of lists.flatMap(itemsOf)) {
      const id = textAt(item, 'PhysicalResourceId');
      const events = [...this.#stacks.values()].flatMap((stack) => stack.events);
      const last = events.findLast(({ physicalId }) => physicalId === id);
      if (last !== undefined) setText(item, 'ResourceStatus', last.status);
    }
  }

  #correctEvents(answer: Element): void {
    const [list] = elementsNamed(answer, 'StackEvents');
    const stack = this.#stacks.get(textAt(itemsOf(list)[0], 'StackId') ?? '');
    if (list === undefined || stack === undefined) return;
    list.children = stack.events.toReversed().map((event) => eventElement(stack, event));
  }

  async #boot(stack: HostStack, hosts: readonly StackHost[]): Promise<void> {
    for (const { logicalId, image, rootGiB } of hosts) {
      this.#tell(stack, logicalId, 'CREATE_IN_PROGRESS');
      try {
        await this.#parts.instances.adopt(stack.hosts.get(logicalId) ?? '', image, rootGiB);
      } catch (cause) {
        this.#tell(
          stack,
          logicalId,
          'CREATE_FAILED',
          `Resource handler returned message: "${sentenceOf(cause)}"`,
        );
        throw new Error(`The following resource(s) failed to create: [${logicalId}].`, { cause });
      }
    }
  }

  async #finish(stack: HostStack): Promise<void> {
    try {
      await stack.booted;
      for (const logicalId of stack.hosts.keys()) await this.#awaitRunning(stack, logicalId);
      if (stack.status === 'CREATE_IN_PROGRESS') this.#turn(stack, 'CREATE_COMPLETE');
    } catch (cause) {
      this.remove(stack, `${sentenceOf(cause)} Delete requested by user.`);
    }
  }

  async #awaitRunning(stack: HostStack, logicalId: string): Promise<void> {
    const id = stack.hosts.get(logicalId) ?? '';
    let state = await this.#parts.instances.stateOf(id);
    for (const until = Date.now() + patience; state === 'pending' && Date.now() < until; ) {
      await sleep(100);
      state = await this.#parts.instances.stateOf(id);
    }
    // Somebody deletes it meanwhile.
    if (stack.status !== 'CREATE_IN_PROGRESS') return;
    if (state === 'running') return this.#tell(stack, logicalId, 'CREATE_COMPLETE');
    this.#tell(stack, logicalId, 'CREATE_FAILED', `${id} did not stabilize. Current state: ${state}.`);
    throw new Error(`The following resource(s) failed to create: [${logicalId}].`);
  }

  async #removeHosts(stack: HostStack): Promise<void> {
    const { instances, moto, onGone } = this.#parts;
    // A host that boots while nobody remembers it would stay.
    await stack.booted.catch(() => undefined);
    for (const [logicalId, id] of stack.hosts) {
      this.#tell(stack, logicalId, 'DELETE_IN_PROGRESS');
      await instances.dismiss(id);
    }
    for (const [logicalId, id] of stack.hosts) {
      await this.#awaitGone(id);
      this.#tell(stack, logicalId, 'DELETE_COMPLETE');
    }
    await clearNetwork(moto, await resourcesMadeFor(moto, stack.id));
    await moto.query('cloudformation', 'DeleteStack', { StackName: stack.id });
    onGone(stack.name);
  }

  async #awaitGone(id: string): Promise<void> {
    for (const until = Date.now() + patience; Date.now() < until; await sleep(100)) {
      if (['terminated', undefined].includes(await this.#parts.instances.stateOf(id))) return;
    }
    throw new Error(`${id} did not terminate.`);
  }

  #turn(stack: HostStack, status: Status, reason?: string): void {
    stack.status = status;
    stack.reason = reason;
    const [logicalId, physicalId] = [stack.name, stack.id];
    const type = 'AWS::CloudFormation::Stack';
    stack.events.push({ logicalId, physicalId, type, status, reason, time: new Date() });
  }

  #tell(stack: HostStack, logicalId: string, status: Status, reason?: string): void {
    const physicalId = stack.hosts.get(logicalId) ?? '';
    const type = 'AWS::EC2::Instance';
    stack.events.push({ logicalId, physicalId, type, status, reason, time: new Date() });
  }
}

const sentenceOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

function eventElement(stack: HostStack, event: StackEvent): Element {
  return element('member', [
    element('StackId', stack.id),
    element('StackName', stack.name),
    element('EventId', `${event.logicalId}-${event.status}-${event.time.getTime()}`),
    element('LogicalResourceId', event.logicalId),
    element('PhysicalResourceId', event.physicalId),
    element('ResourceType', event.type),
    element('Timestamp', event.time.toISOString()),
    element('ResourceStatus', event.status),
    ...(event.reason === undefined ? [] : [element('ResourceStatusReason', event.reason)]),
  ]);
}
