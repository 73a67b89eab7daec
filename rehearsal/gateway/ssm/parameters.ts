import { ServiceError } from '../errors.ts';
import type { DocumentContent, DocumentStep, ParameterDeclaration } from './content.ts';

/** A parameter's value as the agent gets it. */
export type ParameterValue = string | string[] | number | boolean | object;
export type Parameters = Record<string, ParameterValue>;

/**
 * Values of a document's parameters: given ones checked, defaults filled in.
 *
 * `allowedPattern` must match the whole value. Patterns are run by JavaScript: where RE2 (the agent) or Java
 * differ (possessive quantifiers, `\p{…}` without the u flag, Java's `$` before a last line break) this is not AWS.
 * @throws ServiceError InvalidParameters
 */
export function resolveParameters(content: DocumentContent, given: Record<string, string[]>): Parameters {
  const declared = content.parameters ?? {};
  for (const name of Object.keys(given)) {
    if (declared[name] === undefined) throw refuse(name, 'is not defined in the document');
  }
  const resolved: Parameters = {};
  for (const [name, declaration] of Object.entries(declared)) {
    const values = given[name] ?? defaultValues(declaration);
    if (values === undefined) throw refuse(name, 'is required: it has no default');
    checkValues(name, declaration, values);
    resolved[name] = typed(name, declaration, values);
  }
  return resolved;
}

/**
 * Seconds that the service gives a document to run: each step's `timeoutSeconds`, 5 to 172,800; 3600 where it is
 * missing or anything else, without a word (facts-agent.md).
 */
export function executionSeconds(content: DocumentContent, parameters: Parameters): number {
  return content.mainSteps.reduce((sum, step) => sum + stepSeconds(step, parameters), 0);
}

function stepSeconds(step: DocumentStep, parameters: Parameters): number {
  const written = plainText(step.inputs['timeoutSeconds']);
  const text = written.replace(/\{\{\s*([\w.-]+)\s*\}\}/g, (whole, name: string) =>
    plainText(parameters[name] ?? whole),
  );
  const whole = /^\d+(\.\d+)?$/.test(text) ? Math.floor(Number(text)) : Number.NaN;
  return whole >= 5 && whole <= 172_800 ? whole : 3600;
}

/** A scalar as it is written; structures as JSON. */
function plainText(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}

function defaultValues(declaration: ParameterDeclaration): string[] | undefined {
  const value = declaration.default;
  if (value === undefined) return undefined;
  if (declaration.type === 'StringList' && Array.isArray(value)) return value.map(String);
  return [plainText(value)];
}

function checkValues(name: string, declaration: ParameterDeclaration, values: string[]): void {
  const isList = declaration.type === 'StringList';
  if (!isList && values.length !== 1) throw refuse(name, 'takes exactly one value');
  const { minItems = 0, maxItems = Number.POSITIVE_INFINITY } = declaration;
  if (isList && (values.length < minItems || values.length > maxItems)) {
    throw refuse(name, 'has too few or too many items');
  }
  for (const value of values) checkValue(name, declaration, value);
}

function checkValue(name: string, declaration: ParameterDeclaration, value: string): void {
  const { allowedPattern, allowedValues, minChars = 0, maxChars = Number.POSITIVE_INFINITY } = declaration;
  if (allowedPattern !== undefined && !new RegExp(`^(?:${allowedPattern})$`).test(value)) {
    throw refuse(name, `does not match the allowed pattern ${allowedPattern}`);
  }
  if (allowedValues !== undefined && !allowedValues.map(String).includes(value)) {
    throw refuse(name, `is none of the allowed values ${allowedValues.join(', ')}`);
  }
  if (value.length < minChars || value.length > maxChars) throw refuse(name, 'is too short or too long');
}

function typed(name: string, declaration: ParameterDeclaration, values: string[]): ParameterValue {
  const [value = ''] = values;
  switch (declaration.type) {
    case 'StringList':
      return values;
    case 'String':
      return value;
    case 'Boolean':
      if (value !== 'true' && value !== 'false') throw refuse(name, 'is not a Boolean');
      return value === 'true';
    case 'Integer':
      if (!/^-?\d+$/.test(value)) throw refuse(name, 'is not an Integer');
      return Number(value);
    default:
      return parseStructure(name, value);
  }
}

function parseStructure(name: string, value: string): object {
  try {
    return JSON.parse(value) as object;
  } catch {
    throw refuse(name, 'is not JSON');
  }
}

function refuse(name: string, problem: string): ServiceError {
  return new ServiceError('InvalidParameters', `Parameter "${name}" ${problem}.`);
}
