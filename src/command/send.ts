import {
  type Command,
  DescribeDocumentCommand,
  ListCommandsCommand,
  SendCommandCommand,
  type SendCommandCommandInput,
} from '@aws-sdk/client-ssm';
import { messageOf, OperationError } from '../action/errors.ts';
import type { Clients } from '../aws/clients.ts';
import { isNamed, isSkewed, isThrottled, isUnclear } from '../aws/errors.ts';
import { jitter, type Sleep } from '../aws/time.ts';
import { type DocumentName, faultsInParameters } from '../document/parameters.ts';

/**
 * The instances a command is for: by name, for tags may have come to others since they were read; at most 50.
 * `rolled`: SSM hands it to a few first, then to more.
 */
export interface Targets {
  readonly instances: readonly string[];
  readonly rolled: boolean;
}

/** One command to be sent. */
export interface Order {
  readonly app: string;
  readonly document: DocumentName;
  readonly parameters: Readonly<Record<string, string>> & { readonly operation: string };
  readonly targets: Targets;
  /** How many instances at once, and how many may fail before SSM stops handing it out. */
  readonly rollout: { readonly concurrency: number; readonly errors: number };
  /** Seconds within which an agent must have taken the command; at least 30. */
  readonly deliverySeconds: number;
}

interface Services {
  readonly clients: Pick<Clients, 'ssm' | 'ssmOnce'>;
  readonly sleep: Sleep;
}

/** A document as it is in the account: sending by version and hash notices when it is changed meanwhile. */
export interface DocumentVersion {
  readonly name: string;
  readonly version: string;
  readonly hash: string;
}

/** Looks a document up, and refuses when the account has none. */
export async function findDocument(clients: Pick<Clients, 'ssm'>, name: string): Promise<DocumentVersion> {
  try {
    const { Document } = await clients.ssm.send(new DescribeDocumentCommand({ Name: name }));
    const { DefaultVersion, DocumentVersion, Hash, Status } = Document ?? {};
    const version = DefaultVersion ?? DocumentVersion;
    if (!version || !Hash || Status !== 'Active')
      throw documentMissing(name, `its status is ${Status ?? 'missing'}`);
    return { name, version, hash: Hash };
  } catch (error) {
    if (isNamed(error, 'InvalidDocument', 'InvalidDocumentVersion'))
      throw documentMissing(name, 'there is none', error);
    throw error;
  }
}

function documentMissing(name: string, why: string, cause?: unknown): OperationError {
  return new OperationError({
    reason: 'document-missing',
    happened: `The command document ${name} is not to be had: ${why}.`,
    stateNow: 'Nothing was changed.',
    todo: 'Create or update the stack of infra/documents.yaml, of the version of this action, with the parameter of your app.',
    cause,
  });
}

/**
 * Sends a command exactly once as far as we can know, and gives its id. SendCommand has no client token: when its
 * answer is lost, the command is looked for by its operation first. Sending again is harmless even so, for the
 * host's journal knows the operation.
 * @throws PerhapsSentError when no answer came and SSM does not list it either
 */
export async function sendCommand(
  order: Order,
  document: DocumentVersion,
  services: Services,
): Promise<string> {
  const faults = faultsInParameters(order.document, order.parameters);
  if (faults.length > 0) throw new Error(`Bug: ${document.name} would be refused: ${faults.join('; ')}.`);
  const input = toInput(order, document);
  let lost = false;
  for (let attempt = 1; ; attempt += 1) {
    const tried = await trySend(input, services.clients);
    if (typeof tried === 'string') return tried;
    const { error } = tried;
    if (isUnclear(error)) {
      lost = true;
      const found = await findLost(order, services);
      if (found) return found;
    }
    if (attempt === 3 || !mayRepeat(error)) throw lost ? new PerhapsSentError(error) : error;
    await services.sleep(jitter(attempt * 1000));
  }
}

function mayRepeat(error: unknown): boolean {
  // The SDK has set its clock by the refusal; with one attempt it does not use it by itself.
  return isThrottled(error) || isUnclear(error) || isSkewed(error);
}

/** SSM may have taken the command: its answer was lost, and it does not tell. */
export class PerhapsSentError extends Error {
  override readonly name = 'PerhapsSentError';

  constructor(cause: unknown) {
    super(`The answer to SendCommand was lost: ${messageOf(cause)}`, { cause });
  }
}

async function findLost(order: Order, services: Services): Promise<string | undefined> {
  try {
    return await findCommand(order, services);
  } catch (cause) {
    throw new PerhapsSentError(cause);
  }
}

async function trySend(input: SendCommandCommandInput, { ssmOnce }: Services['clients']) {
  try {
    const { Command } = await ssmOnce.send(new SendCommandCommand(input));
    return Command?.CommandId ?? { error: new Error('SSM took the command and gave no id.') };
  } catch (error) {
    // What we send was checked by our own table: a document that refuses it is of another version of ours.
    if (isNamed(error, 'InvalidParameters'))
      return { error: documentMissing(input.DocumentName ?? '', 'it takes other parameters', error) };
    if (!isNamed(error, 'InvalidDocument', 'InvalidDocumentVersion')) return { error };
    return { error: documentMissing(input.DocumentName ?? '', 'it was changed or removed just now', error) };
  }
}

/** ListCommands shows a command a moment after SendCommand: look a few times. */
const lookAgainMs = [0, 500, 1500, 3000] as const;

/** The command of an order's operation, if SSM has one. */
export async function findCommand(
  { app, document, parameters }: Pick<Order, 'app' | 'document' | 'parameters'>,
  { clients, sleep }: Services,
): Promise<string | undefined> {
  for (const wait of lookAgainMs) {
    await sleep(wait);
    const { Commands = [] } = await clients.ssm.send(
      new ListCommandsCommand({
        MaxResults: 50,
        Filters: [{ key: 'DocumentName', value: `${app}-${document}` }],
      }),
    );
    const found = Commands.find((command) => isOf(command, `${app}-${document}`, parameters.operation));
    if (found?.CommandId) return found.CommandId;
  }
  return undefined;
}

function isOf(command: Command, document: string, operation: string): boolean {
  return command.DocumentName === document && command.Parameters?.['operation']?.[0] === operation;
}

function toInput(order: Order, document: DocumentVersion): SendCommandCommandInput {
  return {
    DocumentName: document.name,
    DocumentVersion: document.version,
    DocumentHash: document.hash,
    DocumentHashType: 'Sha256',
    ...toTargets(order.targets),
    MaxConcurrency: String(order.rollout.concurrency),
    MaxErrors: String(order.rollout.errors),
    TimeoutSeconds: Math.max(30, order.deliverySeconds),
    Parameters: Object.fromEntries(Object.entries(order.parameters).map(([name, value]) => [name, [value]])),
    Comment: order.parameters.operation.slice(0, 100),
  };
}

function toTargets({ instances, rolled }: Targets): Pick<SendCommandCommandInput, 'InstanceIds' | 'Targets'> {
  if (!rolled) return { InstanceIds: [...instances] };
  return { Targets: [{ Key: 'InstanceIds', Values: [...instances] }] };
}
