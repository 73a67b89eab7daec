import { ServiceError } from './errors.ts';
import { type Element, parseXml, textAt } from './xml.ts';

/** The gateway's own questions to moto, apart from the calls that it forwards. */
export interface Moto {
  /** Calls a Query or EC2 action. @throws ServiceError with the service's code. */
  query(service: string, action: string, parameters?: Record<string, string>): Promise<Element>;
  /** Calls a JSON 1.1 action, such as `AmazonSSM.ListDocuments`. */
  json(target: string, input: object): Promise<Record<string, unknown>>;
  /** The text of an object in S3; undefined where there is none. */
  object(bucket: string, key: string): Promise<string | undefined>;
}

const versions: Record<string, string> = {
  ec2: '2016-11-15',
  iam: '2010-05-08',
  sts: '2011-06-15',
  cloudformation: '2010-05-15',
};

/** @param url moto_server's address. */
export function createMoto(url: URL, region: string): Moto {
  return {
    async query(service, action, parameters = {}) {
      const form = new URLSearchParams({ Action: action, Version: versions[service] ?? '', ...parameters });
      const response = await fetch(url, { method: 'POST', headers: scoped(service, region), body: form });
      const text = await response.text();
      if (!response.ok && !text.includes('<Code>')) throw failed(`${service} ${action}`, response.status);
      const answer = parseXml(text);
      if (response.ok) return answer;
      const code = /<Code>([^<]+)/.exec(text)?.[1] ?? 'Unknown';
      throw new ServiceError(code, textAt(answer, 'Errors/Error/Message') ?? code, response.status);
    },
    async json(target, input) {
      const service = target.startsWith('AmazonSSM.') ? 'ssm' : 'unknown';
      const headers = {
        ...scoped(service, region),
        'content-type': 'application/x-amz-json-1.1',
        'x-amz-target': target,
      };
      const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(input) });
      if (!response.ok) throw failed(target, response.status);
      return (await response.json()) as Record<string, unknown>;
    },
    async object(bucket, key) {
      const response = await fetch(new URL(`/${bucket}/${key}`, url), { headers: scoped('s3', region) });
      if (response.status === 404) return undefined;
      if (!response.ok) throw failed(`S3 GetObject of ${bucket}/${key}`, response.status);
      return await response.text();
    },
  };
}

/** moto reads service and region from the scope, and does not verify the signature. */
function scoped(service: string, region: string): Record<string, string> {
  const scope = `gateway/20260101/${region}/${service}/aws4_request`;
  return { authorization: `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=0` };
}

function failed(what: string, status: number): ServiceError {
  return new ServiceError('InternalError', `The emulator answered ${status} to the gateway's ${what}.`, 500);
}
