/** What an `aws-chunked` body holds: `<hex size>[;chunk-signature=…]\r\n<bytes>\r\n … 0\r\n<trailers>\r\n\r\n`. */
export class ChunkedReader {
  readonly #take: (bytes: Buffer) => void;
  #rest: Buffer = Buffer.alloc(0);
  /** Bytes of the chunk that are still to come; undefined while its first line is. */
  #left: number | undefined;
  #ended = false;
  #trailerText = '';

  /** @param take gets the content, piece by piece. */
  constructor(take: (bytes: Buffer) => void) {
    this.#take = take;
  }

  push(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    while (!this.#ended && this.#step()) {
      // Each step takes one line or one piece off the rest.
    }
    if (this.#ended) {
      this.#trailerText += this.#rest.toString('latin1');
      this.#rest = Buffer.alloc(0);
    }
  }

  /** The trailing headers, names in lower case. */
  trailers(): Map<string, string> {
    const lines = this.#trailerText.split(/\r?\n/).filter((line) => line.includes(':'));
    return new Map(
      lines.map((line) => {
        const at = line.indexOf(':');
        return [line.slice(0, at).trim().toLowerCase(), line.slice(at + 1).trim()];
      }),
    );
  }

  #step(): boolean {
    return this.#left === undefined ? this.#readSize() : this.#readContent(this.#left);
  }

  #readSize(): boolean {
    const end = this.#rest.indexOf('\r\n');
    if (end < 0) return false;
    const size = Number.parseInt(this.#rest.subarray(0, end).toString('latin1'), 16);
    this.#rest = this.#rest.subarray(end + 2);
    if (size === 0 || Number.isNaN(size)) this.#ended = true;
    else this.#left = size;
    return true;
  }

  #readContent(left: number): boolean {
    if (left === 0) {
      if (this.#rest.length < 2) return false;
      this.#rest = this.#rest.subarray(2);
      this.#left = undefined;
      return true;
    }
    if (this.#rest.length === 0) return false;
    const piece = this.#rest.subarray(0, left);
    this.#take(piece);
    this.#rest = this.#rest.subarray(piece.length);
    this.#left = left - piece.length;
    return true;
  }
}
