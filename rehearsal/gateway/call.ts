import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { ServiceError } from './errors.ts';

/** How a service wants its requests and errors written. */
export type Protocol = 'json' | 'query' | 'ec2' | 's3' | 'other';

/** One request to one AWS service, before anybody has judged it. */
export interface Call {
  readonly service: string;
  readonly action: string;
  readonly protocol: Protocol;
  readonly region: string;
  /** The access key that signed the request; it is not verified (see README). */
  readonly accessKey: string | undefined;
  readonly method: string;
  /** Path and query as they were sent. */
  readonly url: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** Bytes of a JSON or form request. Empty for S3 and others, whose bodies stay in `stream`. */
  readonly body: Buffer;
  readonly stream: IncomingMessage;
}

/** What goes back to the caller. */
export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[]>;
  readonly body: Buffer | NodeJS.ReadableStream;
  /** The error's code, for the record. */
  readonly error?: string;
}

const largestForm = 2 * 1024 * 1024;

/** Reads a whole body. @throws ServiceError RequestEntityTooLarge over 2 MiB: no API here takes more. */
export async function readBody(stream: NodeJS.ReadableStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk as Uint8Array);
    size += bytes.length;
    if (size > largestForm) throw new ServiceError('RequestEntityTooLarge', 'Request body over 2 MiB.', 413);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

/** The parameters of a Query request: its form body, or its query string. */
export function formOf(call: Pick<Call, 'body' | 'query'>): URLSearchParams {
  return call.body.length > 0
    ? new URLSearchParams(call.body.toString('utf8'))
    : new URLSearchParams(call.query);
}
