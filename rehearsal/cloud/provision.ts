import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateTagsCommand, EC2Client } from '@aws-sdk/client-ec2';
import {
  CreateOpenIDConnectProviderCommand,
  IAMClient,
  ListOpenIDConnectProvidersCommand,
} from '@aws-sdk/client-iam';
import { GetCommandInvocationCommand, SendCommandCommand, SSMClient } from '@aws-sdk/client-ssm';
import type { Config } from '../../src/config/config.ts';
import { findEnvironment, parseConfig } from '../../src/config/parse.ts';
import type { DocumentValues } from '../../src/document/parameters.ts';
import { openRepository } from '../runner/github.ts';
import { type Cloud, operatorClient } from './handle.ts';
import { inspect } from './inspect.ts';
import { listResources, raiseStack, type StackPlan } from './stacks.ts';

/** What an operator prepares: one environment of one app. */
export interface Place {
  readonly app: string;
  readonly environment: string;
  /** The repository's folder, with understudy.yml. */
  readonly folder: string;
}

export interface Provision extends Place {
  /** `owner/name` on GitHub. */
  readonly repository: string;
  readonly onStep?: (sentence: string) => void;
}

/**
 * Does what an operator does once for an environment: both stacks, by CloudFormation. Then looks at every resource in
 * its own service, and gives the names of those that the emulator skips without a word: these were not exercised.
 */
export async function provision(cloud: Cloud, wish: Provision): Promise<string[]> {
  const tell = wish.onStep ?? (() => undefined);
  const config = readConfig(wish);
  const { bucket } = findEnvironment(config, wish.environment);
  const known = await openRepository(cloud, wish.repository, wish.folder);
  const foundation: StackPlan = {
    name: `${wish.app}-${wish.environment}`,
    template: 'infra/foundation.yaml',
    bucket,
    parameters: {
      App: wish.app,
      Environment: wish.environment,
      Repository: wish.repository,
      RepositoryId: String(known.id),
      WorkflowRefs: calledWorkflows(wish.folder).join(','),
      OidcProviderArn: await identityProvider(cloud),
      StateBucketName: bucket,
      BackupBucketName: `${bucket}-backups`,
    },
  };
  const documents: StackPlan = {
    name: `${wish.app}-documents`,
    template: 'infra/documents.yaml',
    bucket,
    parameters: { App: wish.app },
  };
  await raiseStack(cloud, foundation);
  tell(`the stack ${foundation.name} is complete`);
  await raiseStack(cloud, documents);
  tell(`the stack ${documents.name} is complete`);
  const resources = [
    ...(await listResources(cloud, foundation, { MakeOidcProvider: false })),
    ...(await listResources(cloud, documents)),
  ];
  const skipped = [...(await inspect(cloud, resources)), 'OidcProvider'];
  tell(
    `${resources.length - skipped.length + 1} resources are there; not exercised here: ${skipped.join(', ')}`,
  );
  return skipped;
}

function readConfig(place: Place): Config {
  const file = join(place.folder, 'understudy.yml');
  const config = parseConfig(readFileSync(file, 'utf8'), file);
  if (config.app !== place.app) throw new Error(`${file} describes the app ${config.app}, not ${place.app}`);
  return config;
}

/**
 * GitHub's identity provider of the account. There can be one, so the first one who comes makes it, and the template is
 * told of it: its own resource for it is skipped by the emulator (local-cloud.md), whose !Ref would then name nothing.
 */
async function identityProvider(cloud: Cloud): Promise<string> {
  const iam = new IAMClient(operatorClient(cloud));
  const host = 'token.actions.githubusercontent.com';
  const { OpenIDConnectProviderList: known = [] } = await iam.send(new ListOpenIDConnectProvidersCommand({}));
  const found = known.find((provider) => provider.Arn?.endsWith(`/${host}`))?.Arn;
  if (found !== undefined) return found;
  const request = { Url: `https://${host}`, ClientIDList: ['sts.amazonaws.com'] };
  try {
    const made = await iam.send(new CreateOpenIDConnectProviderCommand(request));
    return made.OpenIDConnectProviderArn ?? '';
  } catch (error) {
    // Somebody who provisions another app at the same time was faster.
    if (error instanceof Error && error.name === 'EntityAlreadyExistsException')
      return identityProvider(cloud);
    throw error;
  }
}

