import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { type Call, readBody } from './call.ts';
import { nameS3Action } from './s3/operations.ts';

const targetServices: Record<string, string> = {
  AmazonSSM: 'ssm',
  EC2WindowsMessageDeliveryService: 'ec2messages',
};

interface Scope {
  accessKey: string;
  region: string;
  service: string;
}

/** The credential scope of a SigV4 request, signed by header or by query (presigned). */
function readScope(authorization: string | undefined, query: URLSearchParams): Scope | undefined {
  const credential =
    /Credential=([^,\s]+)/.exec(authorization ?? '')?.[1] ?? query.get('X-Amz-Credential') ?? undefined;
  const parts = credential?.split('/') ?? [];
  // An access key has no slash, but be exact: key/date/region/service/aws4_request.
  const [accessKey, , region, service] = parts;
  return accessKey && region && service ? { accessKey, region, service } : undefined;
}

/** Tells which service and action a request means: X-Amz-Target, form, path and SigV4 scope, in AWS's ways. */
export async function identify(stream: IncomingMessage, defaultRegion: string): Promise<Call> {
  const { headers, method = 'GET', url = '/' } = stream;
  const [path, search] = splitOnce(url, '?');
  const query = new URLSearchParams(search);
  const scope = readScope(headers.authorization, query);
  const target = String(headers['x-amz-target'] ?? '');
  const isForm = (headers['content-type'] ?? '').startsWith('application/x-www-form-urlencoded');
  const body = isForm || target !== '' ? await readBody(stream) : Buffer.alloc(0);
  const form = isForm ? new URLSearchParams(body.toString('utf8')) : query;
  return {
    ...nameAction({
      target,
      action: form.get('Action'),
      service: scope?.service,
      method,
      path,
      query,
      headers,
    }),
    region: scope?.region ?? defaultRegion,
    accessKey: scope?.accessKey,
    method,
    url,
    path,
    query,
    headers,
    body,
    stream,
  };
}

interface Clues {
  target: string;
  action: string | null;
  service: string | undefined;
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
}

type Named = Pick<Call, 'service' | 'action' | 'protocol'>;

function nameAction({ target, action, service, method, path, query, headers }: Clues): Named {
  if (target !== '') return nameTarget(target, service);
  if (action !== null) return nameQuery(action, service);
  if (/^\/v1\/(control|data)-channel\//.test(path)) {
    return { service: 'ssmmessages', action: 'CreateControlChannel', protocol: 'other' };
  }
  const operation = /^\/service\/[^/]+\/operation\/([^/]+)$/.exec(path)?.[1];
  if (operation !== undefined) return { service: service ?? 'unknown', action: operation, protocol: 'other' };
  if (service === undefined || service === 's3') {
    return { service: 's3', action: nameS3Action(method, path, query, headers), protocol: 's3' };
  }
  return { service, action: `${method} ${path}`, protocol: 'other' };
}

function nameTarget(target: string, service: string | undefined): Named {
  const [prefix, action] = splitOnce(target, '.');
  return { service: targetServices[prefix] ?? service ?? prefix, action, protocol: 'json' };
}

/** Query requests may be unsigned: nobody has credentials yet who assumes a role with a web identity. */
function nameQuery(action: string, signed: string | undefined): Named {
  const service = signed ?? (action.startsWith('AssumeRoleWith') ? 'sts' : 'unknown');
  return { service, action, protocol: service === 'ec2' ? 'ec2' : 'query' };
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)];
}
