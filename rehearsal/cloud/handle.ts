import { join } from 'node:path';
import { fabricNamespace } from '../fabric/fabric.ts';
import { runFolder, stateFolder } from '../ground/places.ts';
import { ask } from '../ground/socket.ts';
import { type CloudRecord, upCommand } from './record.ts';

/** A running local cloud, as tests, scenes and the command line hold it. */
export interface Cloud {
  readonly name: string;
  /** Everything the cloud writes: records, logs, the hosts' disks. */
  readonly state: string;
  /** The folder of its Unix sockets. */
  readonly run: string;
  readonly region: 'us-east-2';
  readonly account: string;
  /** Where every AWS API is, for what runs on this machine (hosts use http://198.18.0.1:8000). */
  readonly gatewayUrl: string;
  readonly githubUrl: string;
  readonly oidcUrl: string;
  readonly netns: string;
  /** The environment of an operator with every right. */
  readonly operatorEnv: Record<string, string>;
}

export const region = 'us-east-2';
/** moto's default account. */
const account = '123456789012';
/** Access key of the operator: the gateway calls whoever signs with it `operator`, and lets them do everything. */
const operator = 'operator';

/** The handle of a cloud on record. Throws when one of the programs that others ask is not on it. */
export function handleOf(record: CloudRecord): Cloud {
  const url = (name: string): string => {
    const found = record.programs.find((program) => program.name === name)?.ready['url'];
    if (found !== undefined) return found;
    throw new Error(
      `${name} of the cloud "${record.name}" did not come up: mend it with ${upCommand(record.name)}`,
    );
  };
  const gatewayUrl = url('gateway');
  return {
    name: record.name,
    state: stateFolder(record.name),
    run: runFolder(record.name),
    region,
    account,
    gatewayUrl,
    githubUrl: url('github'),
    oidcUrl: url('oidc'),
    netns: fabricNamespace(record.name),
    operatorEnv: {
      AWS_ENDPOINT_URL: gatewayUrl,
      AWS_REGION: region,
      AWS_DEFAULT_REGION: region,
      AWS_ACCESS_KEY_ID: operator,
      AWS_SECRET_ACCESS_KEY: operator,
      // Nothing of this machine's own AWS settings may lead elsewhere.
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    },
  };
}

/** Settings with which the SDK's clients reach the cloud as its operator. */
export function operatorClient(cloud: Cloud): {
  region: string;
  endpoint: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
} {
  const credentials = { accessKeyId: operator, secretAccessKey: operator };
  return { region: cloud.region, endpoint: cloud.gatewayUrl, credentials };
}

/** Asks the hosts program; throws its own sentence when it refuses, and how to mend it when it does not answer. */
export async function askHosts(cloud: Cloud, method: string, path: string, body?: unknown): Promise<unknown> {
  const answer = await ask(join(cloud.run, 'hosts.sock'), method, path, body).catch((cause: Error) => {
    const how = `mend the cloud with ${upCommand(cloud.name)}`;
    throw new Error(`its hosts program does not answer (${cause.message}): ${how}`, { cause });
  });
  if (answer.status < 300) return answer.body;
  throw new Error((answer.body as { error: string }).error);
}

/** A command's words, so that it runs inside the cloud's network. */
export function inFabric(cloud: Pick<Cloud, 'name'>, argv: readonly string[]): string[] {
  return ['nsenter', `--net=/run/netns/${fabricNamespace(cloud.name)}`, '--', ...argv];
}
