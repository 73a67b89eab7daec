import {
  CancelCommandCommand,
  DescribeDocumentCommand,
  ListCommandInvocationsCommand,
  ListCommandsCommand,
  SendCommandCommand,
  SSMClient,
} from '@aws-sdk/client-ssm';
import { mockClient } from 'aws-sdk-client-mock';
import type { Operation, Services } from '../../../src/operation/operation.ts';
import { MemoryBucket } from '../aws/memory-bucket.ts';

export const operation: Operation = {
  ...{ id: '42-100-1-deploy-staging', action: 'deploy', document: 'deploy', app: 'isso' },
  ...{ region: 'us-east-2', environment: 'staging', bucket: 'b', rollout: { concurrency: 2, errors: 0 } },
  ...{ repository: 'acme/isso', run: '100', attempt: 1 },
};

export const instances: readonly string[] = ['i-1', 'i-2'];

/** What is deployed, and by whom. */
export const release = { id: 'f'.repeat(64), commit: 'c'.repeat(40) };
export const job = { actor: 'ada', runUrl: 'https://github.com/acme/isso/actions/runs/100/attempts/1' };

/** What a host prints: fields of its result line, or nothing. */
type Says = object | undefined;

/** Two hosts behind Systems Manager; a call that no test expects fails. */
export class Fleet {
  readonly bucket = new MemoryBucket();
  readonly services: Services;
  /** What was asked of Systems Manager, such as `send deploy`. */
  readonly asked: string[] = [];
  /** What the hosts answer to a document; the nth time it is sent, or an error that looking for it meets. */
  readonly answers = new Map<string, (instance: string, time: number) => Says>();
  readonly #ssm = mockClient(SSMClient);
  /** Whom a document was sent to last. */
  readonly #targets = new Map<string, readonly string[]>();
  #now = 0;

  constructor() {
    const client = new SSMClient({ region: 'us-east-2' });
    // What waits with a signal and for minutes is the lease: it waits until it is given back.
    const sleep: Services['sleep'] = async (ms, until) => {
      until?.throwIfAborted();
      this.#now += ms;
      if (until && ms >= 20_000) await new Promise((end) => until.addEventListener('abort', end));
    };
    const clients = { ssm: client, ssmOnce: client };
    this.services = { clients, bucket: this.bucket, sleep, now: () => this.#now } as unknown as Services;
    this.#answer();
  }

  /** Systems Manager lists this command of the operation, though main could not save its id. */
  lists(CommandId: string): void {
    const Parameters = { operation: [operation.id] };
    this.#ssm
      .on(ListCommandsCommand)
      .resolves({ Commands: [{ CommandId, DocumentName: 'isso-deploy', Parameters }] });
  }

  /** SendCommand of a document meets an error. */
  refuses(document: string, error: Error): void {
    this.#ssm.on(SendCommandCommand, { DocumentName: `isso-${document}` }).rejects(error);
  }

  /** CancelCommand meets an error. */
  refusesCancel(error: Error): void {
    this.#ssm.on(CancelCommandCommand).rejects(error);
  }

  #answer(): void {
    const active = { DefaultVersion: '1', Hash: 'h', Status: 'Active' } as const;
    this.#ssm.rejects(new Error('a call that nobody expected'));
    this.#ssm.on(DescribeDocumentCommand).resolves({ Document: active });
    this.#ssm.on(ListCommandsCommand).resolves({ Commands: [] });
    this.#ssm.on(CancelCommandCommand).callsFake(async ({ CommandId }) => {
      this.asked.push(`cancel ${CommandId}`);
      return {};
    });
    this.#ssm.on(SendCommandCommand).callsFake(async ({ DocumentName, Parameters, InstanceIds, Targets }) => {
      const document = String(DocumentName).replace('isso-', '');
      const about = Parameters?.['about']?.[0];
      this.#targets.set(document, InstanceIds ?? Targets?.[0]?.Values ?? []);
      this.asked.push(about && about !== 'none' ? `send ${document} about ${about}` : `send ${document}`);
      return { Command: { CommandId: document } };
    });
    this.#ssm.on(ListCommandInvocationsCommand).callsFake(async ({ CommandId }) => {
      const time = this.asked.filter((one) => one.startsWith(`send ${CommandId}`)).length;
      const targets = this.#targets.get(CommandId) ?? instances;
      return { CommandInvocations: targets.map((instance) => this.#invocation(CommandId, instance, time)) };
    });
  }

  #invocation(document: string, InstanceId: string, time: number): object {
    const says = this.answers.get(document)?.(InstanceId, time);
    const line = { schema: 1, action: document, operation: operation.id, instance: InstanceId, ...says };
    const Output = says ? `UNDERSTUDY_RESULT ${JSON.stringify(line)}` : '';
    return { InstanceId, Status: 'Success', StatusDetails: 'Success', CommandPlugins: [{ Output }] };
  }
}

export const deployed = { result: 'done', reason: 'deployed', healthy: true, sentence: 'Live.' };

/** What a probe says of the operation. */
export function probed(about: object, more: object = {}): object {
  return { result: 'done', reason: 'probed', live: '012345678901', healthy: true, ...more, about };
}

/** The line that the host kept of an operation that ended. */
export function kept(instance: string, result: string, reason: string): object {
  const line = { schema: 1, action: 'deploy', operation: operation.id, instance, result, reason };
  return { state: 'ended', result: { ...line, sentence: `${reason}, says ${instance}.` } };
}
