import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { answerFaults, type Fault, Faults, type Kind } from './faults.ts';

/** What a small server may be told to do wrong. */
const faultsOfServers: readonly Kind[] = ['throttle', 'error', 'denied', 'lost', 'delay'];

const statuses: Partial<Record<Kind, number>> = { throttle: 429, error: 500, denied: 403 };

/** A server's requests behind a book of faults: the action of each is its method, the resource its path. */
export function behindFaults(service: string, serve: RequestListener): RequestListener {
  const faults = new Faults();
  return (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://local');
    if (pathname === '/_cloud/fault') {
      void answerAdmin(faults, request, response);
      return;
    }
    const call = { service, action: request.method ?? 'GET', resources: [pathname], principal: '*' };
    const fault = pathname.startsWith('/_cloud/') ? undefined : faults.meet(call, faultsOfServers);
    if (fault) misbehave(fault, response, () => serve(request, response));
    else serve(request, response);
  };
}

function misbehave(fault: Fault, response: ServerResponse, serve: () => void): void {
  const status = statuses[fault.kind];
  if (status !== undefined) {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ message: `the fault ${fault.id} (${fault.kind})` }));
  } else if (fault.kind === 'delay') setTimeout(serve, (fault.seconds ?? 0) * 1000);
  else {
    response.end = () => response.destroy();
    serve();
  }
}

async function answerAdmin(
  faults: Faults,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const text = Buffer.concat(await request.toArray()).toString();
  const { status, body } = answerFaults(faults, request.method ?? 'GET', text);
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
