import { type Answer, type Call, formOf } from '../call.ts';
import { ServiceError } from '../errors.ts';
import { forwardWhole, type WholeAnswer, withBody } from '../forward.ts';
import type { Moto } from '../moto.ts';
import type { DocumentFormat } from '../ssm/content.ts';
import type { Ssm } from '../ssm/service.ts';
import { childOf, element, elementsNamed, itemsOf, parseXml, textAt, writeXml } from '../xml.ts';
import { type ReadStack, readAssociations, type StackAssociation } from './associations.ts';
import { jsonOfPythonLiteral } from './python-literal.ts';

/** Bytes of a template that a call may carry itself; a larger one goes by TemplateURL. */
const largestTemplateBody = 51_200;

const changing = ['CreateStack', 'UpdateStack', 'ExecuteChangeSet', 'DeleteStack'];

interface ListedDocument {
  readonly Name: string;
  readonly TargetType?: string;
  readonly Tags?: readonly { readonly Key: string; readonly Value: string }[];
}

interface Parts {
  readonly motoUrl: URL;
  readonly moto: Moto;
  readonly account: string;
  readonly ssm: Ssm;
}

/**
 * CloudFormation is moto's; the documents that its stacks make are taken over from moto's own SSM, and associations, of
 * which moto knows nothing, from the templates.
 */
export class CloudFormation {
  readonly #parts: Parts;
  /** Documents that came from stacks. */
  #taken = new Set<string>();
  #associations: readonly StackAssociation[] = [];

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async answer(call: Call): Promise<Answer> {
    const form = formOf(call);
    checkTemplate(form);
    const answer: WholeAnswer = await forwardWhole(
      this.#parts.motoUrl,
      call,
      Buffer.from(placeTemplate(form, call.region).toString()),
    );
    if (answer.status === 200 && changing.includes(call.action)) {
      await this.#takeDocuments();
      await this.#takeAssociations(call.region);
    }
    return call.action === 'ListStackResources' ? this.#withAssociations(answer, form) : answer;
  }

  async #takeAssociations(region: string): Promise<void> {
    const { account, ssm } = this.#parts;
    const stacks = await this.#readStacks();
    this.#associations = stacks.flatMap((stack) => readAssociations(stack, { account, region }));
    await ssm.associations.takeOver(this.#associations);
  }

  async #readStacks(): Promise<ReadStack[]> {
    const { moto } = this.#parts;
    const listed = elementsNamed(await moto.query('cloudformation', 'DescribeStacks'), 'Stacks');
    const stacks = listed
      .flatMap(itemsOf)
      .filter((stack) => !textAt(stack, 'StackStatus')?.startsWith('DELETE'));
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
  #withAssociations(answer: WholeAnswer, form: URLSearchParams): WholeAnswer {
    const own = this.#associations.filter(({ stack }) => stack === form.get('StackName'));
    if (own.length === 0 || answer.status !== 200) return answer;
    const listed = parseXml(answer.body.toString('utf8'));
    const [list] = elementsNamed(listed, 'StackResourceSummaries');
    list?.children.push(
      ...own.map(({ logicalId, name }) =>
        element('member', [
          element('LogicalResourceId', logicalId),
          element('PhysicalResourceId', name),
          element('ResourceType', 'AWS::SSM::Association'),
          element('ResourceStatus', 'CREATE_COMPLETE'),
          element('LastUpdatedTimestamp', new Date().toISOString()),
        ]),
      ),
    );
    return withBody(answer, writeXml(listed));
  }

  async #takeDocuments(): Promise<void> {
    const {
      moto,
      ssm: { documents },
    } = this.#parts;
    const listed = await moto.json('AmazonSSM.ListDocuments', { MaxResults: 50 });
    const all = listed['DocumentIdentifiers'] as ListedDocument[];
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

/** `aws cloudformation deploy` names a template by the endpoint it uploaded to; moto knows S3's own addresses. */
function placeTemplate(form: URLSearchParams, region: string): URLSearchParams {
  const url = form.get('TemplateURL');
  if (url?.startsWith('http://')) {
    form.set('TemplateURL', `https://s3.${region}.amazonaws.com${new URL(url).pathname}`);
  }
  return form;
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
