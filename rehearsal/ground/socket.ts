import { request } from 'node:http';

/** An answer that a program gave in JSON. */
export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Asks a program of the cloud over its Unix socket. Rejects, naming what was asked, when nobody listens or answers. */
export function ask(socket: string, method: string, path: string, body?: unknown): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error): void =>
      reject(new Error(`${method} ${path} at ${socket}: ${cause.message}`, { cause }));
    const sent = request({
      socketPath: socket,
      method,
      path,
      headers: { 'content-type': 'application/json' },
      // A kept connection may lead to a program that has died since: that is an EPIPE without a request.
      agent: false,
    });
    sent.on('error', fail);
    sent.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', fail);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        resolve({ status: response.statusCode ?? 0, body: text === '' ? undefined : parse(text) });
      });
    });
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
