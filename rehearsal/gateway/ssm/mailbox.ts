import type { Clock } from '../clock.ts';

/** A message to one instance, as ec2messages delivers it. */
export interface Message {
  readonly id: string;
  readonly instanceId: string;
  readonly topic: string;
  readonly payload: string;
  readonly created: number;
}

interface Letter {
  readonly message: Message;
  /** When it may be handed out (again). */
  visibleFrom: number;
}

interface Poll {
  readonly visibility: number;
  answer(messages: Message[]): void;
}

/** A real answer holds ten; the agent runs five and queues five. */
const mostMessages = 10;

/** Messages that wait for the instances' agents, and the polls that wait for messages. */
export class Mailbox {
  readonly #letters = new Map<string, Letter>();
  readonly #polls = new Map<string, Poll>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  put(message: Message): void {
    this.#letters.set(message.id, { message, visibleFrom: 0 });
    this.#serve(message.instanceId);
  }

  has(id: string): boolean {
    return this.#letters.has(id);
  }

  get(id: string): Message | undefined {
    return this.#letters.get(id)?.message;
  }

  /** Acknowledged, failed, or no longer wanted: it will not be delivered again. */
  remove(id: string): void {
    this.#letters.delete(id);
  }

  isPolling(instanceId: string): boolean {
    return this.#polls.has(instanceId);
  }

  /**
   * Waits up to `wait` ms for messages. What it answers is hidden for `visibility` ms and then comes again,
   * unless it was acknowledged. A newer poll of the same instance ends this one empty: its agent has restarted.
   */
  poll(instanceId: string, wait: number, visibility: number, gone: AbortSignal): Promise<Message[]> {
    this.#polls.get(instanceId)?.answer([]);
    return new Promise((resolve) => {
      const stop = this.#clock.after(wait, () => poll.answer([]));
      const poll: Poll = {
        visibility,
        answer: (messages) => {
          stop();
          if (this.#polls.get(instanceId) === poll) this.#polls.delete(instanceId);
          resolve(messages);
        },
      };
      gone.addEventListener('abort', () => poll.answer([]));
      this.#polls.set(instanceId, poll);
      this.#serve(instanceId);
    });
  }

  #serve(instanceId: string): void {
    const poll = this.#polls.get(instanceId);
    if (poll === undefined) return;
    const now = this.#clock.now();
    const due = [...this.#letters.values()]
      .filter((each) => each.message.instanceId === instanceId && each.visibleFrom <= now)
      .slice(0, mostMessages);
    if (due.length === 0) return;
    for (const letter of due) {
      letter.visibleFrom = Number.POSITIVE_INFINITY;
      this.#clock.after(poll.visibility, () => this.#showAgain(letter));
    }
    poll.answer(due.map((each) => each.message));
  }

  #showAgain(letter: Letter): void {
    if (this.#letters.get(letter.message.id) !== letter) return;
    letter.visibleFrom = 0;
    this.#serve(letter.message.instanceId);
  }
}