/** The reusable workflows that the repository's own ones call, as GitHub's claim job_workflow_ref names them. */
function calledWorkflows(folder: string): string[] {
  const workflows = join(folder, '.github', 'workflows');
  const texts = readdirSync(workflows).map((name) => readFileSync(join(workflows, name), 'utf8'));
  const calls = texts.flatMap((text) => [
    ...text.matchAll(/^\s*uses:\s*([\w.-]+\/[\w.-]+\/\.github\/workflows\/[\w.-]+)@([\w./-]+)/gm),
  ]);
  const refs = calls.map(([, path = '', ref = '']) => `${path}@${fullRef(ref)}`);
  if (refs.length === 0) throw new Error(`no workflow in ${workflows} calls a reusable workflow`);
  return [...new Set(refs)];
}

function fullRef(ref: string): string {
  if (/^[0-9a-f]{40}$/.test(ref) || ref.startsWith('refs/')) return ref;
  return /^v\d/.test(ref) ? `refs/tags/${ref}` : `refs/heads/${ref}`;
}

/** Makes an instance one of the environment's: tags it, and prepares it by the document that only an operator may send. */
export async function enrol(cloud: Cloud, instanceId: string, place: Place): Promise<void> {
  const config = readConfig(place);
  const tags = { App: place.app, Environment: place.environment };
  await new EC2Client(operatorClient(cloud)).send(
    new CreateTagsCommand({
      Resources: [instanceId],
      Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
    }),
  );
  await prepareHost(cloud, instanceId, place, config);
}

async function prepareHost(cloud: Cloud, instanceId: string, place: Place, config: Config): Promise<void> {
  const { service, workers, region } = config;
  const values: DocumentValues<'prepare-host'> = {
    app: place.app,
    environment: place.environment,
    operation: `operator-${Date.now()}-prepare-host-${place.environment}`,
    timeout: '300',
    user: service.user,
    port: String(service.listen),
    switch: service.switch,
    notify: String(service.notify),
    workers: workers.length === 0 ? 'none' : workers.join(','),
    bucket: findEnvironment(config, place.environment).bucket,
    region,
  };
  const parameters = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, [value]]));
  await sendAndAwait(cloud, instanceId, `${place.app}-prepare-host`, parameters);
}

const patience = 120_000;
const over = ['Success', 'Failed', 'TimedOut', 'Cancelled'];

async function sendAndAwait(
  cloud: Cloud,
  instanceId: string,
  document: string,
  parameters: Record<string, string[]>,
): Promise<void> {
  const ssm = new SSMClient(operatorClient(cloud));
  const request = { DocumentName: document, InstanceIds: [instanceId], Parameters: parameters };
  const { Command: command } = await ssm.send(new SendCommandCommand(request));
  const CommandId = command?.CommandId ?? '';
  const until = Date.now() + patience;
  for (;;) {
    await sleep(250);
    const seen = await ssm
      .send(new GetCommandInvocationCommand({ CommandId, InstanceId: instanceId }))
      // Right after SendCommand there may be none yet.
      .catch((error: unknown) => {
        if (error instanceof Error && error.name === 'InvocationDoesNotExist') return undefined;
        throw error;
      });
    const status = seen?.Status ?? 'Pending';
    if (status === 'Success') return;
    if (over.includes(status) || Date.now() > until) {
      const output = `${seen?.StandardOutputContent ?? ''}\n${seen?.StandardErrorContent ?? ''}`.trim();
      throw new Error(`${document} on ${instanceId} is ${seen?.StatusDetails ?? status}:\n${output}`);
    }
  }
}
