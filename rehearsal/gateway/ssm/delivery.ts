import { randomUUID } from 'node:crypto';
import { ServiceError } from '../errors.ts';
import type { Principal } from '../principals.ts';
import type { Commands } from './commands.ts';
import type { Input } from './input.ts';
import type { Inventory } from './inventory.ts';
import type { Mailbox } from './mailbox.ts';
import { parseReply } from './replies.ts';

/** Longest answer time of GetMessages: the real agent's own limit is 20 s. */
const longestPoll = 18_000;

interface Parts {
  readonly commands: Commands;
  readonly inventory: Inventory;
  readonly mailbox: Mailbox;
}

/** The ec2messages service, by which agents fetch commands and report. */
export class Delivery {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** @param gone aborted when the caller hangs up: then nothing may be handed to it. */
  async answer(action: string, input: Input, caller: Principal, gone: AbortSignal): Promise<object> {
    switch (action) {
      case 'GetMessages':
        return await this.#getMessages(input, caller, gone);
      case 'AcknowledgeMessage':
        this.#parts.commands.acknowledged(ownMessage(input, caller));
        return {};
      case 'SendReply':
        this.#parts.commands.replied(ownMessage(input, caller), readReply(input));
        return {};
      case 'FailMessage':
        this.#parts.commands.failed(
          ownMessage(input, caller),
          input.optionalText('FailureType') ?? 'unknown',
        );
        return {};
      case 'DeleteMessage':
        this.#parts.mailbox.remove(ownMessage(input, caller));
        return {};
      case 'GetEndpoint':
        throw new ServiceError('AccessDeniedException', 'This service has one endpoint.');
      default:
        throw new ServiceError('UnknownOperationException', `ec2messages has no operation ${action}.`);
    }
  }

  async #getMessages(input: Input, caller: Principal, gone: AbortSignal): Promise<object> {
    const destination = requireInstance(caller, input.text('Destination'));
    const visibility = input.number('VisibilityTimeoutInSeconds', { least: 1, most: 43_200, otherwise: 10 });
    this.#parts.inventory.seen(destination);
    const messages = await this.#parts.mailbox.poll(destination, longestPoll, visibility * 1000, gone);
    return {
      Destination: destination,
      MessagesRequestId: input.optionalText('MessagesRequestId') ?? randomUUID(),
      Messages: messages.map((message) => ({
        CreatedDate: new Date(message.created).toISOString(),
        Destination: destination,
        MessageId: message.id,
        Payload: message.payload,
        Topic: message.topic,
      })),
    };
  }
}

/** An instance speaks for itself alone. @throws ServiceError AccessDeniedException */
export function requireInstance(caller: Principal, instanceId: string): string {
  if (caller.instanceId !== instanceId) {
    const who = caller.instanceId ?? caller.name;
    throw new ServiceError('AccessDeniedException', `${who} may not speak for the instance ${instanceId}.`);
  }
  return instanceId;
}

/** Message ids end with the instance's: `aws.ssm.<command>.<instance>`. */
function ownMessage(input: Input, caller: Principal): string {
  const id = input.text('MessageId');
  requireInstance(caller, id.split('.').pop() ?? '');
  return id;
}

function readReply(input: Input) {
  try {
    return parseReply(input.text('Payload'));
  } catch (cause) {
    if (cause instanceof SyntaxError)
      throw new ServiceError('ValidationException', 'The payload is not JSON.');
    throw cause;
  }
}
