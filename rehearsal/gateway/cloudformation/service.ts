import { xmlAnswer } from '../answers.ts';
import { type Answer, type Call, formOf } from '../call.ts';
import type { Clock } from '../clock.ts';
import type { Ec2 } from '../ec2/service.ts';
import { notImplemented, ServiceError } from '../errors.ts';
import { forwardWhole, type WholeAnswer, withBody } from '../forward.ts';
import type { Moto } from '../moto.ts';
import { type Principal, roleName } from '../principals.ts';
import type { CallRecord } from '../record.ts';
import { stackArn } from '../resources.ts';
import type { DocumentFormat } from '../ssm/content.ts';
import type { Ssm } from '../ssm/service.ts';
import type { Sts } from '../sts/service.ts';
import {
  childOf,
  type Element,
  element,
  elementsNamed,
  itemsOf,
  parseXml,
  textAt,
  writeXml,
} from '../xml.ts';
import { readAssociations, type StackAssociation } from './associations.ts';
import { HostStacks } from './host-stacks.ts';
import { jsonOfPythonLiteral } from './python-literal.ts';
import {
  checkParameters,
  invalid,
  type ReadStack,
  readHosts,
  readParameters,
  readSchedules,
  type StackSchedule,
} from './read.ts';
import { Schedules } from './schedules.ts';

/** Bytes of a template that a call may carry itself; a larger one goes by TemplateURL. */
const largestTemplateBody = 51_200;

const changing = ['CreateStack', 'UpdateStack', 'ExecuteChangeSet', 'DeleteStack'];
const changingByTemplate = ['UpdateStack', 'CreateChangeSet'];

interface ListedDocument {
  readonly Name: string;
  readonly TargetType?: string;
  readonly Tags?: readonly { readonly Key: string; readonly Value: string }[];
}

interface Parts {
  readonly motoUrl: URL;
  readonly moto: Moto;
  readonly account: string;
  readonly region: string;
  readonly ssm: Ssm;
  readonly sts: Sts;
  readonly ec2: Ec2;
  readonly clock: Clock;
  readonly record: CallRecord;
}

/**
 * CloudFormation is moto's; the documents that its stacks make are taken over from moto's own SSM, associations and
 * schedules, of which moto knows nothing, from the templates, and instances become hosts.
 */
