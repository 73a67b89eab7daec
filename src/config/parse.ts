import { readFile } from 'node:fs/promises';
import * as z from 'zod/mini';
import { ConfigurationError, messageOf } from '../action/errors.ts';
import { type Config, type Environment, toConfig } from './config.ts';
import { expectationAt, keysAt, namesBelow } from './guide.ts';
import { schema } from './schema.ts';
import { type ReadYaml, readYaml } from './yaml.ts';

/**
 * Reads understudy.yml from a file.
 *
 * @throws ConfigurationError also when there is none
 */
export async function openConfig(path: string): Promise<Config> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    const how = 'Check the repository out first, or say where the file is; example: config: understudy.yml';
    const what = `It cannot be read: ${messageOf(cause)}.`;
    throw new ConfigurationError({ where: path, what, how, reason: 'bad-config', cause });
  });
  return parseConfig(text, path);
}

/**
 * Reads understudy.yml.
 *
 * @param file - the name to use in errors
 * @throws ConfigurationError that names line, column and key, what was expected, and an example
 */
export function parseConfig(text: string, file: string): Config {
  const document = readYaml(text, file);
  const parsed = z.safeParse(schema, document.value);
  if (parsed.success) {
    return toConfig(parsed.data);
  }
  throw toError(problemsIn(parsed.error.issues, document, file));
}

/**
 * The environment of that name.
 *
 * @throws ConfigurationError that names those there are
 */
export function findEnvironment(config: Config, name: string, file = 'understudy.yml'): Environment {
  const environment = config.environments.get(name);
  if (environment) {
    return environment;
  }
  throw new ConfigurationError({
    where: `${file}: environments`,
    what: `has no environment ${JSON.stringify(name)}.`,
    how: `It describes ${[...config.environments.keys()].join(', ')}: name one of these, or add it.`,
    reason: 'bad-config',
  });
}

/**
 * An environment that has backups.
 * @param bucket what bucket is missing where it has none, such as `to back up to`
 * @throws ConfigurationError
 */
export function findBackedUp(
  config: Config,
  name: string,
  bucket: string,
): Environment & { readonly backups: string } {
  const environment = findEnvironment(config, name);
  const { backups } = environment;
  if (backups !== undefined) return { ...environment, backups };
  throw new ConfigurationError({
    where: `understudy.yml: environments.${name}.backups`,
    what: `is missing: there is no bucket ${bucket}.`,
    how: `Name the backup bucket of infra/foundation.yaml; for example: backups: ${config.app}-understudy-backups`,
    reason: 'bad-config',
  });
}

/** An environment for what its own role, which deploys, may not do. */
export function withoutRole<Described extends Environment>({
  roleArn: _,
  ...rest
}: Described): Omit<Described, 'roleArn'> {
  return rest;
}

interface Problem {
  readonly where: string;
  readonly what: string;
  readonly how: string;
}

function problemsIn(issues: readonly z.core.$ZodIssue[], document: ReadYaml, file: string): Problem[] {
  // A misspelt key is also a missing one: tell the misspelling first.
  const unknownFirst = issues.toSorted((a, b) => Number(isUnknown(b)) - Number(isUnknown(a)));
  return unknownFirst.flatMap((issue) => {
    switch (issue.code) {
      case 'unrecognized_keys':
        return issue.keys.map((key) => unknownKey(issue.path, key, document, file));
      case 'invalid_key':
        return [badName(issue.path, document, file)];
      default:
        return [badValue(issue, document, file)];
    }
  });
}

const isUnknown = ({ code }: z.core.$ZodIssue) => code === 'unrecognized_keys';

function unknownKey(path: readonly PropertyKey[], key: string, document: ReadYaml, file: string): Problem {
  const known = keysAt(schema, path);
  return {
    where: `${file}:${document.placeOfKey(path, key)}`,
    what: `${named([...path, key])} is not a key that Understudy knows.`,
    how: `Known here: ${known.join(', ')}.`,
  };
}

function badName(path: readonly PropertyKey[], document: ReadYaml, file: string): Problem {
  const key = String(path.at(-1));
  const known = namesBelow(schema, path.slice(0, -1));
  return {
    where: `${file}:${document.placeOfKey(path.slice(0, -1), key)}`,
    what: `${JSON.stringify(key)} cannot be a name below ${named(path.slice(0, -1))}.`,
    how: known ? `${known.description} For example: ${known.example}` : '',
  };
}

function badValue(issue: z.core.$ZodIssue, document: ReadYaml, file: string): Problem {
  const given = valueAt(document.value, issue.path);
  const expectation = expectationAt(schema, issue.path);
  const what =
    given === undefined
      ? 'is missing.'
      : `is ${shown(given)}${issue.code === 'custom' ? `, and ${issue.message}` : ''}.`;
  return {
    where: `${file}:${document.place(issue.path)}`,
    what: `${named(issue.path)} ${what}`,
    how: expectation
      ? `${expectation.description} ${example(issue.path, expectation.example)}`
      : `${issue.message}.`,
  };
}

function toError([first, ...others]: Problem[]): ConfigurationError {
  const { where, what, how } = first ?? { where: '', what: 'is not valid.', how: '' };
  const more = others.slice(0, 9).map((problem) => `\n${problem.where}: ${problem.what} ${problem.how}`);
  return new ConfigurationError({ where, what, how: how + more.join(''), reason: 'bad-config' });
}

/** A path as people write it: `checks[0].path`. */
function named(path: readonly PropertyKey[]): string {
  const text = path
    .map((step) =>
      /^[\w-]+$/.test(String(step)) && typeof step === 'string' ? `.${step}` : `[${JSON.stringify(step)}]`,
    )
    .join('');
  return text === '' ? 'the file' : text.replace(/^\./, '');
}

function example(path: readonly PropertyKey[], value: unknown): string {
  const key = path.at(-1);
  const written = flow(value);
  return typeof key === 'string' ? `For example: ${key}: ${written}` : `For example: ${written}`;
}

/** A value in YAML on one line. */
function flow(value: unknown): string {
  if (Array.isArray(value)) {
    return `[${value.map(flow).join(', ')}]`;
  }
  if (typeof value === 'object' && value !== null) {
    const pairs = Object.entries(value).map(([key, inner]) => `${key}: ${flow(inner)}`);
    return `{${pairs.join(', ')}}`;
  }
  return typeof value === 'string' && /[:/]/.test(value) ? JSON.stringify(value) : String(value);
}

function shown(value: unknown): string {
  if (value === null) {
    return 'empty';
  }
  if (Array.isArray(value)) {
    return 'a list';
  }
  if (typeof value === 'object') {
    return 'a map of keys';
  }
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (at, step) =>
      typeof at === 'object' && at !== null && Object.hasOwn(at, step) ? Reflect.get(at, step) : undefined,
    value,
  );
}
