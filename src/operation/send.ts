import { PerhapsSentError } from '../command/send.ts';
import { runCommand } from './command.ts';
import type { Held } from './hold.ts';
import type { Work } from './operation.ts';
import { type InstanceOutcome, outcomeOf, unheard } from './outcome.ts';

export interface Order {
  /** Beside app, environment, operation and timeout, which every document has. */
  readonly parameters: Readonly<Record<string, string>>;
  /** Seconds that the agent of an instance may take to take the command. */
  readonly delivery: number;
  /** Seconds that one instance may take. */
  readonly timeout: number;
  /** Whom it is sent to, where that is not all of the fleet. */
  readonly present?: readonly string[];
}

/**
 * Sends the operation's document to the whole fleet, and follows it until every instance has ended. Once it is sent,
 * whatever goes wrong here does not stop the hosts: it leaves them unknown, for `judge` to ask and for post to see to.
 */
export async function sendToFleet(
  { services, operation, instances: all }: Work,
  { parameters, delivery, timeout, present: instances = all }: Order,
  { signal, onSent, requireTime }: Pick<Held, 'signal' | 'onSent' | 'requireTime'>,
): Promise<InstanceOutcome[]> {
  const { app, id, document } = operation;
  let sent = false;
  const noteSent = (command: string): void => {
    sent = true;
    onSent(command);
  };
  const order = { document, parameters, delivery, timeout, instances, rolled: true };
  const task = { ...order, mayStillSend: requireTime, onSent: noteSent };
  try {
    const invocations = await runCommand(services, operation, task, signal);
    return invocations.map((invocation) => outcomeOf(invocation, { app, operation: id }));
  } catch (error) {
    if (signal.aborted || !(sent || error instanceof PerhapsSentError)) throw error;
    return instances.map((instance) => unheard(instance, app, error));
  }
}
