import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { behindFaults } from '../faults/front.ts';
import { type Claims, ISSUER, Issuer } from './issuer.ts';

/** A job that may ask for tokens. */
interface Job {
  readonly requestToken: string;
  readonly claims: Claims;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** GitHub's token server: the runner opens a job with POST /runs, the job asks with its own secret. */
export function createTokenServer(issuer: Issuer = new Issuer()): Server {
  const jobs = new Map<string, Job>();
  const listener = behindFaults('oidc', (request, response) => {
    answer(request, jobs, issuer)
      .catch((trouble: unknown): Answer => ({ status: 400, body: { message: String(trouble) } }))
      .then(({ status, body }) => {
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(JSON.stringify(body));
      })
      .catch((trouble: unknown) => process.stderr.write(`${String(trouble)}\n`));
  });
  return createServer(listener);
}

async function answer(request: IncomingMessage, jobs: Map<string, Job>, issuer: Issuer): Promise<Answer> {
  const base = `http://${request.headers.host}`;
  const url = new URL(request.url ?? '/', base);
  const place = `${request.method} ${url.pathname}`;
  if (place === 'POST /runs') return openJob(jobs, readClaims(await textOf(request)), base);
  if (place === 'GET /.well-known/jwks') return { status: 200, body: issuer.jwks() };
  if (place === 'GET /.well-known/openid-configuration') return { status: 200, body: describe(base) };
  const id = /^GET \/token\/([0-9a-f]+)$/.exec(place)?.[1];
  if (id === undefined) return { status: 501, body: { message: `the token server has no ${place}` } };
  return giveToken(jobs.get(id), request.headers.authorization, url.searchParams.get('audience'), issuer);
}

function openJob(jobs: Map<string, Job>, claims: Claims, base: string): Answer {
  const id = randomBytes(16).toString('hex');
  const requestToken = randomBytes(32).toString('base64url');
  jobs.set(id, { requestToken, claims });
  // The caller appends `&audience=…`, so the address must have a query already, as GitHub's has.
  return { status: 200, body: { requestUrl: `${base}/token/${id}?api-version=2.0`, requestToken } };
}

function giveToken(
  job: Job | undefined,
  authorization: string | undefined,
  audience: string | null,
  issuer: Issuer,
): Answer {
  const secret = /^bearer (.+)$/i.exec(authorization ?? '')?.[1];
  if (!job || secret !== job.requestToken) {
    return { status: 401, body: { message: 'this request token belongs to no job' } };
  }
  const owner = job.claims['repository_owner'] ?? '';
  return {
    status: 200,
    body: { value: issuer.issue(job.claims, audience ?? `https://github.com/${owner}`) },
  };
}

function readClaims(text: string): Claims {
  const claims: unknown = JSON.parse(text);
  const isPlain = typeof claims === 'object' && claims !== null && !Array.isArray(claims);
  if (!isPlain || !Object.values(claims).every((value) => typeof value === 'string')) {
    throw new Error(
      'claims must be an object of strings, e.g. {"sub": "repo:acme/isso:environment:staging"}',
    );
  }
  return claims as Claims;
}

function describe(base: string): unknown {
  return {
    issuer: ISSUER,
    jwks_uri: `${base}/.well-known/jwks`,
    subject_types_supported: ['public', 'pairwise'],
    response_types_supported: ['id_token'],
    id_token_signing_alg_values_supported: ['RS256'],
    scopes_supported: ['openid'],
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  return Buffer.concat(await request.toArray()).toString();
}
