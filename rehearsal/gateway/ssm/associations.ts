import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { ServiceError } from '../errors.ts';
import type { Command } from './command.ts';
import type { Commands } from './commands.ts';
import { Input } from './input.ts';
import { pageOf, seconds } from './pages.ts';
import { statusOf } from './statuses.ts';

/** A State Manager association as a stack asks for it: a document that is sent by a schedule to whoever bears the tags. */
export interface GivenAssociation {
  readonly name: string;
  readonly document: string;
  readonly parameters: Readonly<Record<string, readonly string[]>>;
  readonly targets: readonly { readonly Key: string; readonly Values: readonly string[] }[];
  readonly schedule: string;
  /** Without it, it also runs as soon as it is made. */
  readonly onlyAtCronInterval: boolean;
  readonly rate: { readonly maxConcurrency: string; readonly maxErrors: string };
}

interface Association extends GivenAssociation {
  readonly id: string;
  readonly executions: Execution[];
}

interface Execution {
  readonly id: string;
  readonly started: number;
  readonly command: Command;
}

/**
 * State Manager, as far as a schedule of ours needs it. Nights come when somebody asks for one: `StartAssociationsOnce`,
 * AWS's own action for that. Its parameters never change, and neither does the id that the command has on the hosts:
 * that of the association.
 */
export class Associations {
  readonly #commands: Commands;
  readonly #clock: Clock;
  readonly #byId = new Map<string, Association>();

  constructor(commands: Commands, clock: Clock) {
    this.#commands = commands;
    this.#clock = clock;
  }

  /** Takes over what the stacks ask for now, all of it; one of a name that is there stays the same association. */
  async takeOver(wanted: readonly GivenAssociation[]): Promise<void> {
    for (const known of this.#byId.values()) {
      if (!wanted.some(({ name }) => name === known.name)) this.#byId.delete(known.id);
    }
    for (const given of wanted) {
      const known = [...this.#byId.values()].find(({ name }) => name === given.name);
      const association = { ...given, id: known?.id ?? randomUUID(), executions: known?.executions ?? [] };
      this.#byId.set(association.id, association);
      if (!known && !given.onlyAtCronInterval) await this.#execute(association);
    }
  }

  /** ListAssociations. */
  list(input: Input): object {
    const filters = input
      .inputs('AssociationFilterList')
      .map((each) => ({ key: each.text('key'), value: each.text('value') }));
    const found = [...this.#byId.values()].filter((each) => filters.every((filter) => fits(each, filter)));
    const { page, next } = pageOf(found, input);
    return { Associations: page.map(show), ...next };
  }

  /** DescribeAssociation, by id. */
  describe(input: Input): object {
    const association = this.#get(input.text('AssociationId'));
    return {
      AssociationDescription: {
        ...show(association),
        ApplyOnlyAtCronInterval: association.onlyAtCronInterval,
        Parameters: association.parameters,
        MaxConcurrency: association.rate.maxConcurrency,
        MaxErrors: association.rate.maxErrors,
      },
    };
  }

  /** StartAssociationsOnce. */
  async startOnce(input: Input): Promise<object> {
    const wanted = input.texts('AssociationIds').map((id) => this.#get(id));
    for (const association of wanted) await this.#execute(association);
    return {};
  }

  /** DescribeAssociationExecutions, newest first. */
  executions(input: Input): object {
    const association = this.#get(input.text('AssociationId'));
    const { page, next } = pageOf(association.executions.toReversed(), input);
    return {
      AssociationExecutions: page.map(({ id, started, command }) => ({
        AssociationId: association.id,
        AssociationVersion: '1',
        ExecutionId: id,
        Status: statusOfAll(command),
        CreatedTime: seconds(started),
      })),
      ...next,
    };
  }

  /** DescribeAssociationExecutionTargets. */
  targets(input: Input): object {
    const association = this.#get(input.text('AssociationId'));
    const id = input.text('ExecutionId');
    const execution = association.executions.find((each) => each.id === id);
    if (execution === undefined)
      throw new ServiceError('AssociationExecutionDoesNotExist', `There is no execution ${id}.`);
    const { page, next } = pageOf(execution.command.invocations, input);
    return {
      AssociationExecutionTargets: page.map(({ instanceId, details }) => ({
        AssociationId: association.id,
        ExecutionId: id,
        ResourceId: instanceId,
        ResourceType: 'ManagedInstance',
        Status: statusOf(details),
        DetailedStatus: details,
      })),
      ...next,
    };
  }

  async #execute(association: Association): Promise<void> {
    const { id, document, parameters, targets, rate } = association;
    const command = await this.#commands.send(
      new Input({
        DocumentName: document,
        Parameters: parameters,
        Targets: targets,
        MaxConcurrency: rate.maxConcurrency,
        MaxErrors: rate.maxErrors,
      }),
      id,
    );
    association.executions.push({ id: randomUUID(), started: this.#clock.now(), command });
  }

  #get(id: string): Association {
    const found = this.#byId.get(id);
    if (found !== undefined) return found;
    throw new ServiceError('AssociationDoesNotExist', `Association ${id} does not exist.`);
  }
}

function fits(association: Association, { key, value }: { key: string; value: string }): boolean {
  if (key === 'AssociationName') return association.name === value;
  if (key === 'Name') return association.document === value;
  if (key === 'AssociationId') return association.id === value;
  throw new ServiceError('ValidationException', `The local cloud has no association filter ${key}.`);
}

function show({ id, name, document, targets, schedule }: Association): object {
  return {
    AssociationId: id,
    AssociationName: name,
    AssociationVersion: '1',
    Name: document,
    Targets: targets,
    ScheduleExpression: schedule,
  };
}

/** Worse than the worst of its targets it cannot be. */
function statusOfAll({ invocations }: Command): string {
  const statuses = invocations.map(({ details }) => statusOf(details));
  if (statuses.some((status) => ['Pending', 'Delayed', 'InProgress', 'Cancelling'].includes(status)))
    return 'InProgress';
  return statuses.every((status) => status === 'Success') ? 'Success' : 'Failed';
}
