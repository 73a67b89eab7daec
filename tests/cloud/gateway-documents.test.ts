import { createHash } from 'node:crypto';
import {
  CreateStackCommand,
  DeleteStackCommand,
  DescribeStacksCommand,
  UpdateStackCommand,
} from '@aws-sdk/client-cloudformation';
import { CreateBucketCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import {
  AddTagsToResourceCommand,
  CreateDocumentCommand,
  type CreateDocumentCommandInput,
  DeleteDocumentCommand,
  DescribeDocumentCommand,
  GetDocumentCommand,
  GetParametersByPathCommand,
  ListDocumentsCommand,
  ListDocumentVersionsCommand,
  ListTagsForResourceCommand,
  PutParameterCommand,
  paginateListAssociations,
  SendCommandCommand,
  StartSessionCommand,
  UpdateDocumentCommand,
  UpdateDocumentDefaultVersionCommand,
} from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { stringify } from 'yaml';
import { Ground } from './gateway/ground.ts';

jest.setTimeout(60_000);

let ground: Ground;

beforeAll(async () => {
  ground = await Ground.open();
});

afterAll(async () => {
  const { emulatorErrors } = await ground.calls();
  await ground.close();
  expect(emulatorErrors).toBe(0);
});

/** A document whose script is `line`. */
function contentOf(line: string): object {
  return {
    schemaVersion: '2.2',
    description: 'for tests',
    parameters: {
      app: { type: 'String', description: 'the app', default: 'isso', allowedPattern: '^[a-z]{1,9}$' },
    },
    mainSteps: [{ action: 'aws:runShellScript', name: 'run', inputs: { runCommand: ['#!/bin/bash', line] } }],
  };
}

function create(Name: string, input: Partial<CreateDocumentCommandInput> = {}) {
  const Content = JSON.stringify(contentOf('true'));
  return ground.ssm.send(new CreateDocumentCommand({ Name, Content, DocumentType: 'Command', ...input }));
}

const somebody = { Targets: [{ Key: 'tag:App', Values: ['nobody'] }] };

describe('documents', () => {
  test('have versions; an update becomes the default only when told so', async () => {
    await create('versioned');
    const second = JSON.stringify(contentOf('echo two'));
    const updated = await ground.ssm.send(
      new UpdateDocumentCommand({ Name: 'versioned', Content: second, DocumentVersion: '$LATEST' }),
    );
    expect(updated.DocumentDescription).toMatchObject({
      DocumentVersion: '2',
      LatestVersion: '2',
      DefaultVersion: '1',
    });
    const get = async (DocumentVersion?: string) =>
      (await ground.ssm.send(new GetDocumentCommand({ Name: 'versioned', DocumentVersion }))).Content;
    expect(await get('$LATEST')).toBe(second);
    expect(await get()).not.toBe(second);
    await ground.ssm.send(
      new UpdateDocumentDefaultVersionCommand({ Name: 'versioned', DocumentVersion: '2' }),
    );
    expect(await get()).toBe(second);
    const { DocumentVersions } = await ground.ssm.send(
      new ListDocumentVersionsCommand({ Name: 'versioned' }),
    );
    expect(DocumentVersions?.map((each) => [each.DocumentVersion, each.IsDefaultVersion])).toEqual([
      ['2', true],
      ['1', false],
    ]);
  });

  test('DocumentVersion with DocumentHash (Sha256) detects drift', async () => {
    await create('hashed');
    const { Document } = await ground.ssm.send(new DescribeDocumentCommand({ Name: 'hashed' }));
    const Content = JSON.stringify(contentOf('true'));
    expect(Document).toMatchObject({
      HashType: 'Sha256',
      Hash: createHash('sha256').update(Content).digest('hex'),
      Parameters: [{ Name: 'app', Type: 'String', DefaultValue: 'isso' }],
    });
    const input = { DocumentName: 'hashed', DocumentVersion: '1', DocumentHash: Document?.Hash, ...somebody };
    await ground.ssm.send(new SendCommandCommand(input));
    const other = JSON.stringify(contentOf('echo drifted'));
    await ground.ssm.send(
      new UpdateDocumentCommand({ Name: 'hashed', Content: other, DocumentVersion: '$LATEST' }),
    );
    await expect(
      ground.ssm.send(new SendCommandCommand({ ...input, DocumentVersion: '2' })),
    ).rejects.toMatchObject({ name: 'InvalidDocument' });
  });

  test('YAML is taken, and given as JSON where that is asked', async () => {
    const Content = stringify(contentOf('echo "{{ app }}"'));
    await create('written-in-yaml', { Content, DocumentFormat: 'YAML' });
    const asked = new GetDocumentCommand({ Name: 'written-in-yaml', DocumentFormat: 'JSON' });
    const { Content: json = '' } = await ground.ssm.send(asked);
    expect(JSON.parse(json)).toEqual(contentOf('echo "{{ app }}"'));
    expect((await ground.ssm.send(new GetDocumentCommand({ Name: 'written-in-yaml' }))).Content).toBe(
      Content,
    );
  });

  test.each<[string, Partial<CreateDocumentCommandInput>, string]>([
    ['over 64 KB', { Content: JSON.stringify(contentOf('x'.repeat(65_536))) }, 'MaxDocumentSizeExceeded'],
    ['not JSON', { Content: '{' }, 'InvalidDocumentContent'],
    ['without steps', { Content: JSON.stringify({ schemaVersion: '2.2' }) }, 'InvalidDocumentContent'],
    [
      'of another schema',
      { Content: JSON.stringify({ schemaVersion: '0.3' }) },
      'InvalidDocumentSchemaVersion',
    ],
    ['named as if it were Amazon`s', { Name: 'AWS-Own' }, 'ValidationException'],
    ['that exists', { Name: 'AWS-RunShellScript' }, 'ValidationException'],
  ])('one %s is refused', async (_, input, name) => {
    await expect(create('refused', input)).rejects.toMatchObject({ name });
  });

  test('the 64 KB hold for content and parameters together at run time', async () => {
    const content = { ...contentOf('true'), parameters: { text: { type: 'String', default: '' } } };
    await create('nearly-full', { Content: JSON.stringify(content) });
    const Parameters = { text: ['x'.repeat(65_400)] };
    await expect(
      ground.ssm.send(new SendCommandCommand({ DocumentName: 'nearly-full', Parameters, ...somebody })),
    ).rejects.toMatchObject({ name: 'MaxDocumentSizeExceeded' });
  });

  test('the same content again is DuplicateDocumentContent, the same name DocumentAlreadyExists', async () => {
    await create('twice');
    await expect(create('twice')).rejects.toMatchObject({ name: 'DocumentAlreadyExists' });
    const Content = JSON.stringify(contentOf('true'));
    await expect(
      ground.ssm.send(new UpdateDocumentCommand({ Name: 'twice', Content, DocumentVersion: '$LATEST' })),
    ).rejects.toMatchObject({ name: 'DuplicateDocumentContent' });
  });

  test('can be tagged, listed by owner and name, and deleted', async () => {
    await create('short-lived', { Tags: [{ Key: 'App', Value: 'isso' }] });
    const resource = { ResourceType: 'Document' as const, ResourceId: 'short-lived' };
    await ground.ssm.send(
      new AddTagsToResourceCommand({ ...resource, Tags: [{ Key: 'More', Value: 'yes' }] }),
    );
    const { TagList } = await ground.ssm.send(new ListTagsForResourceCommand(resource));
    expect(TagList).toHaveLength(2);
    const Filters = [
      { Key: 'Owner', Values: ['Self'] },
      { Key: 'Name', Values: ['short-'] },
    ];
    const list = async () =>
      (await ground.ssm.send(new ListDocumentsCommand({ Filters }))).DocumentIdentifiers;
    expect(await list()).toMatchObject([{ Name: 'short-lived', Owner: '123456789012' }]);
    await ground.ssm.send(new DeleteDocumentCommand({ Name: 'short-lived' }));
    expect(await list()).toEqual([]);
  });

  test('the CLI makes and reads one', async () => {
    const content = JSON.stringify(contentOf('true'));
    const words = ['--name', 'by-cli', '--document-type', 'Command', '--content', content];
    await ground.aws('ssm', 'create-document', ...words);
    expect(await ground.aws('ssm', 'describe-document', '--name', 'by-cli')).toMatchObject({
      Document: { Name: 'by-cli', Status: 'Active', SchemaVersion: '2.2' },
    });
  });
});

describe('documents of stacks', () => {
  const template = (line: string) =>
    stringify({
      Parameters: { App: { Type: 'String' } },
      Resources: {
        Deploy: {
          Type: 'AWS::SSM::Document',
          Properties: {
            Name: { 'Fn::Sub': '${App}-deploy' },
            DocumentType: 'Command',
            // AWS's default; moto refuses a stack's document without it.
            DocumentFormat: 'JSON',
            UpdateMethod: 'NewVersion',
            Tags: [{ Key: 'App', Value: { Ref: 'App' } }],
            Content: contentOf(line),
          },
        },
      },
    });
  const Parameters = [{ ParameterKey: 'App', ParameterValue: 'stacked' }];

  test('are there when the stack is, change with it, and go with it', async () => {
    const first = template(`echo 'it''s' "one"; printf '%s\\n' é`);
    const stack = { StackName: 'documents', Parameters };
    await ground.cloudFormation.send(new CreateStackCommand({ ...stack, TemplateBody: first }));
    const { Stacks } = await ground.cloudFormation.send(
      new DescribeStacksCommand({ StackName: 'documents' }),
    );
    expect(Stacks?.[0]?.StackStatus).toBe('CREATE_COMPLETE');
    const get = async () => {
      const { Content = '' } = await ground.ssm.send(new GetDocumentCommand({ Name: 'stacked-deploy' }));
      return JSON.parse(Content) as unknown;
    };
    expect(await get()).toEqual(contentOf(`echo 'it''s' "one"; printf '%s\\n' é`));
    await ground.cloudFormation.send(
      new UpdateStackCommand({ ...stack, TemplateBody: template('echo two') }),
    );
    expect(await get()).toEqual(contentOf('echo two'));
    const { Document } = await ground.ssm.send(new DescribeDocumentCommand({ Name: 'stacked-deploy' }));
    expect(Document).toMatchObject({
      DefaultVersion: '2',
      LatestVersion: '2',
      Tags: [{ Key: 'App', Value: 'stacked' }],
    });
    await ground.cloudFormation.send(new DeleteStackCommand({ StackName: 'documents' }));
    await expect(get()).rejects.toMatchObject({ name: 'InvalidDocument' });
  });

  test('are all there, and their associations, of however many stacks that are made at once', async () => {
    const names = Array.from({ length: 55 }, (_, at) => `many${at}`);
    const TemplateBody = `
Parameters: {App: {Type: String}}
Resources:
  Deploy:
    Type: AWS::SSM::Document
    Properties: {Name: !Sub '\${App}-deploy', DocumentType: Command, DocumentFormat: JSON, Content: ${JSON.stringify(contentOf('true'))}}
  Nightly:
    Type: AWS::SSM::Association
    DependsOn: Deploy
    Properties:
      Name: !Sub '\${App}-deploy'
      AssociationName: !Sub '\${App}-nightly'
      Targets: [{Key: tag:App, Values: [!Ref App]}]
      ScheduleExpression: cron(0 2 * * ? *)
      ApplyOnlyAtCronInterval: true
`;
    await Promise.all(
      names.map((name) =>
        ground.cloudFormation.send(
          new CreateStackCommand({
            ...{ StackName: name, TemplateBody },
            Parameters: [{ ParameterKey: 'App', ParameterValue: name }],
          }),
        ),
      ),
    );
    const found = new Set<string | undefined>();
    for await (const { Associations = [] } of paginateListAssociations({ client: ground.ssm }, {}))
      for (const { AssociationName } of Associations) found.add(AssociationName);
    expect(names.filter((name) => !found.has(`${name}-nightly`))).toEqual([]);
    for (const name of names) await ground.ssm.send(new GetDocumentCommand({ Name: `${name}-deploy` }));
  });

  test('a template over 51,200 bytes goes by TemplateURL alone', async () => {
    const TemplateBody = template(`: ${'x'.repeat(52_000)}`);
    const stack = { StackName: 'large', Parameters };
    await expect(
      ground.cloudFormation.send(new CreateStackCommand({ ...stack, TemplateBody })),
    ).rejects.toMatchObject({ name: 'ValidationError' });
    await ground.s3.send(new CreateBucketCommand({ Bucket: 'templates' }));
    await ground.s3.send(
      new PutObjectCommand({ Bucket: 'templates', Key: 'large.yaml', Body: TemplateBody }),
    );
    for (const [at, address] of [
      `${ground.url}/templates`,
      'https://s3.us-east-2.amazonaws.com/templates',
    ].entries()) {
      const TemplateURL = `${address}/large.yaml`;
      await ground.cloudFormation.send(
        new CreateStackCommand({
          StackName: `large-${at}`,
          TemplateURL,
          Parameters: [{ ParameterKey: 'App', ParameterValue: `large${at}` }],
        }),
      );
      const got = await ground.ssm.send(new GetDocumentCommand({ Name: `large${at}-deploy` }));
      expect(got.Content?.length).toBeGreaterThan(52_000);
    }
  });
});

describe('the rest of Systems Manager', () => {
  test('Parameter Store is moto`s', async () => {
    await ground.ssm.send(
      new PutParameterCommand({ Name: '/isso/staging/KEY', Value: 'v', Type: 'SecureString' }),
    );
    const question = new GetParametersByPathCommand({ Path: '/isso/staging/', WithDecryption: true });
    expect((await ground.ssm.send(question)).Parameters).toMatchObject([
      { Name: '/isso/staging/KEY', Value: 'v' },
    ]);
  });

  test('what is not served is refused with a sentence, not pretended', async () => {
    await expect(ground.ssm.send(new StartSessionCommand({ Target: 'i-1' }))).rejects.toMatchObject({
      name: 'NotImplemented',
      message: 'The local cloud does not implement ssm StartSession.',
    });
  });
});