export class CloudFormation {
  readonly #parts: Parts;
  readonly #hostStacks: HostStacks;
  readonly #schedules: Schedules;
  /** Answers to CreateStack by its token: who asks again is not refused. */
  readonly #created = new Map<string, Promise<Answer>>();
  /** Documents that came from stacks. */
  #taken = new Set<string>();
  #associations: readonly StackAssociation[] = [];
  /** Settled when what was last read of the stacks is taken over. */
  #taking: Promise<void> = Promise.resolve();
  /** The reading that comes after it, for all who have changed a stack meanwhile. */
  #next: Promise<void> | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#schedules = new Schedules(parts.clock, (schedule) => this.#fire(schedule));
    this.#hostStacks = new HostStacks({
      moto: parts.moto,
      instances: parts.ec2.instances,
      onGone: (name) => this.#schedules.drop(name),
    });
  }

  async answer(call: Call, caller: Principal): Promise<Answer> {
    const form = formOf(call);
    checkTemplate(form);
    switch (call.action) {
      case 'CreateStack':
        return await this.#createOnce(call, form, caller);
      case 'DeleteStack':
        return await this.#delete(call, form);
      default:
        if (changingByTemplate.includes(call.action)) await this.#refuseHosts(call, form, caller);
        return await this.#pass(call, form);
    }
  }

  /** Does now what the schedules of a stack are for, as if their time had come. @throws ServiceError */
  expire(stack: string): Promise<void> {
    return this.#schedules.expire(stack);
  }

  async #createOnce(call: Call, form: URLSearchParams, caller: Principal): Promise<Answer> {
    const token = form.get('ClientRequestToken');
    if (token === null) return await this.#create(call, form, caller);
    const key = `${form.get('StackName')} ${token}`;
    const before = this.#created.get(key);
    if (before !== undefined) return await before;
    const answer = this.#create(call, form, caller);
    this.#created.set(key, answer);
    const forget = () => this.#created.delete(key);
    // A refused call made nothing: the token may be used again.
    answer.then(({ status }) => status === 200 || forget(), forget);
    return await answer;
  }

  async #create(call: Call, form: URLSearchParams, caller: Principal): Promise<Answer> {
    const stack = await this.#read(form, caller);
    checkParameters(stack);
    const where = { account: this.#parts.account, region: call.region };
    const hosts = readHosts(stack, where);
    // Whatever it cannot do is refused before anything is made.
    readSchedules(stack, where);
    if (hosts.length > 0 && form.get('OnFailure') !== 'DELETE')
      throw notImplemented('stacks with instances whose OnFailure is not DELETE');
    const role = form.get('RoleARN');
    if (role !== null && !(await this.#parts.sts.serviceMayTake(role, 'cloudformation')))
      throw invalid(`Role ${role} is invalid or cannot be assumed`);
    const answer = await this.#pass(call, form);
    if (answer.status !== 200) return answer;
    const [made] = elementsNamed(parseXml(answer.body.toString('utf8')), 'StackId');
    this.#schedules.keep(stack.name, readSchedules({ ...stack, id: made?.text ?? '' }, where));
    if (hosts.length > 0) await this.#hostStacks.begin(stack.name, hosts);
    return answer;
  }

  async #delete(call: Call, form: URLSearchParams): Promise<Answer> {
    const stack = this.#hostStacks.find(form.get('StackName') ?? '');
    if (stack === undefined) {
      const answer = await this.#pass(call, form);
      this.#schedules.drop(nameOf(form.get('StackName') ?? ''));
      return answer;
    }
    this.#hostStacks.remove(stack);
    return xmlAnswer(
      '<DeleteStackResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><ResponseMetadata><RequestId>local</RequestId></ResponseMetadata></DeleteStackResponse>',
    );
  }

  /** moto would make an instance that is no host. */
  async #refuseHosts(call: Call, form: URLSearchParams, caller: Principal): Promise<void> {
    const where = { account: this.#parts.account, region: call.region };
    if (readHosts(await this.#read(form, caller), where).length > 0)
      throw notImplemented(`${call.action} of stacks with instances`);
  }

  /** Whoever names a template by its address must be able to read it. */
  async #read(form: URLSearchParams, caller: Principal): Promise<ReadStack> {
    const name = form.get('StackName') ?? '';
    const parameters = readParameters(form);
    const url = form.get('TemplateURL');
    if (url === null) return { name, parameters, template: form.get('TemplateBody') ?? '' };
    const { bucket, key } = placeOf(new URL(url));
    const template = await this.#parts.moto.object(bucket, key);
    this.#record(
      caller.name,
      's3',
      'GetObject',
      `arn:aws:s3:::${bucket}/${key}`,
      template === undefined ? 404 : 200,
    );
    if (template === undefined) throw invalid('S3 error: The specified key does not exist.');
    return { name, parameters, template };
  }

  /** What EventBridge Scheduler does when the time has come. */
  async #fire({ name, stack, role, does }: StackSchedule): Promise<void> {
    const { sts } = this.#parts;
    if (!(await sts.serviceMayTake(role, 'scheduler')))
      throw new ServiceError(
        'AccessDenied',
        `${name}: ${role} cannot be assumed by EventBridge Scheduler.`,
        403,
      );
    if ('deletes' in does) await this.#end(role, does.deletes);
    else await this.#halt(role, stack, does.stops);
  }

  async #end(role: string, name: string): Promise<void> {
    const { account, region, moto } = this.#parts;
    const arn = stackArn(name, region, account);
    this.#record(`role/${roleName(role)}`, 'cloudformation', 'DeleteStack', arn, 200);
    const stack = this.#hostStacks.find(name);
    if (stack !== undefined) this.#hostStacks.remove(stack);
    else await moto.query('cloudformation', 'DeleteStack', { StackName: name });
  }

  /** @param hosts as the template calls them */
  async #halt(role: string, stack: string, hosts: readonly string[]): Promise<void> {
    const { account, region, ec2 } = this.#parts;
    for (const logicalId of hosts) {
      const id = this.#hostStacks.find(stack)?.hosts.get(logicalId) ?? logicalId;
      const arn = `arn:aws:ec2:${region}:${account}:instance/${id}`;
      this.#record(`role/${roleName(role)}`, 'ec2', 'StopInstances', arn, 200);
      await ec2.instances.halt(id);
    }
  }

  #record(principal: string, service: string, action: string, resource: string, status: number): void {
    const time = new Date(this.#parts.clock.now()).toISOString();
    this.#parts.record.add({ time, service, action, resource, principal, status });
  }

  /** To moto, and back as it really is. */
  async #pass(call: Call, form: URLSearchParams): Promise<WholeAnswer> {
    const { ec2, motoUrl } = this.#parts;
    const sent = ec2.images.toMoto(placeTemplate(form, call.region).toString());
    const answer = await forwardWhole(motoUrl, call, Buffer.from(sent));
    if (answer.status !== 200) return answer;
    if (changing.includes(call.action)) await this.#takeOver(call.region);
    const document = parseXml(ec2.images.fromMoto(answer.body.toString('utf8')));
    this.#addUnknown(document, nameOf(form.get('StackName') ?? ''));
    this.#hostStacks.correct(document);
    return withBody(answer, writeXml(document));
  }

  /** One after the other: what was read before another stack was made must not be taken for all there is. */
  #takeOver(region: string): Promise<void> {
    this.#next ??= this.#taking.then(async () => {
      this.#next = undefined;
      await this.#takeDocuments();
      await this.#takeAssociations(region);
    });
    this.#taking = this.#next.catch(() => undefined);
    return this.#next;
  }

  async #takeAssociations(region: string): Promise<void> {
    const { account, ssm } = this.#parts;
    const stacks = await this.#readStacks();
    this.#associations = stacks.flatMap((stack) => readAssociations(stack, { account, region }));
    await ssm.associations.takeOver(this.#associations);
  }

  async #readStacks(): Promise<ReadStack[]> {
    const { moto } = this.#parts;
    const listed = await listStacks(moto);
    const stacks = listed.filter((stack) => !textAt(stack, 'StackStatus')?.startsWith('DELETE'));
    return Promise.all(
      stacks.map(async (stack) => {
        const name = textAt(stack, 'StackName') ?? '';
        const template = await moto.query('cloudformation', 'GetTemplate', { StackName: name });
        const parameters = itemsOf(childOf(stack, 'Parameters')).map((each) => [
          textAt(each, 'ParameterKey') ?? '',
          textAt(each, 'ParameterValue') ?? '',
        ]);
        const [body] = elementsNamed(template, 'TemplateBody');
        return { name, template: body?.text ?? '', parameters: Object.fromEntries(parameters) };
      }),
    );
  }

  /** As AWS lists what it made of a template; moto leaves out what it does not know. */
  #addUnknown(answer: Element, stack: string): void {
    const [list] = ['StackResourceSummaries', 'StackResources'].flatMap((name) =>
      elementsNamed(answer, name),
    );
    if (list === undefined) return;
    // For each that moto does not know, it lists one without a name.
    list.children = list.children.filter((item) => textAt(item, 'LogicalResourceId') !== '');
    const associations = this.#associations.filter((each) => each.stack === stack);
    const own = [
      ...associations.map((each) => ({ ...each, type: 'AWS::SSM::Association' })),
      ...this.#schedules.of(stack).map((each) => ({ ...each, type: 'AWS::Scheduler::Schedule' })),
    ];
    list.children.push(
      ...own.map(({ logicalId, name, type }) =>
        element('member', [
          element('LogicalResourceId', logicalId),
          element('PhysicalResourceId', name),
          element('ResourceType', type),
          element('ResourceStatus', 'CREATE_COMPLETE'),
          element('LastUpdatedTimestamp', new Date().toISOString()),
          element('Timestamp', new Date().toISOString()),
        ]),
      ),
    );
  }

  async #takeDocuments(): Promise<void> {
    const {
      moto,
      ssm: { documents },
    } = this.#parts;
    const all = await listDocuments(moto);
    for (const { Name, Tags = [], TargetType } of all) {
      const found = await moto.json('AmazonSSM.GetDocument', { Name, DocumentVersion: '$LATEST' });
      const content = String(found['Content']);
      documents.takeOver({
        name: Name,
        text: content.startsWith("{'") ? jsonOfPythonLiteral(content) : content,
        format: found['DocumentFormat'] as DocumentFormat,
        targetType: TargetType,
        tags: Object.fromEntries(Tags.map((tag) => [tag.Key, tag.Value])),
      });
    }
    const names = all.map((each) => each.Name);
    for (const name of this.#taken) {
      if (!names.includes(name)) documents.forget(name);
    }
    this.#taken = new Set(names);
  }
}

