import {
  DescribeInstancesCommand,
  type EC2Client,
  type Instance as Ec2Instance,
  type InstanceStateName,
} from '@aws-sdk/client-ec2';
import { DescribeInstanceInformationCommand, type SSMClient } from '@aws-sdk/client-ssm';
import { OperationError } from '../action/errors.ts';

/** A machine that an operation is for. */
export interface Instance {
  readonly id: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** Where and as what an instance runs: what another one needs to take its place. */
export interface Place {
  /** Such as t3.medium. */
  readonly type: string;
  readonly subnet: string;
  /** Ids of its security groups. */
  readonly groups: readonly string[];
}

/** An instance as EC2 lists it. */
export interface Listed extends Instance {
  /** EC2's own word: pending, running, stopping, stopped, shutting-down or terminated. */
  readonly state: string;
  /** Its public address; empty where it has none. */
  readonly address: string;
}

/** What SSM knows of the agent of an instance. */
export interface Agent {
  readonly online: boolean;
  /** Such as 3.3.1142.0; empty when it never registered. */
  readonly version: string;
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
  const instances = await listInstances(services.ec2, app, environment, ['running']);
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
  refuseOldAgents(targets);
  return targets;
}

const unregistered: Agent = { online: false, status: 'never registered', version: '' };

/** The instances that have the tags of an app's environment, in one of the states. */
export async function listInstances(
  ec2: EC2Client,
  app: string,
  environment: string,
  states: readonly InstanceStateName[],
): Promise<Listed[]> {
  const found: Ec2Instance[] = [];
  let token: string | undefined;
  do {
    const page = await ec2.send(
      new DescribeInstancesCommand({
        Filters: [
          { Name: 'tag:App', Values: [app] },
          { Name: 'tag:Environment', Values: [environment] },
          { Name: 'instance-state-name', Values: [...states] },
        ],
        ...(token ? { NextToken: token } : {}),
      }),
    );
    found.push(...(page.Reservations ?? []).flatMap(({ Instances = [] }) => Instances));
    token = page.NextToken;
  } while (token);
  const known = places.get(ec2) ?? new Map<string, Place>();
  places.set(ec2, known);
  for (const one of found) known.set(one.InstanceId ?? '', toPlace(one));
  return found.map(toInstance).sort((a, b) => a.id.localeCompare(b.id));
}

/** What listing told on the way: a promotion asks AWS no more often than it must. */
const places = new WeakMap<EC2Client, Map<string, Place>>();

/** The place of an instance that is there. */
export async function placeOf(ec2: EC2Client, id: string): Promise<Place> {
  const known = places.get(ec2)?.get(id);
  if (known) return known;
  const { Reservations = [] } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
  return toPlace(Reservations[0]?.Instances?.[0] ?? {});
}

function toPlace({ InstanceType, SubnetId: subnet = '', SecurityGroups = [] }: Ec2Instance): Place {
  return { type: InstanceType ?? '', subnet, groups: SecurityGroups.flatMap(({ GroupId }) => GroupId ?? []) };
}

function toInstance({
  InstanceId: id = '',
  State,
  PublicIpAddress: address = '',
  Tags = [],
}: Ec2Instance): Listed {
  const tags = Object.fromEntries(Tags.map(({ Key = '', Value = '' }) => [Key, Value]));
  return { id, state: State?.Name ?? '', address, tags };
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
  if (instances.length > atOnce) {
    throw new OperationError({
      reason: 'too-many-instances',
      happened: `${instances.length} instances have the tags App=${app} and Environment=${environment}; a command takes ${atOnce}.`,
      stateNow: 'Nothing was changed.',
      todo: 'Part them into environments of their own, each with its tag.',
    });
  }
  for (const { id, tags } of instances) {
    const wrong = tagProblem(tags, { App: app, Environment: environment });
    if (!wrong) continue;
    throw new OperationError({
      reason: 'wrong-environment',
      happened: `Its tags say ${wrong}, not App=${app} and Environment=${environment}.`,
      instance: id,
      stateNow: 'Nothing was changed.',
      todo: 'See what the instance is, and correct its tags.',
    });
  }
}

/** Tags differ by case: somebody's `environment=production` beside our `Environment=staging` is taken at its word. */
function tagProblem(
  tags: Readonly<Record<string, string>>,
  wanted: Readonly<Record<string, string>>,
): string | undefined {
  const problems = Object.entries(wanted).flatMap(([name, value]) => {
    const said = Object.entries(tags).filter(([key]) => key.toLowerCase() === name.toLowerCase());
    const others = said.filter(([, other]) => other.toLowerCase() !== value);
    if (tags[name] !== value && others.length === 0) return [`no ${name}`];
    return others.map(([key, other]) => `${key}=${other}`);
  });
  return problems.length > 0 ? problems.join(' and ') : undefined;
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

/** Agents before this one keep the instance's credentials in a file on its disk. */
const oldestAgent = '3.2.1377.0';

function refuseOldAgents(targets: readonly Target[]): void {
  const old = targets.find(({ agent }) => agent.online && isOlder(agent.version, oldestAgent));
  if (!old) return;
  throw new OperationError({
    reason: 'agent-too-old',
    happened: `Its agent is version ${old.agent.version || 'unknown'}; ${oldestAgent} is the oldest that is safe to use.`,
    instance: old.id,
    stateNow: 'Nothing was changed.',
    todo: 'Update it: send AWS-UpdateSSMAgent to the instance, or install the package of amazon-ssm-agent.',
  });
}

function isOlder(version: string, than: string): boolean {
  const [own, other] = [version, than].map((text) => text.split('.').map(Number));
  const at = other?.findIndex((number, index) => number !== own?.[index]) ?? -1;
  return at >= 0 && !((own?.[at] ?? Number.NaN) > (other?.[at] ?? 0));
}

/** What SSM knows of one agent, be it there yet or not. */
export async function readAgent(ssm: SSMClient, id: string): Promise<Agent> {
  return (await readAgents(ssm, [id])).get(id) ?? unregistered;
}

/** A command, and a filter of DescribeInstanceInformation, take so many instances; a page gives so many. */
const atOnce = 50;

async function readAgents(ssm: SSMClient, ids: readonly string[]): Promise<Map<string, Agent>> {
  const { InstanceInformationList: list = [] } = await ssm.send(
    new DescribeInstanceInformationCommand({
      Filters: [{ Key: 'InstanceIds', Values: [...ids] }],
      MaxResults: atOnce,
    }),
  );
  return new Map(
    list.map(({ InstanceId = '', PingStatus: status = '', AgentVersion: version = '' }) => [
      InstanceId,
      { online: status === 'Online', status, version },
    ]),
  );
}
