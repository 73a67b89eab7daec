import { type Answer, type Call, formOf } from '../call.ts';
import { ServiceError } from '../errors.ts';
import { forwardWhole, type WholeAnswer } from '../forward.ts';
import type { Moto } from '../moto.ts';
import type { DocumentFormat } from '../ssm/content.ts';
import type { Documents } from '../ssm/documents.ts';
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
  readonly documents: Documents;
}

/** CloudFormation is moto's; the documents that its stacks make are taken over from moto's own SSM. */
export class CloudFormation {
  readonly #parts: Parts;
  /** Documents that came from stacks. */
  #taken = new Set<string>();

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
    if (answer.status === 200 && changing.includes(call.action)) await this.#takeDocuments();
    return answer;
  }

  async #takeDocuments(): Promise<void> {
    const { moto, documents } = this.#parts;
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
