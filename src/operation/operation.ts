import { identityToken, type Job, operationOf } from '../action/job.ts';
import { mask, say } from '../action/log.ts';
import { type Bucket, openBucket } from '../aws/bucket.ts';
import { type Clients, createClients } from '../aws/clients.ts';
import { type Sleep, sleep } from '../aws/time.ts';
import type { Environment } from '../config/config.ts';

/** One run of one action against one environment: what main knows, and leaves for post. No secret is in it. */
export interface Operation {
  readonly id: string;
  readonly action: string;
  readonly app: string;
  readonly region: string;
  readonly environment: string;
  readonly bucket: string;
  readonly roleArn?: string;
  /** How many instances at once, and how many may fail. */
  readonly rollout: { readonly concurrency: number; readonly errors: number };
  readonly repository: string;
  readonly run: string;
  readonly attempt: number;
}

interface Described {
  readonly action: string;
  readonly app: string;
  readonly region: string;
  readonly environment: Environment;
  /** Instead of the role in understudy.yml. */
  readonly roleArn: string | undefined;
}

export function describeOperation(
  job: Job,
  { action, app, region, environment, roleArn }: Described,
): Operation {
  const role = roleArn ?? environment.roleArn;
  return {
    id: operationOf(job, action, environment.name),
    action,
    app,
    region,
    environment: environment.name,
    bucket: environment.bucket,
    ...(role !== undefined && { roleArn: role }),
    rollout: environment.rollout,
    repository: job.repository,
    run: job.runId,
    attempt: job.attempt,
  };
}

/** What an operation works with. */
export interface Services {
  readonly clients: Clients;
  readonly bucket: Bucket;
  readonly sleep: Sleep;
  readonly now: () => number;
}

/** Opens the account, with credentials of the operation's role that stay in this process. */
export function connect(operation: Operation): Services {
  const { region, roleArn, run, attempt } = operation;
  const account = /:iam::(\d{12}):/.exec(roleArn ?? '')?.[1];
  if (account) mask(account);
  say(roleArn ? `credentials: ${roleArn}, by the job's token` : "credentials: the job's own");
  const sessionName = `understudy-${run}-${attempt}`.slice(0, 64);
  const clients = createClients({ region, roleArn, identityToken, sessionName });
  return { clients, bucket: openBucket(clients, operation.bucket), sleep, now: () => performance.now() };
}
