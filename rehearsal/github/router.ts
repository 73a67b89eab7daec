import { createServer, type IncomingMessage, type Server } from 'node:http';
import { behindFaults } from '../faults/front.ts';

/** One call, taken apart: values of the path by name, the query, and the JSON body. */
export interface Call {
  readonly path: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly body: Readonly<Record<string, unknown>>;
}

/** What a handler gives back; an array is cut into pages. */
export interface Reply {
  readonly status: number;
  readonly body: unknown;
}

/** A call that the stand-in serves, e.g. ['GET', '/repos/:owner/:repo', handler]. */
export type Route = readonly [
  method: string,
  pattern: string,
  handle: (call: Call) => Reply | Promise<Reply>,
];

/** An answer that is no success, in GitHub's own form. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export function ok(body: unknown): Reply {
  return { status: 200, body };
}

export function created(body: unknown): Reply {
  return { status: 201, body };
}

/** The value, or a 404 as GitHub says it. */
export function found<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Refusal(404, 'Not Found');
  return value;
}

/** A text field of the body that must be there; otherwise 422, as GitHub says it. */
export function textOf(body: Call['body'], name: string): string {
  const value = body[name];
  if (typeof value !== 'string' || value === '')
    throw new Refusal(422, `Invalid request. "${name}" wasn't supplied.`);
  return value;
}

/** Serves the routes, and refuses everything else with 501. */
export function serve(routes: readonly Route[]): Server {
  const table = routes.map(([method, pattern, handle]) => ({ method, shape: shapeOf(pattern), handle }));
  const listener = behindFaults('github', (request, response) => {
    const url = new URL(request.url ?? '/', `http://${request.headers.host}`);
    dispatch(table, request, url)
      .catch(refuse)
      .then(({ status, body }) => {
        const page = Array.isArray(body) ? cutPage(body, url) : { body, link: undefined };
        const link = page.link === undefined ? {} : { link: page.link };
        response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...link });
        response.end(page.body === undefined ? '' : JSON.stringify(page.body));
      })
      .catch((trouble: unknown) => process.stderr.write(`${String(trouble)}\n`));
  });
  return createServer(listener);
}

interface Entry {
  readonly method: string;
  readonly shape: RegExp;
  readonly handle: Route[2];
}

async function dispatch(table: readonly Entry[], request: IncomingMessage, url: URL): Promise<Reply> {
  for (const { method, shape, handle } of table) {
    const match = method === request.method ? shape.exec(url.pathname) : null;
    if (!match) continue;
    const path = Object.fromEntries(
      Object.entries(match.groups ?? {}).map(([name, value]) => [name, decodeURIComponent(value)]),
    );
    return handle({ path, query: url.searchParams, body: await readBody(request) });
  }
  throw new Refusal(501, `this stand-in for GitHub does not implement ${request.method} ${url.pathname}`);
}

async function readBody(request: IncomingMessage): Promise<Call['body']> {
  const text = Buffer.concat(await request.toArray()).toString();
  if (text === '') return {};
  try {
    return JSON.parse(text) as Call['body'];
  } catch {
    throw new Refusal(400, 'Problems parsing JSON');
  }
}

function refuse(trouble: unknown): Reply {
  const status = trouble instanceof Refusal ? trouble.status : 500;
  const message = trouble instanceof Error ? trouble.message : String(trouble);
  if (status >= 500) process.stderr.write(`${status}: ${message}\n`);
  return {
    status,
    body: { message, documentation_url: 'https://docs.github.com/rest', status: String(status) },
  };
}

/** `:name` stands for one part of a path, `*name` for the rest of it. */
function shapeOf(pattern: string): RegExp {
  const shape = pattern
    .replaceAll('.', '\\.')
    .replaceAll(/:(\w+)/g, '(?<$1>[^/]+)')
    .replaceAll(/\*(\w+)/g, '(?<$1>.+)');
  return new RegExp(`^${shape}$`);
}

/** 30 entries a page unless `per_page` says otherwise (at most 100), with a link to the next one. */
function cutPage(all: readonly unknown[], url: URL): { body: readonly unknown[]; link: string | undefined } {
  const size = Math.min(Number(url.searchParams.get('per_page') ?? 30), 100);
  const page = Number(url.searchParams.get('page') ?? 1);
  const body = all.slice((page - 1) * size, page * size);
  if (page * size >= all.length) return { body, link: undefined };
  const next = new URL(url);
  next.searchParams.set('page', String(page + 1));
  return { body, link: `<${next.href}>; rel="next"` };
}
