import { randomBytes } from 'node:crypto';

const LONGEST = 21_600;

/** Session tokens of IMDSv2: each belongs to the host that asked for it, and ends after its time to live. */
export class Tokens {
  readonly #held = new Map<string, { host: string; ends: number }>();
  readonly #now: () => number;

  /** @param now milliseconds since the epoch */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** A token for this host, or undefined unless `seconds` is a whole number from 1 to 21,600. */
  issue(host: string, seconds: string | undefined): string | undefined {
    if (!/^[1-9][0-9]{0,4}$/.test(seconds ?? '') || Number(seconds) > LONGEST) return undefined;
    this.#forgetEnded();
    const token = randomBytes(42).toString('base64');
    this.#held.set(token, { host, ends: this.#now() + Number(seconds) * 1000 });
    return token;
  }

  /** Whether this host may ask with this token now. */
  accepts(host: string, token: string | undefined): boolean {
    const held = token === undefined ? undefined : this.#held.get(token);
    return held !== undefined && held.host === host && held.ends > this.#now();
  }

  #forgetEnded(): void {
    for (const [token, { ends }] of this.#held) if (ends <= this.#now()) this.#held.delete(token);
  }
}
