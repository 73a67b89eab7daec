import type * as z from 'zod/mini';
import { guidance } from './schema.ts';

/** What is expected at a place of the file, and how it may look. */
export interface Expectation {
  readonly description: string;
  readonly example: unknown;
}

/**
 * What the schema says of the place that `path` leads to.
 *
 * @param path - the keys and indexes from the root, as in zod's issues
 */
export function expectationAt(
  schema: z.core.$ZodType,
  path: readonly PropertyKey[],
): Expectation | undefined {
  const place = path.reduce<z.core.$ZodType | undefined>((at, step) => at && stepInto(at, step), schema);
  const known = place && (guidance.get(place) ?? guidance.get(unwrap(place)));
  return known && { description: known.description, example: known.examples[0] };
}

/** What the schema says of the names that may be given below a place of the file. */
export function namesBelow(schema: z.core.$ZodType, path: readonly PropertyKey[]): Expectation | undefined {
  const place = path.reduce<z.core.$ZodType | undefined>((at, step) => at && stepInto(at, step), schema);
  const { def } = (place ? unwrap(place) : schema)._zod as z.core.$ZodTypes['_zod'];
  const known = def.type === 'record' ? guidance.get(def.keyType) : undefined;
  return known && { description: known.description, example: known.examples[0] };
}

/** The keys that may stand at a place of the file. */
export function keysAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] {
  const place = path.reduce<z.core.$ZodType | undefined>((at, step) => at && stepInto(at, step), schema);
  const { def } = (place ? unwrap(place) : schema)._zod as z.core.$ZodTypes['_zod'];
  return def.type === 'object' ? Object.keys(def.shape) : [];
}

function stepInto(schema: z.core.$ZodType, step: PropertyKey): z.core.$ZodType | undefined {
  const { def } = unwrap(schema)._zod as z.core.$ZodTypes['_zod'];
  switch (def.type) {
    case 'object':
      return def.shape[String(step)];
    case 'record':
      return def.valueType;
    case 'array':
      return def.element;
    default:
      return undefined;
  }
}

/** The schema below what only says that a value may be missing. */
function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  const { def } = schema._zod as z.core.$ZodTypes['_zod'];
  return def.type === 'optional' || def.type === 'prefault' ? unwrap(def.innerType) : schema;
}
