import { parseDocument } from 'yaml';
import { type Resource, resourcesOf, type Value } from '../../policies/template.ts';
import { numbersOf } from '../ec2/form.ts';
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
}

/** A schedule of EventBridge Scheduler that a template asks for, whose target is DeleteStack. */
export interface StackSchedule {
  readonly logicalId: string;
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly first: number;
  /** Milliseconds from one firing to the next; undefined for a schedule that fires once. */
  readonly every: number | undefined;
  /** ARN of the role that it works with. */
  readonly role: string;
  /** The stack that it deletes. */
  readonly deletes: string;
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
  }));
}

/** The schedules that a stack asks for. @throws ServiceError for one that does anything but delete a stack */
export function readSchedules(stack: ReadStack, where: Where): StackSchedule[] {
  return resourcesOfType(stack, where, 'AWS::Scheduler::Schedule').map(({ logicalId, properties }) => {
    const target = properties['Target'] as Map;
    if (!String(target['Arn']).endsWith(':aws-sdk:cloudformation:deleteStack'))
      throw notImplemented(`schedules whose target is ${String(target['Arn'])}`);
    const { StackName: deletes } = JSON.parse(String(target['Input'])) as { StackName: string };
    return {
      ...{ logicalId, name: String(properties['Name']), role: String(target['RoleArn']), deletes },
      ...timesOf(String(properties['ScheduleExpression']), String(properties['StartDate'])),
    };
  });
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
