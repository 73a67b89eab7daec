import { randomUUID } from 'node:crypto';
import type { Faults } from '../../faults/faults.ts';
import type { Clock } from '../clock.ts';
import { ServiceError } from '../errors.ts';
import { type Command, type Invocation, isOver } from './command.ts';
import { largestDocument } from './content.ts';
import type { Documents } from './documents.ts';
import type { Fleet } from './fleet.ts';
import type { Input } from './input.ts';
import { invalid } from './input.ts';
import type { Inventory } from './inventory.ts';
import type { Mailbox } from './mailbox.ts';
import { executionSeconds, resolveParameters } from './parameters.ts';
import { detailsOf, type Reply } from './replies.ts';
import { countToSend, readRate } from './rollout.ts';
import { type Details, isError, isTerminal, nextDetails } from './statuses.ts';
import { chooseInstances, readTargets } from './targets.ts';

/** Times of the service, in milliseconds of its clock. */
export interface CommandTimes {
  /** Until a new command's invocations can be seen: before, GetCommandInvocation says InvocationDoesNotExist. */
  readonly appear: number;
  /** Until an invocation that was not acknowledged is called Delayed. */
  readonly delayed: number;
  /** Until a cancelled invocation whose agent took the cancel message, and says no more, is closed. */
  readonly cancelGrace: number;
}

interface Parts {
  readonly clock: Clock;
  readonly documents: Documents;
  readonly fleet: Fleet;
  readonly inventory: Inventory;
  readonly mailbox: Mailbox;
  readonly times: CommandTimes;
  readonly region: string;
  readonly faults: Faults;
}

/** Run Command: what was sent, to whom, and what became of it. */
export class Commands {
  readonly #parts: Parts;
  readonly #byId = new Map<string, Command>();
  readonly #byMessage = new Map<string, Invocation>();
  /** Cancel messages: the id of the message → the invocation to be cancelled. */
  readonly #cancels = new Map<string, Invocation>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** SendCommand, or an execution of an association. Everything is checked before anything is sent. */
  async send(input: Input, association?: string): Promise<Command> {
    const { clock, documents, fleet, inventory } = this.#parts;
    const { name, version } = documents.find(
      input.text('DocumentName'),
      input.optionalText('DocumentVersion'),
    );
    const targets = readTargets(input);
    const given = input.lists('Parameters');
    const parameters = resolveParameters(version.content, given);
    checkHash(input, version.hash);
    checkSize(version.text, given);
    const log = input.optionalInput('CloudWatchOutputConfig');
    const [instances, managed] = await Promise.all([fleet.instances(), inventory.managed()]);
    const command: Command = {
      id: randomUUID(),
      association,
      documentName: name,
      askedVersion: input.optionalText('DocumentVersion') ?? '$DEFAULT',
      document: version,
      given,
      parameters,
      targets,
      comment: shortText(input, 'Comment', 100),
      output: {
        bucket: input.optionalText('OutputS3BucketName') ?? '',
        prefix: input.optionalText('OutputS3KeyPrefix') ?? '',
      },
      log: {
        group: log?.optionalText('CloudWatchLogGroupName') ?? '',
        enabled: log?.flag('CloudWatchOutputEnabled') === true,
      },
      rate: {
        maxConcurrency: input.optionalText('MaxConcurrency') ?? '50',
        maxErrors: input.optionalText('MaxErrors') ?? '0',
      },
      deliverySeconds: input.number('TimeoutSeconds', { least: 30, most: 2_592_000, otherwise: 3600 }),
      executionSeconds: executionSeconds(version.content, parameters),
      requested: clock.now(),
      cancelAsked: false,
      invocations: [],
    };
    readRate('maxConcurrency', command.rate.maxConcurrency, 1, 1);
    readRate('maxErrors', command.rate.maxErrors, 1, 0);
    const nameOf = new Map(instances.map((each) => [each.instanceId, each.tags['Name'] ?? '']));
    for (const instanceId of chooseInstances(targets, instances, managed)) {
      command.invocations.push(newInvocation(command, instanceId, nameOf.get(instanceId) ?? ''));
    }
    this.#byId.set(command.id, command);
    for (const invocation of command.invocations) this.#byMessage.set(invocation.messageId, invocation);
    this.#advance(command);
    return command;
  }

  /** @throws ServiceError InvalidCommandId */
  get(id: string): Command {
    const command = this.#byId.get(id);
    if (command === undefined) throw new ServiceError('InvalidCommandId', `Command ${id} does not exist.`);
    return command;
  }

