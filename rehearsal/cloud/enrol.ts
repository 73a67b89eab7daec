import { setTimeout as sleep } from 'node:timers/promises';
import {
  CreateTagsCommand,
  DescribeInstancesCommand,
  EC2Client,
  type InstanceStateName,
} from '@aws-sdk/client-ec2';
import { GetCommandInvocationCommand, SendCommandCommand, SSMClient } from '@aws-sdk/client-ssm';
import type { Config } from '../../src/config/config.ts';
import { findEnvironment } from '../../src/config/parse.ts';
import type { DocumentValues } from '../../src/document/parameters.ts';
import { type Cloud, operatorClient } from './handle.ts';
import { launchHost } from './launch.ts';
import { type Place, readPlace } from './place.ts';

/**
 * The hosts of an environment: those that carry its tags and run, and new ones until there are as many as wanted. Each
 * is enrolled: prepare-host is idempotent, and a host that is prepared already says so.
 */
export async function ensureHosts(cloud: Cloud, place: Place, wanted = 1): Promise<readonly string[]> {
  const ids = await taggedInstances(cloud, place);
  while (ids.length < wanted) ids.push(await launchTagged(cloud, place));
  for (const id of ids) await enrol(cloud, id, place);
  return ids;
}

type Tagged = Pick<Place, 'app' | 'environment'>;

const tagsOf = ({ app, environment }: Tagged) => ({ App: app, Environment: environment });

/** The ids of those that carry an environment's tags and are in one of the states. */
export async function taggedInstances(
  cloud: Cloud,
  tagged: Tagged,
  states: readonly InstanceStateName[] = ['running'],
): Promise<string[]> {
  const tags = Object.entries(tagsOf(tagged)).map(([name, value]) => ({
    Name: `tag:${name}`,
    Values: [value],
  }));
  const inState = { Name: 'instance-state-name', Values: [...states] };
  const asked = new DescribeInstancesCommand({ Filters: [...tags, inState] });
  const { Reservations: all = [] } = await new EC2Client(operatorClient(cloud)).send(asked);
  return all.flatMap(({ Instances = [] }) => Instances.flatMap(({ InstanceId }) => InstanceId ?? []));
}

async function launchTagged(cloud: Cloud, place: Place): Promise<string> {
  const name = `${place.app}-${place.environment}`;
  const wish = { tags: { ...tagsOf(place), Name: name }, instanceProfile: `${name}-host` };
  return (await launchHost(cloud, wish)).instanceId;
}

/** Makes an instance one of the environment's: tags it, and prepares it by the document that only an operator may send. */
export async function enrol(cloud: Cloud, instanceId: string, place: Place): Promise<void> {
  const config = readPlace(place);
  const Tags = Object.entries(tagsOf(place)).map(([Key, Value]) => ({ Key, Value }));
  await new EC2Client(operatorClient(cloud)).send(new CreateTagsCommand({ Resources: [instanceId], Tags }));
  await prepareHost(cloud, instanceId, place, config);
}

async function prepareHost(cloud: Cloud, instanceId: string, place: Place, config: Config): Promise<void> {
  const { service, workers, region } = config;
  const environment = findEnvironment(config, place.environment);
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
    bucket: environment.bucket,
    region,
    ...(environment.backups !== undefined && { backups: environment.backups }),
  };
  const parameters = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, [value]]));
  await sendAndAwait(cloud, instanceId, `${place.app}-prepare-host`, parameters);
}

const patience = 120_000;
const over = ['Success', 'Failed', 'TimedOut', 'Cancelled'];

/** Sends a document as an operator does. Throws with what it printed where it does not succeed. */
export async function sendAndAwait(
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
