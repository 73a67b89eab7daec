/** One input of an action: what action.yml says of it, and the strict parser that reads it. */
export interface InputDeclaration<Value = unknown> {
  readonly description: string;
  /** Whether action.yml says `required: true`. */
  readonly required: boolean;
  /** The default of action.yml, as text. */
  readonly default?: string;
  /** A value that is right; shown when a wrong one is refused. */
  readonly example: string;
  /** Reads the text; throws an Error whose message says what was expected. Never sees an empty text. */
  readonly parse: (text: string) => Value;
}

export interface OutputDeclaration {
  readonly description: string;
}

/** All that action.yml says of an action; a contract test holds the two equal. */
export interface ActionDeclaration {
  readonly name: string;
  readonly description: string;
  readonly inputs: Readonly<Record<string, InputDeclaration>>;
  readonly outputs: Readonly<Record<string, OutputDeclaration>>;
}

/** The values of declared inputs: one that is neither required nor defaulted may be absent. */
export type InputsOf<Declared extends Readonly<Record<string, InputDeclaration>>> = {
  readonly [Name in keyof Declared]: Declared[Name] extends InputDeclaration<infer Value>
    ? Declared[Name] extends { required: true } | { default: string }
      ? Value
      : Value | undefined
    : never;
};
