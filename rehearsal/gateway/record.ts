import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** One line of calls.jsonl. */
export interface RecordedCall {
  /** ISO date at which the answer was given. */
  time: string;
  service: string;
  action: string;
  /** An ARN where the call names one thing, else `*`. */
  resource: string;
  principal: string;
  status: number;
  /** The service's error code; `emulator` when moto itself failed. */
  error?: string;
  /** The kind of fault that it met: `lost` and `delay` were done all the same. */
  fault?: string;
}

/** The file of all calls, which tests read to compare what was done with what was allowed. */
export class CallRecord {
  readonly #file: string;
  #emulatorErrors = 0;

  constructor(file: string) {
    this.#file = file;
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, '', { flag: 'a' });
  }

  /** How often the emulator itself failed; a test that ends with more than 0 must fail. */
  get emulatorErrors(): number {
    return this.#emulatorErrors;
  }

  /** Written at once, before the answer leaves: a reader never misses a call that it has seen the answer of. */
  add(call: RecordedCall): void {
    if (call.error === 'emulator') this.#emulatorErrors += 1;
    appendFileSync(this.#file, `${JSON.stringify(call)}\n`);
  }

  all(): RecordedCall[] {
    return readCalls(this.#file);
  }
}

/** The calls of a calls.jsonl, the first one first. */
export function readCalls(file: string): RecordedCall[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as RecordedCall);
}
