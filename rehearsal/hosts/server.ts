import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Hosts } from './hosts.ts';
import { Refusal } from './register.ts';

type Handler = (hosts: Hosts, id: string, body: Record<string, unknown>) => unknown;

const instance = /^i-[0-9a-z]{1,40}$/;
const image = /^ami-[0-9a-z]{1,40}$/;

/** What may be asked, by method and the path's words; `:id` stands for a name. */
const routes: Record<string, Handler> = {
  'GET /hosts': (hosts) => hosts.list(),
  'GET /hosts/:id': (hosts, id) => hosts.get(id),
  'PUT /hosts/:id': (hosts, id, body) =>
    hosts.create(matching(id, instance), optional(body['image'], image), gibibytes(body['rootGiB'])),
  'DELETE /hosts/:id': (hosts, id) => hosts.terminate(id),
  'POST /hosts/:id/stop': (hosts, id) => hosts.stop(id),
  'POST /hosts/:id/start': (hosts, id) => hosts.start(id),
  'POST /hosts/:id/reboot': (hosts, id) => hosts.reboot(id),
  'POST /hosts/:id/crash': (hosts, id) => hosts.crash(id),
  'POST /hosts/:id/cut': (hosts, id) => hosts.setWire(id, 'down'),
  'POST /hosts/:id/heal': (hosts, id) => hosts.setWire(id, 'up'),
  'PUT /images/:id': (hosts, id, body) =>
    hosts.createImage(matching(id, image), matching(body['host'], instance), body['reboot'] !== false),
  'DELETE /images/:id': (hosts, id) => hosts.deleteImage(id),
};

/** The hosts' API: HTTP and JSON. Errors are `{error: sentence}`. */
export function serveHosts(hosts: Hosts): Server {
  return createServer((request, response) => void answer(hosts, request, response));
}

async function answer(hosts: Hosts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const words = (request.url ?? '/').split('/').slice(1);
    const [room = '', id = '', verb] = words;
    const path = ['', room, ...(words.length > 1 ? [':id'] : []), ...(verb === undefined ? [] : [verb])].join(
      '/',
    );
    const handler = routes[`${request.method} ${path}`];
    if (handler === undefined)
      throw new Refusal(501, `hosts do not implement ${request.method} ${request.url}`);
    const result = await handler(hosts, id, await readBody(request));
    send(response, request.method === 'PUT' ? 201 : 200, result);
  } catch (error) {
    const status = error instanceof Refusal ? error.status : 500;
    send(response, status, { error: error instanceof Error ? error.message : String(error) });
  }
}

async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  if (text === '') return {};
  const body = parse(text);
  if (typeof body !== 'object' || body === null) throw new Refusal(400, 'the body is not a JSON object');
  return body as Record<string, unknown>;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function matching(value: unknown, pattern: RegExp): string {
  if (typeof value === 'string' && pattern.test(value)) return value;
  throw new Refusal(400, `${JSON.stringify(value)} is not like ${pattern.source}`);
}

function optional(value: unknown, pattern: RegExp): string | undefined {
  return value === undefined || value === null ? undefined : matching(value, pattern);
}

function gibibytes(value: unknown): number {
  const size = value ?? 20;
  if (typeof size === 'number' && Number.isInteger(size) && size >= 1 && size <= 16_384) return size;
  throw new Refusal(400, `rootGiB is a whole number from 1 to 16384, not ${JSON.stringify(value)}`);
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}
