import {
  createHash,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  randomUUID,
  sign,
} from 'node:crypto';

/** The issuer that GitHub's own tokens name, and that the account's OIDC provider trusts. */
export const ISSUER = 'https://token.actions.githubusercontent.com';

const LIFETIME = 300;

/** What a job's token says beside the issuer's own claims, e.g. sub, repository, ref, environment. */
export type Claims = Readonly<Record<string, string>>;

/** Signs job tokens with a key of its own, made anew at each start. */
export class Issuer {
  readonly #privateKey: KeyObject;
  readonly #publicKey: JsonWebKey;
  readonly #keyId: string;
  readonly #now: () => number;

  /** @param now milliseconds since the epoch */
  constructor(now: () => number = Date.now) {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.#privateKey = privateKey;
    this.#publicKey = publicKey.export({ format: 'jwk' });
    this.#keyId = createHash('sha256').update(String(this.#publicKey.n)).digest('hex').slice(0, 40);
    this.#now = now;
  }

  /** A JWT (RS256) with these claims for this audience, valid for five minutes. */
  issue(claims: Claims, audience: string): string {
    const issued = Math.floor(this.#now() / 1000);
    const header = { typ: 'JWT', alg: 'RS256', x5t: this.#keyId, kid: this.#keyId };
    const payload = {
      ...claims,
      jti: randomUUID(),
      iss: ISSUER,
      aud: audience,
      iat: issued,
      nbf: issued - LIFETIME,
      exp: issued + LIFETIME,
    };
    const content = `${encode(header)}.${encode(payload)}`;
    return `${content}.${sign('RSA-SHA256', Buffer.from(content), this.#privateKey).toString('base64url')}`;
  }

  /** The public key, as `/.well-known/jwks` shows it. */
  jwks(): { keys: JsonWebKey[] } {
    return { keys: [{ ...this.#publicKey, use: 'sig', alg: 'RS256', kid: this.#keyId, x5t: this.#keyId }] };
  }
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
