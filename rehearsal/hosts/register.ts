import { type HostRecord, type HostState, Records } from './record.ts';

/** A request that cannot be done; `status` is HTTP's. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** All hosts that a cloud ever had, each on file before it is acted upon; and whose turn it is with each of them. */
export class Register {
  readonly #records: Records<HostRecord>;
  readonly #known = new Map<string, HostRecord>();
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #log: (line: string) => void;

  constructor(folder: string, log: (line: string) => void) {
    this.#records = new Records(folder);
    this.#log = log;
  }

  /** Takes up what an earlier program wrote. */
  load(): void {
    for (const host of this.#records.readAll()) this.#known.set(host.id, host);
  }

  all(): HostRecord[] {
    return [...this.#known.values()];
  }

  get(id: string): HostRecord | undefined {
    return this.#known.get(id);
  }

  /** @throws Refusal when there is no such host. */
  find(id: string): HostRecord {
    const host = this.#known.get(id);
    if (host === undefined) throw new Refusal(404, `there is no host ${id}`);
    return host;
  }

  /** @throws Refusal when the host is in none of these states. */
  expect(host: HostRecord, states: readonly HostState[]): void {
    if (states.includes(host.state)) return;
    throw new Refusal(409, `${host.id} is ${host.state}, not ${states.join(' or ')}`);
  }

  setState(host: HostRecord, state: HostState): void {
    if (host.state !== state) this.#log(`${host.id}: ${host.state} → ${state}`);
    host.state = state;
    this.remember(host);
  }

  remember(host: HostRecord): void {
    this.#known.set(host.id, host);
    this.#records.write(host);
  }

  report(host: HostRecord, error: unknown): void {
    this.#log(`${host.id}: ${error instanceof Error ? error.message : String(error)}`);
  }

  /** One thing at a time is done to a host. */
  inTurn<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(id) ?? Promise.resolve();
    const turn = before.then(work, work);
    this.#turns.set(id, turn);
    return turn;
  }
}
