import { parse as parseYaml, stringify as writeYaml } from 'yaml';
import { ServiceError } from '../errors.ts';

export type DocumentFormat = 'JSON' | 'YAML';

/** A parameter as a document declares it. */
export interface ParameterDeclaration {
  type: string;
  description?: string;
  default?: unknown;
  allowedPattern?: string;
  allowedValues?: string[];
  minChars?: number;
  maxChars?: number;
  minItems?: number;
  maxItems?: number;
}

export interface DocumentStep {
  action: string;
  name: string;
  inputs: Record<string, unknown>;
}

/** A Command document, schema 2.2, parsed. */
export interface DocumentContent {
  schemaVersion: string;
  description?: string;
  parameters?: Record<string, ParameterDeclaration>;
  mainSteps: DocumentStep[];
}

/** 64 KB, the service's limit on a document. */
export const largestDocument = 65_536;

const parameterTypes = new Set(['String', 'StringList', 'Boolean', 'Integer', 'MapList', 'StringMap']);

/** Parses and checks a Command document. @throws ServiceError as CreateDocument would. */
export function parseContent(content: string, format: DocumentFormat): DocumentContent {
  if (Buffer.byteLength(content) > largestDocument) {
    throw new ServiceError('MaxDocumentSizeExceeded', 'The size limit of a document is 64 KB.');
  }
  const value = parseText(content, format);
  if (!isObject(value)) throw bad('it is not an object');
  const version = value['schemaVersion'];
  if (version !== '2.2' && version !== '2.0') {
    // 1.2 and Automation's 0.3 exist in AWS; nothing here needs them.
    throw new ServiceError(
      'InvalidDocumentSchemaVersion',
      `Schema version ${String(version)} is not served: use 2.2.`,
    );
  }
  checkParameters(value['parameters'] ?? {});
  checkSteps(value['mainSteps']);
  return value as unknown as DocumentContent;
}

/** The same document in the other format, as GetDocument's DocumentFormat asks. */
export function convertContent(content: string, from: DocumentFormat, to: DocumentFormat): string {
  if (from === to) return content;
  const value = parseText(content, from);
  return to === 'JSON' ? JSON.stringify(value, null, 2) : writeYaml(value);
}

function parseText(content: string, format: DocumentFormat): unknown {
  try {
    return format === 'JSON' ? (JSON.parse(content) as unknown) : (parseYaml(content) as unknown);
  } catch (cause) {
    throw bad(cause instanceof Error ? cause.message : 'it cannot be parsed');
  }
}

function checkParameters(parameters: unknown): void {
  if (!isObject(parameters)) throw bad('parameters is not an object');
  for (const [name, declaration] of Object.entries(parameters)) {
    if (!isObject(declaration)) throw bad(`parameter ${name} is not an object`);
    if (!parameterTypes.has(String(declaration['type']))) {
      throw bad(`parameter ${name} has the unknown type ${String(declaration['type'])}`);
    }
    if (typeof declaration['allowedPattern'] === 'string') checkPattern(name, declaration['allowedPattern']);
  }
}

function checkPattern(name: string, pattern: string): void {
  try {
    new RegExp(pattern);
  } catch {
    throw bad(`parameter ${name} has an allowedPattern that does not compile`);
  }
}

function checkSteps(steps: unknown): void {
  if (!Array.isArray(steps) || steps.length === 0) throw bad('mainSteps is not a list of steps');
  const names = new Set<string>();
  for (const step of steps as unknown[]) {
    if (!isObject(step) || typeof step['name'] !== 'string') throw bad('a step has no name');
    if (!/^aws:\w+$/.test(String(step['action']))) throw bad(`step ${step['name']} has no action of AWS's`);
    if (!isObject(step['inputs'])) throw bad(`step ${step['name']} has no inputs`);
    if (names.has(step['name'])) throw bad(`two steps are named ${step['name']}`);
    names.add(step['name']);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function bad(problem: string): ServiceError {
  return new ServiceError('InvalidDocumentContent', `The content of the document is not valid: ${problem}.`);
}
