import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import {
  type Command,
  type CommandInvocation,
  ListCommandInvocationsCommand,
  ListCommandsCommand,
  PutParameterCommand,
  SSMClient,
} from '@aws-sdk/client-ssm';
import { type Cloud, operatorClient } from '../cloud/cloud.ts';
import { taggedInstances } from '../cloud/enrol.ts';
import { type RecordedCall, readCalls } from '../gateway/record.ts';
import type { Run } from '../runner/runner.ts';

export interface Issue {
  readonly state: 'open' | 'closed';
  readonly labels: readonly string[];
  readonly comments: readonly { readonly body: string }[];
}

/** What an operator sees of an app in the account, and in GitHub. */
export class Account {
  readonly s3: S3Client;
  readonly #cloud: Cloud;
  readonly #app: string;
  readonly #ssm: SSMClient;
  #callsSeen = 0;

  constructor(cloud: Cloud, app: string) {
    this.#cloud = cloud;
    this.#app = app;
    this.s3 = new S3Client({ ...operatorClient(cloud), forcePathStyle: true });
    this.#ssm = new SSMClient(operatorClient(cloud));
  }

  /** The AWS calls that the app's CI role has made since this was asked last. */
  async callsSince(): Promise<RecordedCall[]> {
    const own = readCalls(join(this.#cloud.state, 'calls.jsonl')).filter(
      ({ principal }) => principal === `role/${this.#app}-staging-ci`,
    );
    const since = own.slice(this.#callsSeen);
    this.#callsSeen = own.length;
    return since;
  }

  /** Whether somebody holds the lease of the environment now, as it is written. */
  async lease(): Promise<'held' | 'released'> {
    const place = { Bucket: `${this.#app}-understudy`, Key: `leases/${this.#app}/staging.json` };
    const { Body: body } = await this.s3.send(new GetObjectCommand(place));
    return JSON.parse((await body?.transformToString()) ?? '').state;
  }

  /** Puts a secret into Parameter Store, as an operator does. */
  async putSecret(name: string, Value: string): Promise<void> {
    const Name = `/${this.#app}/staging/${name}`;
    const put = new PutParameterCommand({ Name, Value, Type: 'SecureString', Overwrite: true });
    await this.#ssm.send(put);
  }

  /** All objects of the app's buckets, unpacked. */
  async objects(): Promise<{ key: string; text: string }[]> {
    const buckets = [`${this.#app}-understudy`, `${this.#app}-understudy-backups`];
    const places = await Promise.all(
      buckets.map(async (Bucket) => (await this.#keys(Bucket)).map((Key) => ({ Bucket, Key }))),
    );
    return Promise.all(
      places.flat().map(async (place) => {
        const { Body: body } = await this.s3.send(new GetObjectCommand(place));
        const bytes = Buffer.from((await body?.transformToByteArray()) ?? []);
        const text = (place.Key.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1');
        return { key: `${place.Bucket}/${place.Key}`, text };
      }),
    );
  }

  /** Keys of the backup bucket that begin so, in their order. */
  keys(prefix: string): Promise<string[]> {
    return this.#keys(`${this.#app}-understudy-backups`, prefix);
  }

  /** The hosts of the app's drills that there are, by their ids. */
  drillHosts(): Promise<string[]> {
    const drill = { app: this.#app, environment: 'drill' };
    return taggedInstances(this.#cloud, drill, ['pending', 'running', 'stopping', 'stopped']);
  }

  /** The issues that the GitHub stand-in holds of the repository, the newest first. */
  async issues(): Promise<Issue[]> {
    const answer = await fetch(`${this.#cloud.githubUrl}/_cloud/state`);
    const { repositories } = JSON.parse(await answer.text()) as {
      repositories: Record<string, { issues: Issue[] }>;
    };
    return repositories[`acme/${this.#app}`]?.issues ?? [];
  }

  /** Keys of all that the state bucket holds of releases, and which of them stands for which commit. */
  async storedReleases(): Promise<string[]> {
    const prefixes = ['commits/', 'releases/'];
    return (
      await Promise.all(prefixes.map((prefix) => this.#keys(`${this.#app}-understudy`, prefix)))
    ).flat();
  }

  async #keys(Bucket: string, Prefix = ''): Promise<string[]> {
    const { Contents = [] } = await this.s3.send(new ListObjectsV2Command({ Bucket, Prefix }));
    return Contents.map(({ Key = '' }) => Key);
  }

  /** The commands by which a run's deploy was sent. */
  async commandsOf({ runId, attempt }: Run): Promise<Command[]> {
    const { Commands: all = [] } = await this.#ssm.send(new ListCommandsCommand({ MaxResults: 50 }));
    const operation = `-${runId}-${attempt}-deploy-staging`;
    return all.filter(({ DocumentName: document, Parameters: given = {} }) => {
      return document === `${this.#app}-deploy` && given['operation']?.[0]?.endsWith(operation);
    });
  }

  /** All that Systems Manager shows of what commands printed on an instance. */
  async invocationsOn(InstanceId: string): Promise<CommandInvocation[]> {
    const asked = new ListCommandInvocationsCommand({ InstanceId, Details: true, MaxResults: 50 });
    return (await this.#ssm.send(asked)).CommandInvocations ?? [];
  }

  /** The deployments that the GitHub stand-in holds of the repository, the first one first, each with its states. */
  async deployments(): Promise<{ environment: string; states: string[] }[]> {
    const answer = await fetch(`${this.#cloud.githubUrl}/_cloud/state`);
    const { repositories } = JSON.parse(await answer.text()) as {
      repositories: Record<string, { deployments: { environment: string; statuses: { state: string }[] }[] }>;
    };
    const held = repositories[`acme/${this.#app}`]?.deployments ?? [];
    return held
      .map(({ environment, statuses }) => {
        return { environment, states: statuses.map(({ state }) => state).toReversed() };
      })
      .toReversed();
  }
}
