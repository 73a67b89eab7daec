/** One at a time: while users are measured, nothing else may take the machine's time. */
export class Quiet {
  #last: Promise<unknown> = Promise.resolve();
  #measured: number;
  readonly #over = Promise.withResolvers<void>();

  /** @param measured how many scenes there will be whose users are measured. */
  constructor(measured = 0) {
    this.#measured = measured;
    if (measured === 0) this.#over.resolve();
  }

  /** Does a piece of work when all that asked before is over. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** One of those scenes is over, however it ended. */
  played(): void {
    this.#measured -= 1;
    if (this.#measured === 0) this.#over.resolve();
  }

  /** Resolves when nobody will be measured any more. */
  over(): Promise<void> {
    return this.#over.promise;
  }
}
