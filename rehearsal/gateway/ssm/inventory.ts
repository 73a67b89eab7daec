import type { Clock } from '../clock.ts';
import { ServiceError } from '../errors.ts';
import type { Fleet, FleetInstance } from './fleet.ts';
import type { Input } from './input.ts';
import { pageOf, seconds } from './pages.ts';

/** What an agent told of itself. */
interface AgentReport {
  agentVersion: string;
  platformName: string;
  platformType: string;
  platformVersion: string;
  computerName: string;
  ipAddress: string;
  /** Last sign of life: a report or a poll. */
  seen: number;
}

export type PingStatus = 'Online' | 'ConnectionLost';

/** A registered instance, EC2's and the agent's side together. */
export interface ManagedInstance extends FleetInstance {
  readonly ping: PingStatus;
  readonly report: AgentReport;
}

/** The agents that have registered, and whether they are there. */
export class Inventory {
  readonly #reports = new Map<string, AgentReport>();
  readonly #clock: Clock;
  readonly #fleet: Fleet;
  readonly #onlineFor: number;

  /** @param onlineFor ms without a sign of life after which an instance is ConnectionLost. */
  constructor(clock: Clock, fleet: Fleet, onlineFor: number) {
    this.#clock = clock;
    this.#fleet = fleet;
    this.#onlineFor = onlineFor;
  }

  /** UpdateInstanceInformation: the short form (a test of the credentials) leaves fields out. */
  report(instanceId: string, input: Input): void {
    const before = this.#reports.get(instanceId);
    const field = (name: string, known = '') => input.optionalText(name) ?? known;
    this.#reports.set(instanceId, {
      agentVersion: field('AgentVersion', before?.agentVersion),
      platformName: field('PlatformName', before?.platformName),
      platformType: field('PlatformType', before?.platformType ?? 'Linux'),
      platformVersion: field('PlatformVersion', before?.platformVersion),
      computerName: field('ComputerName', before?.computerName),
      ipAddress: field('IPAddress', before?.ipAddress),
      seen: this.#clock.now(),
    });
  }

  /** A poll is a sign of life too, but does not register an instance. */
  seen(instanceId: string): void {
    const report = this.#reports.get(instanceId);
    if (report !== undefined) report.seen = this.#clock.now();
  }

  /** Every registered instance that has not been terminated. */
  async managed(): Promise<ManagedInstance[]> {
    const instances = await this.#fleet.instances();
    return instances.flatMap((instance) => {
      const report = this.#reports.get(instance.instanceId);
      if (report === undefined || instance.state === 'terminated') return [];
      return [{ ...instance, report, ping: this.#ping(instance, report) }];
    });
  }

  async describe(input: Input): Promise<object> {
    const filters = [
      ...input.inputs('InstanceInformationFilterList').map((each) => filter(each, 'key', 'valueSet')),
      ...input.inputs('Filters').map((each) => filter(each, 'Key', 'Values')),
    ];
    const managed = (await this.managed()).filter((each) => filters.every((filter) => matches(each, filter)));
    const { page, next } = pageOf(managed, input);
    return { InstanceInformationList: page.map(information), ...next };
  }

  #ping(instance: FleetInstance, report: AgentReport): PingStatus {
    const alive = instance.state === 'running' && this.#clock.since(report.seen) < this.#onlineFor;
    return alive ? 'Online' : 'ConnectionLost';
  }
}

interface Filter {
  key: string;
  values: string[];
}

function filter(input: Input, key: string, values: string): Filter {
  return { key: input.text(key), values: input.texts(values) };
}

function matches(instance: ManagedInstance, { key, values }: Filter): boolean {
  if (key.startsWith('tag:')) return values.includes(instance.tags[key.slice(4)] ?? '');
  const actual: Record<string, string> = {
    InstanceIds: instance.instanceId,
    AgentVersion: instance.report.agentVersion,
    PingStatus: instance.ping,
    PlatformTypes: instance.report.platformType,
    ResourceType: 'EC2Instance',
  };
  if (key === 'tag-key') return values.some((value) => value in instance.tags);
  const value = actual[key];
  if (value === undefined)
    throw new ServiceError('InvalidInstanceInformationFilterValue', `No filter ${key} here.`);
  return values.includes(value);
}

function information({ instanceId, ip, ping, report }: ManagedInstance): object {
  return {
    InstanceId: instanceId,
    PingStatus: ping,
    LastPingDateTime: seconds(report.seen),
    AgentVersion: report.agentVersion,
    IsLatestVersion: false,
    PlatformType: report.platformType,
    PlatformName: report.platformName,
    PlatformVersion: report.platformVersion,
    ResourceType: 'EC2Instance',
    SourceType: 'AWS::EC2::Instance',
    SourceId: instanceId,
    IPAddress: report.ipAddress || ip,
    ComputerName: report.computerName,
  };
}
