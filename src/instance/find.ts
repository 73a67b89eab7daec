import { DescribeInstancesCommand, type EC2Client, type Instance as Ec2Instance } from '@aws-sdk/client-ec2';
import { DescribeInstanceInformationCommand, type SSMClient } from '@aws-sdk/client-ssm';
import { OperationError } from '../action/errors.ts';

/** A machine that an operation is for. */
export interface Instance {
  readonly id: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** What SSM knows of the agent of an instance. */
export interface Agent {
  readonly online: boolean;
  /** SSM's own word: Online, ConnectionLost, Inactive, or `never registered`. */
  readonly status: string;
}

export interface Target extends Instance {
  readonly agent: Agent;
}

interface Services {
  readonly ec2: EC2Client;
  readonly ssm: SSMClient;
}

/**
 * The running instances of an app's environment, whose tags were read. Refuses when the agents of more than `mayFail`
 * of them, or of all, are not there.
 */
export async function findTargets(
  services: Services,
  app: string,
  environment: string,
  mayFail = 0,
): Promise<Target[]> {
  const instances = await findInstances(services.ec2, app, environment);
  refuseForeign(instances, app, environment);
  const agents = await readAgents(
    services.ssm,
    instances.map(({ id }) => id),
  );
  const targets = instances.map((instance) => ({
    ...instance,
    agent: agents.get(instance.id) ?? unregistered,
  }));
  refuseOffline(targets, mayFail);
  return targets;
}

const unregistered: Agent = { online: false, status: 'never registered' };

async function findInstances(ec2: EC2Client, app: string, environment: string): Promise<Instance[]> {
  const found: Ec2Instance[] = [];
  let token: string | undefined;
  do {
    const page = await ec2.send(
      new DescribeInstancesCommand({
        Filters: [
          { Name: 'tag:App', Values: [app] },
          { Name: 'tag:Environment', Values: [environment] },
          { Name: 'instance-state-name', Values: ['running'] },
        ],
        ...(token ? { NextToken: token } : {}),
      }),
    );
    found.push(...(page.Reservations ?? []).flatMap(({ Instances = [] }) => Instances));
    token = page.NextToken;
  } while (token);
  return found.map(toInstance).sort((a, b) => a.id.localeCompare(b.id));
}

function toInstance({ InstanceId = '', Tags = [] }: Ec2Instance): Instance {
  return { id: InstanceId, tags: Object.fromEntries(Tags.map(({ Key = '', Value = '' }) => [Key, Value])) };
}

/** A filter is a promise of the service; the tags that came back are what we go by. */
function refuseForeign(instances: readonly Instance[], app: string, environment: string): void {
  if (instances.length === 0) {
    throw new OperationError({
      reason: 'no-instances',
      happened: `No running instance has the tags App=${app} and Environment=${environment}.`,
      stateNow: 'Nothing was changed.',
      todo: 'Start the instance, or give it these two tags.',
    });
  }
  for (const { id, tags } of instances) {
    const [itsApp, itsEnvironment] = [tags['App'], tags['Environment']];
    if (itsApp === app && itsEnvironment === environment) continue;
    throw new OperationError({
      reason: 'wrong-environment',
      happened: `Its tags say App=${itsApp ?? ''} and Environment=${itsEnvironment ?? ''}, not ${app} and ${environment}.`,
      instance: id,
      stateNow: 'Nothing was changed.',
      todo: 'Correct its tags.',
    });
  }
}

function refuseOffline(targets: readonly Target[], mayFail: number): void {
  const offline = targets.filter(({ agent }) => !agent.online);
  if (offline.length <= mayFail && offline.length < targets.length) return;
  const told = offline.map(({ id, agent }) => `${id} (${agent.status})`).join(', ');
  throw new OperationError({
    reason: 'offline',
    happened: `The agent is not connected on ${offline.length} of ${targets.length} instances: ${told}.`,
    stateNow: 'Nothing was changed.',
    todo: 'On the instance: systemctl restart amazon-ssm-agent; check its role and its way out.',
  });
}

/** DescribeInstanceInformation takes at most 50 values in a filter, and gives at most 50 a page. */
const atOnce = 50;

async function readAgents(ssm: SSMClient, ids: readonly string[]): Promise<Map<string, Agent>> {
  const agents = new Map<string, Agent>();
  for (let from = 0; from < ids.length; from += atOnce) {
    const Values = ids.slice(from, from + atOnce);
    const { InstanceInformationList = [] } = await ssm.send(
      new DescribeInstanceInformationCommand({
        Filters: [{ Key: 'InstanceIds', Values }],
        MaxResults: atOnce,
      }),
    );
    for (const { InstanceId = '', PingStatus = '' } of InstanceInformationList) {
      agents.set(InstanceId, { online: PingStatus === 'Online', status: PingStatus });
    }
  }
  return agents;
}
