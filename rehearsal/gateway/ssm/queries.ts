import { ServiceError } from '../errors.ts';
import { type Command, type Invocation, isOver } from './command.ts';
import type { Commands } from './commands.ts';
import type { Input } from './input.ts';
import { showCommand, showInvocation, showStep } from './output.ts';
import { pageOf } from './pages.ts';
import { statusOf } from './statuses.ts';

/** ListCommands. */
export function listCommands(commands: Commands, input: Input, region: string): object {
  const filters = readFilters(input);
  const instanceId = input.optionalText('InstanceId');
  const id = input.optionalText('CommandId');
  const found = (id === undefined ? commands.all() : [commands.get(id)]).filter(
    (command) =>
      (instanceId === undefined || command.invocations.some((each) => each.instanceId === instanceId)) &&
      filters.every((filter) => fitsCommand(command, filter, region)),
  );
  const { page, next } = pageOf(found, input);
  return { Commands: page.map((command) => showCommand(command, region)), ...next };
}

/** ListCommandInvocations. */
export function listInvocations(commands: Commands, input: Input, region: string): object {
  const filters = readFilters(input);
  const instanceId = input.optionalText('InstanceId');
  const id = input.optionalText('CommandId');
  const found = (id === undefined ? commands.all() : [commands.get(id)])
    .flatMap((command) => commands.visible(command))
    .filter((each) => instanceId === undefined || each.instanceId === instanceId)
    .filter((each) => filters.every((filter) => fitsInvocation(each, filter)));
  const { page, next } = pageOf(found, input);
  const withPlugins = input.flag('Details');
  return { CommandInvocations: page.map((each) => showInvocation(each, withPlugins, region)), ...next };
}

/** GetCommandInvocation: InvocationDoesNotExist at first, no output until the end. */
export function getInvocation(commands: Commands, input: Input, region: string): object {
  const instanceId = input.text('InstanceId');
  const command = commands.get(input.text('CommandId'));
  const invocation = commands.visible(command).find((each) => each.instanceId === instanceId);
  if (invocation === undefined) {
    throw new ServiceError('InvocationDoesNotExist', `${command.id} has no invocation on ${instanceId}.`);
  }
  const steps = command.document.content.mainSteps.map((step) => step.name);
  const asked = input.optionalText('PluginName');
  if (asked !== undefined && !steps.includes(asked)) {
    throw new ServiceError('InvalidPluginName', `The document has no step named ${asked}.`);
  }
  return showStep(invocation, asked ?? (steps.length === 1 ? steps[0] : undefined), region);
}

interface Filter {
  key: string;
  value: string;
}

function readFilters(input: Input): Filter[] {
  return input.inputs('Filters').map((each) => ({ key: each.text('key'), value: each.text('value') }));
}

function fitsRequest(command: Command, { key, value }: Filter): boolean {
  switch (key) {
    case 'InvokedAfter':
      return command.requested >= Date.parse(value);
    case 'InvokedBefore':
      return command.requested < Date.parse(value);
    case 'DocumentName':
      return command.documentName === value;
    default:
      throw new ServiceError('InvalidFilterKey', `The filter key ${key} is not valid.`);
  }
}

function fitsCommand(command: Command, filter: Filter, region: string): boolean {
  if (filter.key === 'ExecutionStage') {
    return (filter.value === 'Complete') === command.invocations.every(isOver);
  }
  if (filter.key !== 'Status') return fitsRequest(command, filter);
  const shown = showCommand(command, region) as { Status: string; StatusDetails: string };
  return shown.Status === filter.value || shown.StatusDetails === filter.value;
}

function fitsInvocation(invocation: Invocation, filter: Filter): boolean {
  if (filter.key !== 'Status') return fitsRequest(invocation.command, filter);
  return [statusOf(invocation.details), invocation.details].includes(filter.value as never);
}
