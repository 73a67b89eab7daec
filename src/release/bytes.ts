/** A stream of chunks, read by numbers of bytes; holds no more than what was asked for and one chunk. */
export class Bytes {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(chunks: AsyncIterable<Buffer>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** The next so many bytes, or fewer where the stream ends. */
  async read(count: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    await this.#pass(count, (part) => parts.push(part));
    return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts);
  }

  /** Lets the next so many bytes pass; tells how many there were. */
  async skip(count: number): Promise<number> {
    let skipped = 0;
    await this.#pass(count, (part) => {
      skipped += part.length;
    });
    return skipped;
  }

  async #pass(count: number, use: (part: Buffer) => void): Promise<void> {
    for (let left = count; left > 0; ) {
      if (this.#rest.length === 0) {
        const { done, value } = await this.#chunks.next();
        if (done) {
          return;
        }
        this.#rest = value;
      }
      const part = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(part.length);
      left -= part.length;
      use(part);
    }
  }
}
