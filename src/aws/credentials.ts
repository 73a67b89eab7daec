import { AssumeRoleWithWebIdentityCommand, type STSClient } from '@aws-sdk/client-sts';
import { OperationError, sentenceOf } from '../action/errors.ts';
import { explain } from '../action/reasons.ts';
import { isThrottled, isUnclear } from './errors.ts';
import type { Clock } from './time.ts';

interface Identity {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expiration: Date;
}

export type Credentials = () => Promise<Identity>;

interface RoleOptions {
  readonly sts: STSClient;
  readonly roleArn: string;
  readonly sessionName: string;
  readonly identityToken: () => Promise<string>;
  /** STS's own time: what it says of an end means nothing on a runner whose clock is wrong. */
  readonly now: Clock;
}

/** The SDK takes credentials as expired 5 minutes early; ours must be fresher than that when it asks. */
const freshMs = 6 * 60_000;

/**
 * Credentials of a role by the job's OIDC token. They stay in this process: no other step can read them.
 * All clients share one session; it is renewed before it expires, with a new token.
 */
export function roleCredentials(options: RoleOptions): Credentials {
  const { now } = options;
  let current: Promise<Identity> | undefined;
  let expires = Number.POSITIVE_INFINITY;
  return async () => {
    if (!current || expires - now() < freshMs) {
      expires = Number.POSITIVE_INFINITY;
      current = assumeRole(options);
      current.then(
        (identity) => {
          expires = identity.expiration.getTime();
        },
        () => {
          current = undefined;
        },
      );
    }
    return current;
  };
}

async function assumeRole({ sts, roleArn, sessionName, identityToken, now }: RoleOptions): Promise<Identity> {
  const token = await identityToken();
  const { Credentials } = await sts
    .send(
      new AssumeRoleWithWebIdentityCommand({
        RoleArn: roleArn,
        RoleSessionName: sessionName,
        WebIdentityToken: token,
      }),
    )
    .catch((cause: unknown) => {
      throw isThrottled(cause) || isUnclear(cause)
        ? roleUnanswered(roleArn, cause)
        : roleRefused(roleArn, token, cause);
    });
  if (!Credentials?.AccessKeyId || !Credentials.SecretAccessKey || !Credentials.SessionToken) {
    throw roleRefused(roleArn, token, new Error('STS answered without credentials.'));
  }
  return {
    accessKeyId: Credentials.AccessKeyId,
    secretAccessKey: Credentials.SecretAccessKey,
    sessionToken: Credentials.SessionToken,
    expiration: Credentials.Expiration ?? new Date(now() + 15 * 60_000),
  };
}

/** What a trust policy may ask of a token. None of it is secret. */
const toldClaims = ['sub', 'aud', 'repository_id', 'ref', 'environment', 'job_workflow_ref'] as const;

function roleRefused(roleArn: string, token: string, cause: unknown): OperationError {
  const claims = readClaims(token);
  const told = toldClaims.flatMap((name) => (claims[name] ? [`${name}=${String(claims[name])}`] : []));
  const answer = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
  return new OperationError({
    reason: 'role-refused',
    happened: `The role ${roleArn} did not accept the job's token, which carried ${told.join(', ') || 'no readable claim'}.`,
    stateNow: `STS answered ${answer} Nothing was changed.`,
    todo: "Compare these claims with the role's trust policy (infra/foundation.yaml, parameter of the prefix of `sub`).",
    cause,
  });
}

/** STS had no answer, or too many questions: it judged neither the token nor the role. */
function roleUnanswered(roleArn: string, cause: unknown): OperationError {
  const { todo } = explain('aws-failed');
  const happened = `AWS did not say whether the job may take the role ${roleArn}: ${sentenceOf(cause)}`;
  return new OperationError({
    reason: 'aws-failed',
    happened,
    stateNow: 'Nothing was changed.',
    todo,
    cause,
  });
}

/** The claims of a JWT, unverified: only to tell the user what AWS saw. */
export function readClaims(token: string): Readonly<Record<string, unknown>> {
  try {
    const payload: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
    return typeof payload === 'object' && payload !== null ? (payload as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
