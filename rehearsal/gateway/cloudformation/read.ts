import { parseDocument } from 'yaml';
import { type Resource, resourcesOf, type Value } from '../../policies/template.ts';
import { numbersOf } from '../ec2/form.ts';
import { rootDevice } from '../ec2/images.ts';
import { notImplemented, ServiceError } from '../errors.ts';

/** A stack as it was asked for. */
export interface ReadStack {
  readonly name: string;
  /** Its ARN; until it is made, nobody knows how that ends. */
  readonly id?: string;
  readonly template: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** Where a stack is made. */
export interface Where {
  readonly account: string;
  readonly region: string;
}

/** An instance that a template asks for. */
export interface StackHost {
  readonly logicalId: string;
  readonly image: string;
  /** Size of the root disk; undefined where the template leaves it to the image. */
  readonly rootGiB: number | undefined;
}

/** A schedule of EventBridge Scheduler that a template asks for, whose target is DeleteStack or StopInstances. */
export interface StackSchedule {
  readonly logicalId: string;
  readonly name: string;
  /** The stack that it is part of. */
  readonly stack: string;
  /** One that is disabled never fires. */
  readonly enabled: boolean;
  /** Milliseconds since 1970. */
  readonly first: number;
  /** Milliseconds from one firing to the next; undefined for a schedule that fires once. */
  readonly every: number | undefined;
  /** ARN of the role that it works with. */
  readonly role: string;
  readonly does: { readonly deletes: string } | { readonly stops: readonly string[] };
}

type Map = Readonly<Record<string, Value>>;

/** The parameters in the form of CreateStack. */
export function readParameters(form: URLSearchParams): Record<string, string> {
  const prefix = 'Parameters.member';
  return Object.fromEntries(
    numbersOf(form, prefix).map((number) => [
      form.get(`${prefix}.${number}.ParameterKey`) ?? '',
      form.get(`${prefix}.${number}.ParameterValue`) ?? '',
    ]),
  );
}

/** The resources of one type that a stack asks for. */
export function resourcesOfType(stack: ReadStack, where: Where, type: string): Resource[] {
  if (!stack.template.includes(type)) return [];
  const { name, id = `arn:aws:cloudformation:${where.region}:${where.account}:stack/${stack.name}/unmade` } =
    stack;
  const parameters = { ...stack.parameters, 'AWS::StackName': name, 'AWS::StackId': id };
  return resourcesOf(stack.template, { ...where, parameters }).filter((each) => each.type === type);
}

/** The instances that a stack asks for. */
export function readHosts(stack: ReadStack, where: Where): StackHost[] {
  return resourcesOfType(stack, where, 'AWS::EC2::Instance').map(({ logicalId, properties }) => ({
    logicalId,
    image: String(properties['ImageId']),
    rootGiB: rootSize(properties['BlockDeviceMappings']),
  }));
}

/** A mapping under another name than the image's own is a second disk, and the root stays as it is. */
function rootSize(mappings: Value | undefined): number | undefined {
  const list = (mappings ?? []) as readonly { DeviceName: string; Ebs: { VolumeSize?: Value } }[];
  const size = list.find(({ DeviceName }) => DeviceName === rootDevice)?.Ebs.VolumeSize;
  return size === undefined ? undefined : Number(size);
}

/** The schedules that a stack asks for. @throws ServiceError for one that does anything else */
export function readSchedules(stack: ReadStack, where: Where): StackSchedule[] {
  return resourcesOfType(stack, where, 'AWS::Scheduler::Schedule').map(({ logicalId, properties }) => {
    const target = properties['Target'] as Map;
    const enabled = properties['State'] !== 'DISABLED';
    const begins = properties['StartDate'] ?? (enabled ? undefined : '2099-01-01T00:00:00Z');
    return {
      ...{ logicalId, name: String(properties['Name']), role: String(target['RoleArn']) },
      ...{ stack: stack.name, enabled, does: deedOf(target) },
      ...timesOf(String(properties['ScheduleExpression']), String(begins)),
    };
  });
}

function deedOf(target: Map): StackSchedule['does'] {
  const what = String(target['Arn']).split(':aws-sdk:')[1];
  const { StackName, InstanceIds } = JSON.parse(String(target['Input'])) as {
    StackName?: string;
    InstanceIds?: string[];
  };
  if (what === 'cloudformation:deleteStack' && StackName !== undefined) return { deletes: StackName };
  if (what === 'ec2:stopInstances' && InstanceIds !== undefined) return { stops: InstanceIds };
  throw notImplemented(`schedules whose target is ${String(target['Arn'])}`);
}

const units: Readonly<Record<string, number>> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/** Times are UTC: no schedule of ours names a time zone. */
function timesOf(expression: string, startDate: string): Pick<StackSchedule, 'first' | 'every'> {
  const once = /^at\((.+)\)$/.exec(expression)?.[1];
  const [, count, unit = ''] = /^rate\((\d+) (minute|hour|day)s?\)$/.exec(expression) ?? [];
  const first = Date.parse(once === undefined ? startDate : `${once}Z`);
  if (Number.isNaN(first) || (once === undefined && count === undefined)) {
    throw new ServiceError('ValidationException', `Invalid Schedule Expression ${expression}, ${startDate}.`);
  }
  return { first, every: count === undefined ? undefined : Number(count) * (units[unit] ?? 0) };
}

/** What moto takes as it comes, and AWS judges by the template. @throws ServiceError ValidationError */
export function checkParameters({ template, parameters: given }: ReadStack): void {
  const { Parameters: declared = {} } = parseDocument(template, { logLevel: 'silent' }).toJS() as {
    Parameters?: Record<
      string,
      { Type: string; Default?: unknown; AllowedPattern?: string; AllowedValues?: unknown[] }
    >;
  };
  const unknown = Object.keys(given).filter((name) => !(name in declared));
  if (unknown.length > 0) throw invalid(`Parameters: [${unknown.join(', ')}] do not exist in the template`);
  const missing = Object.entries(declared).filter(
    ([name, { Default }]) => given[name] === undefined && Default === undefined,
  );
  if (missing.length > 0)
    throw invalid(`Parameters: [${missing.map(([name]) => name).join(', ')}] must have values`);
  for (const [name, value] of Object.entries(given)) {
    const { Type, AllowedPattern = '.*', AllowedValues } = declared[name] ?? { Type: 'String' };
    const values = Type === 'CommaDelimitedList' ? value.split(',') : [value];
    const pattern = new RegExp(`^(?:${AllowedPattern})$`, 's');
    if (!values.every((each) => pattern.test(each)))
      throw invalid(`Parameter ${name} failed to satisfy constraint: must match pattern ${AllowedPattern}`);
    if (AllowedValues && !AllowedValues.map(String).includes(value))
      throw invalid(`Parameter '${name}' must be one of AllowedValues`);
  }
}

export function invalid(message: string): ServiceError {
  return new ServiceError('ValidationError', message);
}
