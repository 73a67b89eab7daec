import * as z from 'zod/mini';
import { identityToken, type Job, operationOf } from '../action/job.ts';
import { mask, say } from '../action/log.ts';
import { type Bucket, openBucket } from '../aws/bucket.ts';
import { type Clients, createClients } from '../aws/clients.ts';
import { type Sleep, sleep } from '../aws/time.ts';
import type { Pace } from '../command/follow.ts';
import type { Environment } from '../config/config.ts';
import type { DocumentName } from '../document/parameters.ts';

/** One run of one action against one environment: what main knows, and leaves for post. No secret is in it. */
export interface Operation {
  readonly id: string;
  readonly action: string;
  /** The host document that it sends to the fleet. */
  readonly document: DocumentName;
  readonly app: string;
  readonly region: string;
  readonly environment: string;
  readonly bucket: string;
  /** The backup bucket, where the environment has one. */
  readonly backups?: string;
  readonly roleArn?: string;
  /** How many instances at once, and how many may fail. */
  readonly rollout: { readonly concurrency: number; readonly errors: number };
  readonly repository: string;
  readonly run: string;
  readonly attempt: number;
}

interface Described {
  readonly action: string;
  readonly document: DocumentName;
  readonly app: string;
  readonly region: string;
  readonly environment: Environment;
  /** Instead of the role in understudy.yml. */
  readonly roleArn: string | undefined;
}

export function describeOperation(
  job: Job,
  { action, document, app, region, environment, roleArn }: Described,
): Operation {
  const role = roleArn ?? environment.roleArn;
  const { concurrency, errors } = environment.rollout;
  return {
    id: operationOf(job, action, environment.name),
    action,
    document,
    app,
    region,
    environment: environment.name,
    bucket: environment.bucket,
    ...(environment.backups !== undefined && { backups: environment.backups }),
    ...(role !== undefined && { roleArn: role }),
    rollout: { concurrency, errors },
    repository: job.repository,
    run: job.runId,
    attempt: job.attempt,
  };
}

/** A piece of work within an operation, under its lease: with a name of its own, for a host's journal knows each by its name. */
export function partOf(
  operation: Operation,
  { name, ...as }: { readonly name: string } & Pick<Operation, 'action' | 'document'>,
): Operation {
  const { id, action, environment } = operation;
  const run = id.slice(0, -`${action}-${environment}`.length);
  return { ...operation, ...as, id: `${run}${name}-${environment}` };
}

/** What an operation works with. */
export interface Services {
  readonly clients: Clients;
  readonly bucket: Bucket;
  readonly sleep: Sleep;
  readonly now: () => number;
  /** How soon it asks again what became of a command; quickly when absent. */
  readonly pace?: Pace;
}

/** What an operation does to its fleet, the same from sending to the record. */
export interface Work {
  readonly services: Services;
  readonly operation: Operation;
  /** Every instance that must be accounted for. */
  readonly instances: readonly string[];
  /** The release that is to be live, and its commit; absent where none is to be. */
  readonly release?: { readonly id: string; readonly commit: string };
  /** What a healthy release answers. */
  readonly checks: readonly { readonly path: string }[];
}

/** Of an operation, what one must know to open its account, as main leaves it for post. */
export const savedAccount = z.object({
  ...{ region: z.string(), roleArn: z.exactOptional(z.string()), bucket: z.string() },
  ...{ run: z.string(), attempt: z.number() },
});

export type Account = z.infer<typeof savedAccount>;

export function accountOf({ region, roleArn, run, attempt, bucket }: Operation): Account {
  return { region, run, attempt, bucket, ...(roleArn !== undefined && { roleArn }) };
}

/** Opens the account, with credentials of the operation's role that stay in this process. */
export function connect(operation: Account): Services {
  const { region, roleArn, run, attempt } = operation;
  const account = /:iam::(\d{12}):/.exec(roleArn ?? '')?.[1];
  if (account) mask(account);
  say(roleArn ? `credentials: ${roleArn}, by the job's token` : "credentials: the job's own");
  const sessionName = `understudy-${run}-${attempt}`.slice(0, 64);
  const clients = createClients({ region, roleArn, identityToken, sessionName });
  return { clients, bucket: openBucket(clients, operation.bucket), sleep, now: () => performance.now() };
}