  /** What was sent by SendCommand, newest first. */
  all(): Command[] {
    return [...this.#byId.values()].filter(({ association }) => association === undefined).reverse();
  }

  /** What callers can see already of a command: its invocations appear a moment after it. */
  visible(command: Command): Invocation[] {
    const { clock, times } = this.#parts;
    return clock.since(command.requested) < times.appear ? [] : command.invocations;
  }

  /** CancelCommand: a request, which a running invocation answers through its agent. */
  cancel(id: string, instanceIds: readonly string[]): void {
    const command = this.get(id);
    const wanted = command.invocations.filter(
      (each) => instanceIds.length === 0 || instanceIds.includes(each.instanceId),
    );
    const unknown = instanceIds.filter((each) => !wanted.some(({ instanceId }) => instanceId === each));
    if (unknown.length > 0) {
      throw new ServiceError(
        'InvalidInstanceId',
        `Command ${id} has no invocation on ${unknown.join(', ')}.`,
      );
    }
    if (instanceIds.length === 0 && !command.invocations.every(isOver)) command.cancelAsked = true;
    for (const invocation of wanted) this.#cancelOne(invocation);
  }

  /** The agent has taken a message: a command's, or a cancel's. */
  acknowledged(messageId: string): void {
    this.#parts.mailbox.remove(messageId);
    const invocation = this.#byMessage.get(messageId);
    if (invocation !== undefined) this.#taken(invocation);
    const cancelled = this.#cancels.get(messageId);
    if (cancelled !== undefined) this.#awaitCancel(messageId, cancelled);
  }

  /** The agent reports. Replies may come late, twice, or after the service has closed the invocation. */
  replied(messageId: string, reply: Reply): void {
    const invocation = this.#byMessage.get(messageId);
    if (invocation === undefined || isOver(invocation)) return;
    for (const [step, result] of reply.steps) invocation.results.set(step, result);
    if (reply.trace !== '') invocation.trace = reply.trace;
    this.#taken(invocation);
    const details = detailsOf(reply.status);
    if (details !== undefined) this.#become(invocation, details);
  }

  /** The agent could not read a message: a document error, which it never acknowledges. */
  failed(messageId: string, failureType: string): void {
    this.#parts.mailbox.remove(messageId);
    const invocation = this.#byMessage.get(messageId);
    if (invocation === undefined || isOver(invocation)) return;
    invocation.trace = `the agent refused the message: ${failureType}`;
    this.#become(invocation, 'Failed');
  }

  #taken(invocation: Invocation): void {
    invocation.acknowledged = true;
    invocation.started ??= this.#parts.clock.now();
    this.#become(invocation, 'InProgress');
  }

