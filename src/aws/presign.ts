import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { SignatureV4 } from '@smithy/signature-v4';
import type { FinalizeHandler, HttpRequest } from '@smithy/types';

interface Wanted {
  readonly bucket: string;
  readonly key: string;
  /** Good for so long, and never longer than the session of the credentials that sign. */
  readonly seconds: number;
}

/** A URL by which whoever has it may read one object. Asks S3 nothing, not even whether it is there. */
export async function presignRead(s3: S3Client, { bucket, key, seconds }: Wanted): Promise<string> {
  const request = await requestFor(s3, { bucket, key });
  const { credentials, region, sha256 } = s3.config;
  const signer = new SignatureV4({
    ...{ credentials, region, sha256, service: 's3', uriEscapePath: false, applyChecksum: false },
  });
  const headers = { host: request.headers['host'] ?? '', 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' };
  const signed = await signer.presign({ ...request, headers }, { expiresIn: seconds });
  return asUrl(signed);
}

/** The request that the SDK would send, with its own rules for endpoints: taken from it before it signs. */
async function requestFor(s3: S3Client, { bucket, key }: Omit<Wanted, 'seconds'>): Promise<HttpRequest> {
  const command = new GetObjectCommand({ Bucket: bucket, Key: key });
  let request: HttpRequest | undefined;
  const keep: FinalizeHandler<object, object> = async (args) => {
    request = args.request as HttpRequest;
    return { response: {}, output: { $metadata: {} } };
  };
  command.middlewareStack.add(() => keep as never, { step: 'finalizeRequest', priority: 'high' });
  await s3.send(command);
  if (!request) throw new Error(`Bug: the SDK made no request for ${key}.`);
  return request;
}

function asUrl({ protocol, hostname, port, path, query = {} }: HttpRequest): string {
  const words = new URLSearchParams(
    Object.entries(query).map(([name, value]): [string, string] => [name, String(value ?? '')]),
  );
  return `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}?${words}`;
}
