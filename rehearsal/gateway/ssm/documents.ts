import { createHash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { ServiceError } from '../errors.ts';
import { runShellScript } from './built-in.ts';
import { convertContent, type DocumentContent, type DocumentFormat, parseContent } from './content.ts';
import { type Input, invalid } from './input.ts';
import { pageOf, seconds } from './pages.ts';

/** One immutable version of a document. */
export interface DocumentVersion {
  readonly version: string;
  readonly versionName: string | undefined;
  readonly text: string;
  readonly format: DocumentFormat;
  /** Hexadecimal SHA-256 of `text`: what SendCommand's DocumentHash is compared with. */
  readonly hash: string;
  readonly created: number;
  readonly content: DocumentContent;
}

/** A document that somebody else has made. */
export interface GivenDocument {
  readonly name: string;
  readonly text: string;
  readonly format: DocumentFormat;
  readonly targetType: string | undefined;
  readonly tags: Record<string, string>;
}

interface StoredDocument {
  readonly name: string;
  readonly owner: string;
  readonly targetType: string | undefined;
  versions: DocumentVersion[];
  defaultVersion: string;
  tags: Record<string, string>;
}

/** The documents of the account, with their versions. */
export class Documents {
  readonly #byName = new Map<string, StoredDocument>();
  readonly #clock: Clock;
  readonly #account: string;

  constructor(clock: Clock, account: string) {
    this.#clock = clock;
    this.#account = account;
    const builtIn = this.#version('1', runShellScript, 'JSON', undefined);
    this.#byName.set('AWS-RunShellScript', {
      name: 'AWS-RunShellScript',
      owner: 'Amazon',
      targetType: undefined,
      versions: [builtIn],
      defaultVersion: '1',
      tags: {},
    });
  }

  /** The version that a caller means: a number, `$DEFAULT` or `$LATEST`; the name may be an ARN. */
  find(nameOrArn: string, version = '$DEFAULT'): { name: string; version: DocumentVersion } {
    const document = this.#document(nameOrArn);
    return { name: document.name, version: versionOf(document, version) };
  }

  create(input: Input): object {
    const name = input.text('Name');
    if (!/^[a-zA-Z0-9_\-.]{3,128}$/.test(name)) throw invalid('name', 'must match ^[a-zA-Z0-9_\\-.]{3,128}$');
    if (/^(aws|amazon|amzn)/i.test(name)) throw invalid('name', 'must not begin with AWS, Amazon or amzn');
    if (this.#byName.has(name)) {
      throw new ServiceError('DocumentAlreadyExists', `Document with name ${name} already exists.`);
    }
    const type = input.optionalText('DocumentType') ?? 'Command';
    if (type !== 'Command') throw invalid('documentType', 'must be Command: the local cloud runs no other');
    this.#byName.set(name, {
      name,
      owner: this.#account,
      targetType: input.optionalText('TargetType'),
      versions: [
        this.#version('1', input.text('Content'), formatOf(input), input.optionalText('VersionName')),
      ],
      defaultVersion: '1',
      tags: input.tags(),
    });
    return { DocumentDescription: describe(this.#document(name), '1') };
  }

  update(input: Input): object {
    const document = this.#document(input.text('Name'));
    const given = input.optionalText('DocumentVersion') ?? '$LATEST';
    const latest = latestOf(document);
    if (versionOf(document, given).version !== latest.version) {
      throw new ServiceError('InvalidDocumentVersion', 'Only the latest version can be updated.');
    }
    const next = this.#version(
      String(Number(latest.version) + 1),
      input.text('Content'),
      formatOf(input),
      input.optionalText('VersionName'),
    );
    if (next.hash === latest.hash) {
      throw new ServiceError('DuplicateDocumentContent', 'The content is that of the latest version.');
    }
    document.versions.push(next);
    return { DocumentDescription: describe(document, next.version) };
  }

  updateDefaultVersion(input: Input): object {
    const document = this.#document(input.text('Name'));
    const version = versionOf(document, input.text('DocumentVersion'));
    document.defaultVersion = version.version;
    return {
      Description: {
        Name: document.name,
        DefaultVersion: version.version,
        ...(version.versionName === undefined ? {} : { DefaultVersionName: version.versionName }),
      },
    };
  }

  describe(input: Input): object {
    const document = this.#document(input.text('Name'));
    return { Document: describe(document, asked(document, input).version) };
  }

  get(input: Input): object {
    const document = this.#document(input.text('Name'));
    const version = asked(document, input);
    const format = input.optionalText('DocumentFormat') === undefined ? version.format : formatOf(input);
    return {
      Name: document.name,
      CreatedDate: seconds(version.created),
      DocumentVersion: version.version,
      ...(version.versionName === undefined ? {} : { VersionName: version.versionName }),
      Status: 'Active',
      Content: convertContent(version.text, version.format, format),
      DocumentType: 'Command',
      DocumentFormat: format,
    };
  }

  list(input: Input): object {
    const filters = input
      .inputs('Filters')
      .map((each) => ({ key: each.text('Key'), values: each.texts('Values') }));
    const documents = [...this.#byName.values()].filter((each) =>
      filters.every(({ key, values }) => matches(each, key, values, this.#account)),
    );
    const { page, next } = pageOf(documents, input);
    return {
      DocumentIdentifiers: page.map((each) => identifier(each, versionOf(each, '$DEFAULT'))),
      ...next,
    };
  }

  listVersions(input: Input): object {
    const document = this.#document(input.text('Name'));
    const { page, next } = pageOf([...document.versions].reverse(), input);
    return {
      DocumentVersions: page.map((version) => ({
        ...identifier(document, version),
        CreatedDate: seconds(version.created),
        IsDefaultVersion: version.version === document.defaultVersion,
        Status: 'Active',
      })),
      ...next,
    };
  }

  delete(input: Input): object {
    const document = this.#document(input.text('Name'));
    const version = input.optionalText('DocumentVersion');
    if (version === undefined) {
      this.#byName.delete(document.name);
      return {};
    }
    const doomed = versionOf(document, version);
    if (doomed.version === document.defaultVersion) {
      throw new ServiceError('InvalidDocumentOperation', 'The default version cannot be deleted.');
    }
    document.versions = document.versions.filter((each) => each !== doomed);
    return {};
  }

  tag(name: string, tags: Record<string, string>): void {
    const document = this.#document(name);
    document.tags = { ...document.tags, ...tags };
  }

  untag(name: string, keys: string[]): void {
    for (const key of keys) delete this.#document(name).tags[key];
  }

  tagsOf(name: string): Record<string, string> {
    return this.#document(name).tags;
  }

  /**
   * Takes over what CloudFormation made of an AWS::SSM::Document. New content becomes the new default version,
   * as the resource type does with `UpdateMethod: NewVersion`.
   */
  takeOver({ name, text, format, targetType, tags }: GivenDocument): void {
    const document = this.#byName.get(name);
    if (document === undefined) {
      const versions = [this.#version('1', text, format, undefined)];
      this.#byName.set(name, { name, owner: this.#account, targetType, versions, defaultVersion: '1', tags });
      return;
    }
    document.tags = tags;
    const next = this.#version(String(Number(latestOf(document).version) + 1), text, format, undefined);
    if (next.hash === versionOf(document, '$DEFAULT').hash) return;
    document.versions.push(next);
    document.defaultVersion = next.version;
  }

  forget(name: string): void {
    this.#byName.delete(name);
  }

  #document(nameOrArn: string): StoredDocument {
    const name = nameOrArn.split(':document/').pop() ?? nameOrArn;
    const document = this.#byName.get(name);
    if (document === undefined) {
      throw new ServiceError('InvalidDocument', `Document with name ${name} does not exist.`);
    }
    return document;
  }

  #version(
    version: string,
    text: string,
    format: DocumentFormat,
    versionName: string | undefined,
  ): DocumentVersion {
    return {
      version,
      versionName,
      text,
      format,
      hash: createHash('sha256').update(text).digest('hex'),
      created: this.#clock.now(),
      content: parseContent(text, format),
    };
  }
}