  #cancelOne(invocation: Invocation): void {
    if (isOver(invocation)) return;
    if (!invocation.acknowledged) {
      this.#become(invocation, 'Cancelled');
      return;
    }
    if (invocation.details === 'Cancelling') return;
    this.#become(invocation, 'Cancelling');
    const { mailbox, clock, region } = this.#parts;
    const id = `aws.ssm.${randomUUID()}.${invocation.instanceId}`;
    this.#cancels.set(id, invocation);
    mailbox.put({
      id,
      instanceId: invocation.instanceId,
      topic: `aws.ssm.cancelCommand.${region.replaceAll('-', '.')}.1`,
      payload: JSON.stringify({ CancelMessageId: invocation.messageId }),
      created: clock.now(),
    });
  }

  #awaitCancel(messageId: string, invocation: Invocation): void {
    const { clock, times } = this.#parts;
    this.#cancels.delete(messageId);
    // A running command answers within 50 ms; one that was still queued in the agent never does.
    clock.after(times.cancelGrace, () => this.#become(invocation, 'Cancelled'));
  }

  /** The one place where a status changes. */
  #become(invocation: Invocation, wanted: Details): void {
    const next = nextDetails(invocation.details, wanted);
    if (next === invocation.details) return;
    invocation.details = next;
    if (isTerminal(next)) {
      invocation.ended = this.#parts.clock.now();
      this.#parts.mailbox.remove(invocation.messageId);
    }
    this.#advance(invocation.command);
  }

  /** Sends what the rate allows now, or ends what too many errors have made unwanted. */
  #advance(command: Command): void {
    const all = command.invocations;
    const maxErrors = readRate('maxErrors', command.rate.maxErrors, all.length, 0);
    const maxConcurrency = readRate('maxConcurrency', command.rate.maxConcurrency, all.length, 1);
    const waiting = all.filter((each) => !each.sent && !isOver(each));
    if (waiting.length === 0) return;
    if (all.filter((each) => isError(each.details)).length > maxErrors) {
      for (const invocation of waiting) this.#close(invocation, 'Terminated');
      return;
    }
    const sent = all.filter((each) => each.sent || isOver(each));
    const progress = {
      total: all.length,
      sent: sent.length,
      answered: sent.filter((each) => each.acknowledged || isOver(each)).length,
      active: sent.filter((each) => !isOver(each)).length,
    };
    const next = waiting.slice(0, countToSend(progress, maxConcurrency, command.targets.targets.length > 0));
    for (const invocation of next) {
      invocation.sent = true;
      this.#dispatch(invocation).catch((cause: unknown) => {
        // EC2's side could not be asked: the service's own failure, and the instance gets nothing.
        console.error(`gateway: ${invocation.messageId} was not sent:`, cause);
        this.#become(invocation, 'Undeliverable');
      });
    }
  }

  /** An undeliverable target may be meant by its document or by its instance, whoever sent the command. */
  #meetsFault({ command, instanceId }: Invocation): boolean {
    const resources = [`document/${command.documentName}`, `instance/${instanceId}`];
    const call = { service: 'ssm', action: 'SendCommand', resources, principal: '*' };
    return this.#parts.faults.meet(call, ['undeliverable']) !== undefined;
  }

  #close(invocation: Invocation, details: Details): void {
    invocation.details = nextDetails(invocation.details, details);
    invocation.ended ??= this.#parts.clock.now();
  }

  async #dispatch(invocation: Invocation): Promise<void> {
    const { clock, mailbox, inventory, times } = this.#parts;
    const { command } = invocation;
    const managed = (await inventory.managed()).find((each) => each.instanceId === invocation.instanceId);
    if (isOver(invocation)) return;
    if (managed?.ping !== 'Online' || this.#meetsFault(invocation)) {
      this.#become(invocation, 'Undeliverable');
      return;
    }
    mailbox.put({
      id: invocation.messageId,
      instanceId: invocation.instanceId,
      topic: `aws.ssm.sendCommand.${this.#parts.region.replaceAll('-', '.')}.1`,
      payload: sendPayload(command),
      created: clock.now(),
    });
    clock.after(times.delayed, () => this.#become(invocation, 'Delayed'));
    clock.after(command.deliverySeconds * 1000, () => {
      if (!invocation.acknowledged) this.#become(invocation, 'DeliveryTimedOut');
    });
    // A dead agent leaves its invocation InProgress for the sum of both time-outs.
    clock.after((command.deliverySeconds + command.executionSeconds) * 1000, () => {
      this.#become(invocation, 'ExecutionTimedOut');
    });
  }
}

function newInvocation(command: Command, instanceId: string, instanceName: string): Invocation {
  return {
    command,
    instanceId,
    instanceName,
    messageId: `aws.ssm.${command.id}.${instanceId}`,
    details: 'Pending',
    sent: false,
    acknowledged: false,
    started: undefined,
    ended: undefined,
    trace: '',
    results: new Map(),
  };
}

/** The message's payload, as the real agent takes it (facts-agent.md). */
function sendPayload(command: Command): string {
  return JSON.stringify({
    CommandId: command.association ?? command.id,
    DocumentName: command.documentName,
    DocumentContent: command.document.content,
    Parameters: command.parameters,
    OutputS3BucketName: command.output.bucket,
    OutputS3KeyPrefix: command.output.prefix,
    CloudWatchLogGroupName: command.log.group,
    // The agent's field is a string.
    CloudWatchOutputEnabled: String(command.log.enabled),
  });
}

function checkHash(input: Input, hash: string): void {
  const wanted = input.optionalText('DocumentHash');
  const type = input.optionalText('DocumentHashType') ?? 'Sha256';
  if (wanted === undefined || wanted === '') return;
  if (type !== 'Sha256') throw invalid('documentHashType', 'must be Sha256 (Sha1 is not served here)');
  if (wanted !== hash) throw new ServiceError('InvalidDocument', 'The document hash does not match.');
}

/** The 64 KB hold for the document together with what the parameters put into it. */
function checkSize(text: string, given: Record<string, string[]>): void {
  const parameters = Object.values(given)
    .flat()
    .reduce((sum, each) => sum + Buffer.byteLength(each), 0);
  if (Buffer.byteLength(text) + parameters > largestDocument) {
    throw new ServiceError('MaxDocumentSizeExceeded', 'Document and parameters together exceed 64 KB.');
  }
}

function shortText(input: Input, name: string, longest: number): string {
  const text = input.optionalText(name) ?? '';
  if (text.length > longest)
    throw invalid(name.toLowerCase(), `must have length less than or equal to ${longest}`);
  return text;
}
