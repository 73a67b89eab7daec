import type { RecordedCall } from '../gateway/record.ts';
import type { Holder } from './foundation.ts';
import { ask, type Question } from './question.ts';

/** What a call that the gateway recorded says of permissions. */
type Call = Pick<RecordedCall, 'service' | 'action' | 'resource' | 'principal'>;

/** A call that was made in the local cloud, and would be denied in AWS. */
export interface DeniedCall extends Call {
  readonly because: string;
}

/** Calls whose permission has another name (https://docs.aws.amazon.com/service-authorization/). */
const permissionOf: Readonly<Record<string, string>> = {
  's3:HeadObject': 's3:GetObject',
  's3:HeadBucket': 's3:ListBucket',
  's3:GetPublicAccessBlock': 's3:GetBucketPublicAccessBlock',
  's3:ListObjects': 's3:ListBucket',
  's3:ListObjectsV2': 's3:ListBucket',
  's3:CopyObject': 's3:PutObject',
  's3:CreateMultipartUpload': 's3:PutObject',
  's3:UploadPart': 's3:PutObject',
  's3:CompleteMultipartUpload': 's3:PutObject',
};

/** Calls that ask for no permission of the role: made before there is one, or for the instance by itself. */
const free = ['sts:AssumeRoleWithWebIdentity', 'sts:GetCallerIdentity', 'ssm:RegisterManagedInstance'];

/**
 * The calls of roles that the shipped policies would not allow, each once. A record tells no context, so conditions
 * are taken to hold; whether they do is for tests that know it. What an operator called is not judged.
 */
export async function findDeniedCalls(
  calls: readonly Call[],
  holders: ReadonlyMap<string, Holder>,
): Promise<DeniedCall[]> {
  const judged = distinct(calls.filter(isByRole));
  const verdicts = await ask(judged.map((call) => questionOf(call, holders)));
  return judged.flatMap((call, index) => {
    const verdict = verdicts[index];
    return verdict?.allowed ? [] : [{ ...call, because: verdict?.because ?? 'not judged' }];
  });
}

function isByRole({ service, action, principal }: Call): boolean {
  return principal.startsWith('role/') && !free.includes(`${service}:${action}`);
}

function questionOf({ service, action, resource, principal }: Call, holders: ReadonlyMap<string, Holder>) {
  const called = `${service}:${action}`;
  const policies = holders.get(principal.replace(/^role\//, ''))?.policies ?? [];
  return { action: permissionOf[called] ?? called, resource, policies } satisfies Question;
}

function distinct(calls: readonly Call[]): Call[] {
  const byText = calls.map(({ service, action, resource, principal }) => {
    const call = { service, action, resource, principal };
    return [JSON.stringify(call), call] as const;
  });
  return [...new Map(byText).values()];
}
