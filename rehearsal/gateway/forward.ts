import { type IncomingMessage, request } from 'node:http';
import type { Answer, Call } from './call.ts';
import { readBody } from './call.ts';
import { ServiceError } from './errors.ts';

/** A body to send on; `size` in bytes where it is not what the caller's own header says. */
export type Body = Buffer | { readonly stream: NodeJS.ReadableStream; readonly size?: number };

/** An answer whose body was read whole. */
export interface WholeAnswer extends Answer {
  readonly body: Buffer;
}

const hopByHop = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
  'expect',
  'te',
  'trailer',
]);

/** The emulator (moto) answered an HTML page: its own defect, which must fail the test that met it. */
export class EmulatorError extends ServiceError {
  constructor(detail: string) {
    super('InternalError', `The emulator failed: ${detail}`, 500);
  }
}

/** Sends a call on to moto as it came, and answers as moto answers, streaming. */
export async function forward(moto: URL, call: Call, body?: Body): Promise<Answer> {
  const response = await send(
    moto,
    call,
    body ?? (call.body.length > 0 ? call.body : { stream: call.stream }),
  );
  const status = response.statusCode ?? 500;
  if (status >= 500 && (response.headers['content-type'] ?? '').startsWith('text/html')) {
    throw new EmulatorError(firstWords((await readBody(response)).toString('utf8')));
  }
  const headers = withoutHopByHop(response);
  if (status < 400) return { status, headers, body: response };
  const whole = await readBody(response);
  return { status, headers, body: whole, error: errorCode(headers, whole) ?? String(status) };
}

/** The same, read whole, for answers that the gateway changes or learns from. */
export async function forwardWhole(moto: URL, call: Call, body?: Buffer): Promise<WholeAnswer> {
  const answer = await forward(moto, call, body);
  return { ...answer, body: Buffer.isBuffer(answer.body) ? answer.body : await readBody(answer.body) };
}

/** An answer with another body, and so another length. */
export function withBody(answer: Answer, body: string): WholeAnswer {
  const headers = Object.fromEntries(
    Object.entries(answer.headers).filter(([name]) => !['content-length', 'content-encoding'].includes(name)),
  );
  return { ...answer, headers, body: Buffer.from(body) };
}

function send(moto: URL, call: Call, body: Body): Promise<IncomingMessage> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(call.headers)) {
    if (value !== undefined && !hopByHop.has(name)) headers[name] = value;
  }
  // A changed form has another length. A stream that comes straight through keeps its own, or is chunked as it came.
  const size = Buffer.isBuffer(body) ? body.length : body.size;
  if (size !== undefined) headers['content-length'] = String(size);
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: moto.hostname, port: moto.port, method: call.method, path: call.url, headers, agent: false },
      resolve,
    );
    outgoing.on('error', (cause) => {
      reject(new EmulatorError(`no answer (${cause.message})`));
    });
    if (Buffer.isBuffer(body)) outgoing.end(body);
    else body.stream.pipe(outgoing);
  });
}

function withoutHopByHop(response: IncomingMessage): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(response.headers)) {
    if (value !== undefined && !hopByHop.has(name)) headers[name] = value;
  }
  return headers;
}

/** The error's code in a JSON or XML answer. */
function errorCode(headers: Record<string, string | string[]>, body: Buffer): string | undefined {
  const text = body.toString('utf8');
  const code =
    /<Code>([^<]+)<\/Code>/.exec(text)?.[1] ??
    headers['x-amzn-errortype']?.toString() ??
    /"__type"\s*:\s*"([^"]+)"/.exec(text)?.[1];
  return code?.split('#').pop()?.split(':')[0];
}

function firstWords(html: string): string {
  return html
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 300);
}
