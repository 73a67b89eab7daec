import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type Credentials, findCredentials, findInstance, type Instance } from './gateway.ts';
import { Tokens } from './tokens.ts';
import { layOut, read } from './tree.ts';

/** What the server needs to know of the cloud it serves. */
export interface Settings {
  readonly region: string;
  readonly account: string;
  /** Finds the instance behind a source address. */
  readonly instance: (ip: string) => Promise<Instance | undefined>;
  readonly credentials: (instanceId: string) => Promise<Credentials | undefined>;
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Asks the gateway on its Unix socket. */
export function throughGateway(socket: string, region: string, account: string): Settings {
  return {
    region,
    account,
    instance: (ip) => findInstance(socket, ip),
    credentials: (instanceId) => findCredentials(socket, instanceId),
  };
}

/** Instance metadata, IMDSv2 only: a token by PUT first, and never for a forwarded request. */
export function createMetadata(settings: Settings, tokens: Tokens = new Tokens()): Server {
  return createServer((request, response) => {
    answer(request, settings, tokens)
      .catch((trouble: unknown): Answer => {
        process.stderr.write(`${request.method} ${request.url}: ${String(trouble)}\n`);
        return { status: 500, body: String(trouble) };
      })
      .then(({ status, body, headers }) => {
        response.writeHead(status, { 'content-type': 'text/plain', server: 'EC2ws', ...headers });
        response.end(body);
      })
      .catch((trouble: unknown) => process.stderr.write(`${String(trouble)}\n`));
  });
}

async function answer(request: IncomingMessage, settings: Settings, tokens: Tokens): Promise<Answer> {
  const { host, path } = {
    host: sourceOf(request),
    path: new URL(request.url ?? '/', 'http://imds').pathname,
  };
  // A request that came through a proxy is someone else's: this is what stops a forged one (EC2 user guide).
  if (request.headers['x-forwarded-for'] !== undefined)
    return { status: 403, body: 'forwarded requests are refused' };
  if (path === '/latest/api/token') return giveToken(request, host, tokens);
  if (request.method !== 'GET') return { status: 405, body: 'only GET is served here' };
  if (!tokens.accepts(host, header(request, 'x-aws-ec2-metadata-token'))) {
    return { status: 401, body: 'IMDSv2 only: ask for a token by PUT /latest/api/token first' };
  }
  const instance = await settings.instance(host);
  if (!instance) return { status: 404, body: `no instance has the address ${host}` };
  const { region, account } = settings;
  // They cost many calls: only who looks where they stand, or at all that there is, waits for them.
  const credentials = /\/iam\b|^\/latest(\/meta-data)?\/?$/.test(path)
    ? await settings.credentials(instance.instanceId)
    : undefined;
  const value = read(layOut({ instance, region, account, credentials }), decodeURIComponent(path));
  return value === undefined ? { status: 404, body: 'not found' } : { status: 200, body: value };
}

function giveToken(request: IncomingMessage, host: string, tokens: Tokens): Answer {
  if (request.method !== 'PUT') return { status: 405, body: 'a token is asked for by PUT' };
  const seconds = header(request, 'x-aws-ec2-metadata-token-ttl-seconds');
  const token = tokens.issue(host, seconds);
  if (token === undefined) {
    return { status: 400, body: 'X-aws-ec2-metadata-token-ttl-seconds must be a number from 1 to 21600' };
  }
  return { status: 200, body: token, headers: { 'x-aws-ec2-metadata-token-ttl-seconds': seconds ?? '' } };
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function sourceOf(request: IncomingMessage): string {
  return (request.socket.remoteAddress ?? '').replace(/^::ffff:/, '');
}