function formatOf(input: Input): DocumentFormat {
  const format = input.optionalText('DocumentFormat') ?? 'JSON';
  if (format !== 'JSON' && format !== 'YAML') throw invalid('documentFormat', 'must be JSON or YAML');
  return format;
}

function latestOf(document: StoredDocument): DocumentVersion {
  return document.versions[document.versions.length - 1] as DocumentVersion;
}

function versionOf(document: StoredDocument, wanted: string): DocumentVersion {
  if (wanted === '$LATEST') return latestOf(document);
  const number = wanted === '$DEFAULT' || wanted === '' ? document.defaultVersion : wanted;
  const found = document.versions.find((each) => each.version === number);
  if (found !== undefined) return found;
  throw new ServiceError('InvalidDocumentVersion', `Document ${document.name} has no version ${wanted}.`);
}

function asked(document: StoredDocument, input: Input): DocumentVersion {
  const versionName = input.optionalText('VersionName');
  if (versionName === undefined)
    return versionOf(document, input.optionalText('DocumentVersion') ?? '$DEFAULT');
  const found = document.versions.find((each) => each.versionName === versionName);
  if (found !== undefined) return found;
  throw new ServiceError(
    'InvalidDocumentVersion',
    `Document ${document.name} has no version named ${versionName}.`,
  );
}

function identifier(document: StoredDocument, version: DocumentVersion): object {
  return {
    Name: document.name,
    Owner: document.owner,
    ...(version.versionName === undefined ? {} : { VersionName: version.versionName }),
    PlatformTypes: ['Linux', 'MacOS'],
    DocumentVersion: version.version,
    DocumentType: 'Command',
    SchemaVersion: version.content.schemaVersion,
    DocumentFormat: version.format,
    ...(document.targetType === undefined ? {} : { TargetType: document.targetType }),
    Tags: tagList(document.tags),
  };
}

function describe(document: StoredDocument, number: string): object {
  const version = versionOf(document, number);
  const parameters = Object.entries(version.content.parameters ?? {}).map(([Name, declaration]) => ({
    Name,
    Type: declaration.type,
    Description: declaration.description ?? '',
    ...(declaration.default === undefined ? {} : { DefaultValue: asText(declaration.default) }),
  }));
  return {
    ...identifier(document, version),
    Hash: version.hash,
    HashType: 'Sha256',
    CreatedDate: seconds(version.created),
    Status: 'Active',
    Description: version.content.description ?? '',
    Parameters: parameters,
    LatestVersion: latestOf(document).version,
    DefaultVersion: document.defaultVersion,
  };
}

function matches(document: StoredDocument, key: string, values: string[], account: string): boolean {
  if (key.startsWith('tag:')) return values.includes(document.tags[key.slice(4)] ?? '');
  switch (key) {
    case 'Owner':
      return values.some((value) => ['All', document.owner].includes(value === 'Self' ? account : value));
    case 'Name':
      return values.some((value) => document.name.startsWith(value));
    case 'DocumentType':
      return values.includes('Command');
    case 'PlatformTypes':
      return values.some((value) => value === 'Linux' || value === 'MacOS');
    default:
      throw new ServiceError('InvalidFilterKey', `The local cloud has no document filter ${key}.`);
  }
}

export function tagList(tags: Record<string, string>): { Key: string; Value: string }[] {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
