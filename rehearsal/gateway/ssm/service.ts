import type { Faults } from '../../faults/faults.ts';
import type { Clock } from '../clock.ts';
import { ServiceError } from '../errors.ts';
import type { Principal } from '../principals.ts';
import { Associations } from './associations.ts';
import { Commands, type CommandTimes } from './commands.ts';
import { Delivery, requireInstance } from './delivery.ts';
import { Documents, tagList } from './documents.ts';
import type { Fleet } from './fleet.ts';
import type { Input } from './input.ts';
import { Inventory } from './inventory.ts';
import { Mailbox } from './mailbox.ts';
import { showCommand } from './output.ts';
import { getInvocation, listCommands, listInvocations } from './queries.ts';

type Action = (input: Input, caller: Principal) => object | Promise<object>;

interface Options {
  readonly clock: Clock;
  readonly fleet: Fleet;
  readonly region: string;
  readonly account: string;
  readonly faults: Faults;
  readonly times: CommandTimes & { readonly online: number };
}

/** Parameter Store is moto's: it does it well. */
const parameterStore = /^(Put|Get|Delete|Describe|Label|Unlabel)Parameter/;

/** Systems Manager, as far as Run Command and its agents need it. */
export class Ssm {
  readonly documents: Documents;
  readonly associations: Associations;
  readonly delivery: Delivery;
  readonly #actions: Record<string, Action>;

  constructor({ clock, fleet, region, account, faults, times }: Options) {
    const documents = new Documents(clock, account);
    const inventory = new Inventory(clock, fleet, times.online);
    const mailbox = new Mailbox(clock);
    const commands = new Commands({ clock, documents, fleet, inventory, mailbox, times, region, faults });
    this.documents = documents;
    this.associations = new Associations(commands, clock);
    this.delivery = new Delivery({ commands, inventory, mailbox });
    this.#actions = {
      ...documentActions(documents),
      ...commandActions(commands, region),
      ...associationActions(this.associations),
      ...agentActions(inventory),
    };
  }

  /** What is left to moto: Parameter Store, and tags of its parameters. */
  leavesToMoto(action: string, input: Input): boolean {
    return (
      parameterStore.test(action) || (isTagging(action) && input.optionalText('ResourceType') === 'Parameter')
    );
  }

  async answer(action: string, input: Input, caller: Principal): Promise<object> {
    const perform = this.#actions[action];
    if (perform === undefined) {
      throw new ServiceError('NotImplemented', `The local cloud does not implement ssm ${action}.`, 501);
    }
    return await perform(input, caller);
  }
}

function documentActions(documents: Documents): Record<string, Action> {
  return {
    CreateDocument: (input) => documents.create(input),
    UpdateDocument: (input) => documents.update(input),
    UpdateDocumentDefaultVersion: (input) => documents.updateDefaultVersion(input),
    DescribeDocument: (input) => documents.describe(input),
    GetDocument: (input) => documents.get(input),
    ListDocuments: (input) => documents.list(input),
    ListDocumentVersions: (input) => documents.listVersions(input),
    DeleteDocument: (input) => documents.delete(input),
    AddTagsToResource: (input) => {
      documents.tag(documentOf(input), input.tags());
      return {};
    },
    RemoveTagsFromResource: (input) => {
      documents.untag(documentOf(input), input.texts('TagKeys'));
      return {};
    },
    ListTagsForResource: (input) => ({ TagList: tagList(documents.tagsOf(documentOf(input))) }),
  };
}

function commandActions(commands: Commands, region: string): Record<string, Action> {
  return {
    SendCommand: async (input) => ({ Command: showCommand(await commands.send(input), region) }),
    CancelCommand: (input) => {
      commands.cancel(input.text('CommandId'), input.texts('InstanceIds'));
      return {};
    },
    ListCommands: (input) => listCommands(commands, input, region),
    ListCommandInvocations: (input) => listInvocations(commands, input, region),
    GetCommandInvocation: (input) => getInvocation(commands, input, region),
  };
}

function associationActions(associations: Associations): Record<string, Action> {
  return {
    ListAssociations: (input) => associations.list(input),
    DescribeAssociation: (input) => associations.describe(input),
    StartAssociationsOnce: (input) => associations.startOnce(input),
    DescribeAssociationExecutions: (input) => associations.executions(input),
    DescribeAssociationExecutionTargets: (input) => associations.targets(input),
  };
}

function agentActions(inventory: Inventory): Record<string, Action> {
  return {
    DescribeInstanceInformation: (input) => inventory.describe(input),
    UpdateInstanceInformation: (input, caller) => {
      inventory.report(requireInstance(caller, input.text('InstanceId')), input);
      return {};
    },
    // The real agent registers once a disk, with a key of its own, and then works with its role's credentials.
    RegisterManagedInstance: (_, caller) => {
      if (caller.instanceId === undefined)
        throw new ServiceError('AccessDeniedException', 'Not an instance.');
      return { InstanceId: caller.instanceId };
    },
    ListInstanceAssociations: () => ({ Associations: [] }),
  };
}

function isTagging(action: string): boolean {
  return ['AddTagsToResource', 'RemoveTagsFromResource', 'ListTagsForResource'].includes(action);
}

function documentOf(input: Input): string {
  const type = input.text('ResourceType');
  if (type !== 'Document') {
    throw new ServiceError(
      'InvalidResourceType',
      `The local cloud tags documents and parameters, not ${type}.`,
    );
  }
  return input.text('ResourceId');
}
