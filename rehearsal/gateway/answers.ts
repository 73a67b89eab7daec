import type { Answer, Call, Protocol } from './call.ts';
import type { ServiceError } from './errors.ts';
import { escapeXml } from './xml.ts';

/** A success of a JSON 1.1 service. */
export function jsonAnswer(value: object, status = 200): Answer {
  return {
    status,
    headers: { 'content-type': 'application/x-amz-json-1.1' },
    body: Buffer.from(JSON.stringify(value)),
  };
}

/** A success of a Query service, unless another status is given. */
export function xmlAnswer(xml: string, status = 200): Answer {
  return { status, headers: { 'content-type': 'text/xml;charset=utf-8' }, body: Buffer.from(xml) };
}

/** An error, written as the service that was called writes its errors. */
export function errorAnswer(call: Pick<Call, 'protocol'> | undefined, error: ServiceError): Answer {
  const protocol = call?.protocol ?? 'other';
  if (protocol === 'json' || protocol === 'other') {
    const answer = jsonAnswer({ __type: error.code, message: error.message }, error.status);
    return { ...answer, headers: { ...answer.headers, 'x-amzn-errortype': error.code }, error: error.code };
  }
  return { ...xmlAnswer(errorXml(protocol, error), error.status), error: error.code };
}

function errorXml(protocol: Protocol, error: ServiceError): string {
  const code = `<Code>${escapeXml(error.code)}</Code><Message>${escapeXml(error.message)}</Message>`;
  const declaration = '<?xml version="1.0" encoding="UTF-8"?>';
  if (protocol === 's3') return `${declaration}<Error>${code}<RequestId>local</RequestId></Error>`;
  if (protocol === 'ec2') {
    return `${declaration}<Response><Errors><Error>${code}</Error></Errors><RequestID>local</RequestID></Response>`;
  }
  const type = error.status >= 500 ? 'Receiver' : 'Sender';
  return `${declaration}<ErrorResponse><Error><Type>${type}</Type>${code}</Error><RequestId>local</RequestId></ErrorResponse>`;
}
