import { Document, type Scalar, visit } from 'yaml';
import { compose, documentLimit, type HostOperation, hostOperations } from './compose.ts';
import { pack } from './pack.ts';
import { type DocumentParameter, documentParameters } from './parameters.ts';

/** Where the template of the host documents is, from this repository's root. */
export const templateFile = 'infra/documents.yaml';

/** What stands before each name; CloudFormation's own placeholder. */
const appPrefix = `\${App}-`;

/** What each document does, for whoever finds it in the console. */
const purposes: Record<HostOperation, string> = {
  deploy:
    'Understudy: takes a release to this instance, rehearses it on a copy of the data, and switches to it.',
  rollback: 'Understudy: takes this instance back to an earlier release, on the data as it is.',
  retire:
    'Understudy: takes this instance out of service, until it is prepared anew. Sent by an operator, or before its image takes its place.',
  probe: 'Understudy: tells the state of this instance. Changes nothing.',
  cancel: 'Understudy: asks a running operation to stop at its next safe point.',
  'prepare-host': 'Understudy: lays down what an app needs on an instance. Sent by an operator.',
  backup: 'Understudy: copies the data and the live code of this instance to the backup bucket.',
  restore:
    'Understudy: puts a chosen backup back on this instance, or proves on it that the backup restores. Sent by an operator.',
};

/**
 * The CloudFormation template of the host documents, as text. Their content is literal and the same for every app;
 * only their names differ. CloudFormation puts nothing into it: what looks like `${…}` belongs to bash. It reads YAML
 * 1.1, in which a bare `off` is false.
 *
 * @throws when a document exceeds the 64 KB that SSM takes, or holds what CloudFormation may turn into `?`
 */
export function templateText(): string {
  const template = new Document(outline(), { version: '1.1' });
  substituteNames(template);
  return template.toString({ lineWidth: 0, blockQuote: 'literal' });
}

function outline() {
  return {
    AWSTemplateFormatVersion: '2010-09-09',
    Description:
      'Understudy: the host operations of an app, as SSM documents. Generated from host/ by npm run documents. Larger than 51,200 bytes: give it by TemplateURL.',
    Parameters: {
      App: {
        Type: 'String',
        Description: 'The app, as understudy.yml names it.',
        AllowedPattern: documentParameters.deploy.app.allowedPattern,
      },
    },
    Resources: Object.fromEntries(
      hostOperations.map((operation) => [logicalId(operation), resource(operation)]),
    ),
  };
}

function resource(operation: HostOperation) {
  return {
    Type: 'AWS::SSM::Document',
    Properties: {
      Name: `${appPrefix}${operation}`,
      DocumentType: 'Command',
      DocumentFormat: 'JSON',
      TargetType: '/AWS::EC2::Instance',
      // The default, Replace, fails for a document that has a name.
      UpdateMethod: 'NewVersion',
      Tags: [{ Key: 'App', Value: { Ref: 'App' } }],
      Content: content(operation),
    },
  };
}

/**
 * One host document: schema 2.2, one step that is named as the operation. Its script is there to be read, unless it is
 * too large for that.
 */
export function content(operation: HostOperation) {
  const parameters: Record<string, DocumentParameter> = documentParameters[operation];
  const placeholders = Object.keys(parameters).map((name) => [name, `{{ ${name} }}`]);
  const script = compose(operation, Object.fromEntries(placeholders));
  const document = documentOf(operation, parameters, script);
  return bytesOf(document) <= documentLimit
    ? document
    : checked(operation, documentOf(operation, parameters, pack(script)));
}

const bytesOf = (document: object): number => Buffer.byteLength(JSON.stringify(document));

function documentOf(
  operation: HostOperation,
  parameters: Readonly<Record<string, DocumentParameter>>,
  script: string,
) {
  const document = {
    schemaVersion: '2.2',
    description: purposes[operation],
    parameters: Object.fromEntries(
      Object.entries(parameters).map(([name, parameter]) => [name, { type: 'String', ...parameter }]),
    ),
    mainSteps: [
      {
        action: 'aws:runShellScript',
        name: operation,
        inputs: {
          timeoutSeconds: '{{ timeout }}',
          // Lines are joined by newlines, so one text that holds them is the same, and can be read here.
          runCommand: [script],
        },
      },
    ],
  };
  const text = JSON.stringify(document);
  const [foreign] = /[^\x20-\x7e]/.exec(text) ?? [];
  if (foreign !== undefined) {
    throw new Error(`The document of ${operation} holds ${JSON.stringify(foreign)}; keep host/ in ASCII.`);
  }
  return document;
}

function checked<Document extends object>(operation: HostOperation, document: Document): Document {
  const size = bytesOf(document);
  if (size <= documentLimit) return document;
  throw new Error(`The document of ${operation} has ${size} bytes when packed; SSM takes ${documentLimit}.`);
}

/** Only names are substituted: `!Sub` in front of each. */
function substituteNames(template: Document): void {
  visit(template, {
    Pair: (_key, pair) => {
      const value = pair.value as Scalar;
      if ((pair.key as Scalar).value === 'Name' && String(value.value).startsWith(appPrefix)) {
        value.tag = '!Sub';
        return visit.SKIP;
      }
      return undefined;
    },
  });
}

function logicalId(operation: HostOperation): string {
  return operation.replace(/(^|-)([a-z])/g, (_match, _dash, letter: string) => letter.toUpperCase());
}
