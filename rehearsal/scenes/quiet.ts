/** One at a time: while users are measured, nothing else may take the machine's time. */
export class Quiet {
  #last: Promise<unknown> = Promise.resolve();

  /** Does a piece of work when all that asked before is over. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}
