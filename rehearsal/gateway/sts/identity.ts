import { createPublicKey, type JsonWebKey, verify } from 'node:crypto';

import { ServiceError } from '../errors.ts';

/** A key of a JWKS. */
export type PublicKey = JsonWebKey & { readonly kid?: string };

/** A web identity token, decoded. */
export interface Identity {
  /** Host and path of the issuer: what an OIDC provider's ARN ends with. */
  readonly provider: string;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** GitHub's claims that AWS turns into context keys; a condition on any other never holds (facts-aws.md). */
const knownClaims = [
  'aud',
  'sub',
  'actor',
  'actor_id',
  'enterprise_id',
  'environment',
  'job_workflow_ref',
  'ref',
  'repository',
  'repository_id',
  'repository_owner_id',
  'workflow',
];

/** Decodes a JWT, checks its times, and its RS256 signature when there are keys. @throws ServiceError */
export function readIdentity(token: string, keys: readonly PublicKey[] | undefined, now: number): Identity {
  const [head = '', body = '', signature = '', more] = token.split('.');
  const header = decode(head);
  const claims = decode(body);
  if (more !== undefined || header === undefined || claims === undefined) {
    throw new ServiceError('InvalidIdentityToken', 'The ID Token provided is not a valid JWT.');
  }
  if (keys !== undefined) checkSignature(header, `${head}.${body}`, signature, keys);
  if (Number(claims['exp']) * 1000 <= now) throw new ServiceError('ExpiredTokenException', 'Token expired.');
  if (Number(claims['nbf'] ?? 0) * 1000 > now + 300_000) {
    throw new ServiceError('InvalidIdentityToken', 'The token is not valid yet.');
  }
  return { provider: String(claims['iss']).replace(/^https?:\/\//, ''), claims };
}

/** The token's context keys as IAM conditions name them. */
export function contextOf({ provider, claims }: Identity): Record<string, string[]> {
  return Object.fromEntries(
    knownClaims.flatMap((claim) => {
      const value = claims[claim];
      if (value === undefined) return [];
      return [[`${provider}:${claim}`.toLowerCase(), (Array.isArray(value) ? value : [value]).map(String)]];
    }),
  );
}

function decode(part: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString('utf8')) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

function checkSignature(
  header: Record<string, unknown>,
  signed: string,
  signature: string,
  keys: readonly PublicKey[],
): void {
  const key = keys.find((each) => each.kid === header['kid']);
  const good =
    header['alg'] === 'RS256' &&
    key !== undefined &&
    verify(
      'RSA-SHA256',
      Buffer.from(signed),
      createPublicKey({ key, format: 'jwk' }),
      Buffer.from(signature, 'base64url'),
    );
  if (!good) throw new ServiceError('InvalidIdentityToken', "Couldn't verify the signature of the ID Token.");
}
