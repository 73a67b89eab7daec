import { ServiceError } from '../errors.ts';

/** The input of a JSON action, read strictly: what is not of its type is refused with its name. */
export class Input {
  readonly #values: Record<string, unknown>;

  constructor(values: Record<string, unknown>) {
    this.#values = values;
  }

  static parse(body: Buffer): Input {
    try {
      const value: unknown = JSON.parse(body.toString('utf8') || '{}');
      if (typeof value === 'object' && value !== null) return new Input(value as Record<string, unknown>);
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw cause;
    }
    throw new ServiceError('SerializationException', 'The request is not a JSON object.');
  }

  optionalText(name: string): string | undefined {
    const value = this.#values[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== 'string') throw invalid(name, 'must be a string');
    return value;
  }

  text(name: string): string {
    const value = this.optionalText(name);
    if (value === undefined) throw invalid(name, 'must not be null');
    return value;
  }

  texts(name: string): string[] {
    const value = this.#values[name] ?? [];
    if (!Array.isArray(value) || !value.every((each) => typeof each === 'string')) {
      throw invalid(name, 'must be a list of strings');
    }
    return value;
  }

  inputs(name: string): Input[] {
    const value = this.#values[name] ?? [];
    if (!Array.isArray(value)) throw invalid(name, 'must be a list');
    return value.map((each: unknown) => new Input(asObject(name, each)));
  }

  optionalInput(name: string): Input | undefined {
    const value = this.#values[name];
    return value === undefined || value === null ? undefined : new Input(asObject(name, value));
  }

  number(name: string, limits: { least: number; most: number; otherwise: number }): number {
    const value = this.#values[name] ?? limits.otherwise;
    if (
      typeof value !== 'number' ||
      !Number.isInteger(value) ||
      value < limits.least ||
      value > limits.most
    ) {
      throw invalid(name, `must be an integer from ${limits.least} to ${limits.most}`);
    }
    return value;
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  /** A map of lists, such as SendCommand's `Parameters`. */
  lists(name: string): Record<string, string[]> {
    const given = asObject(name, this.#values[name] ?? {});
    const reader = new Input(given);
    return Object.fromEntries(Object.keys(given).map((key) => [key, reader.texts(key)]));
  }

  /** `Tags` as the services take them. */
  tags(name = 'Tags'): Record<string, string> {
    return Object.fromEntries(this.inputs(name).map((tag) => [tag.text('Key'), tag.text('Value')]));
  }
}

function asObject(name: string, value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(name, 'must be an object');
  return value as Record<string, unknown>;
}

/** SSM's answer to input of the wrong shape. */
export function invalid(name: string, rule: string): ServiceError {
  return new ServiceError('ValidationException', `1 validation error detected: Value at '${name}' ${rule}.`);
}