/** All stacks. */
function listStacks(moto: Moto): Promise<Element[]> {
  return readPages(async (token) => {
    const page = await moto.query('cloudformation', 'DescribeStacks', token);
    const next = elementsNamed(page, 'NextToken')[0]?.text;
    return { items: elementsNamed(page, 'Stacks').flatMap(itemsOf), next };
  });
}

/** All documents. */
function listDocuments(moto: Moto): Promise<ListedDocument[]> {
  return readPages(async (token) => {
    const page = await moto.json('AmazonSSM.ListDocuments', { MaxResults: 50, ...token });
    return { items: page['DocumentIdentifiers'] as ListedDocument[], next: page['NextToken'] };
  });
}

/** What moto lists in pages of 50, whole. */
async function readPages<Item>(
  read: (token: { NextToken?: string }) => Promise<{ items: readonly Item[]; next: unknown }>,
): Promise<Item[]> {
  const all: Item[] = [];
  for (let token = {}; ; ) {
    const { items, next } = await read(token);
    all.push(...items);
    if (typeof next !== 'string' || next === '') return all;
    token = { NextToken: next };
  }
}

/** `aws cloudformation deploy` names a template by the endpoint it uploaded to; moto knows S3's own addresses. */
function placeTemplate(form: URLSearchParams, region: string): URLSearchParams {
  const url = form.get('TemplateURL');
  if (url?.startsWith('http://')) {
    form.set('TemplateURL', `https://s3.${region}.amazonaws.com${new URL(url).pathname}`);
  }
  return form;
}

/** The name of a stack in its ARN, or the name that it is. */
function nameOf(stack: string): string {
  return stack.startsWith('arn:') ? (stack.split('/')[1] ?? '') : stack;
}

/** Bucket and key of an address in S3, with the bucket in the host or in the path. */
function placeOf({ hostname, pathname }: URL): { bucket: string; key: string } {
  const path = decodeURIComponent(pathname.slice(1));
  const inHost = /^(.+?)\.s3[.-]/.exec(hostname)?.[1];
  if (inHost !== undefined) return { bucket: inHost, key: path };
  const [bucket = '', ...rest] = path.split('/');
  return { bucket, key: rest.join('/') };
}

function checkTemplate(form: URLSearchParams): void {
  const size = Buffer.byteLength(form.get('TemplateBody') ?? '');
  if (size > largestTemplateBody) {
    throw new ServiceError(
      'ValidationError',
      `1 validation error detected: Value at 'templateBody' must have length less than or equal to ${largestTemplateBody}: it has ${size} bytes; use TemplateURL`,
    );
  }
}
