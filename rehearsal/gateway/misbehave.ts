import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault, Kind } from '../faults/faults.ts';
import type { Answer, Call, Protocol } from './call.ts';
import { ServiceError } from './errors.ts';

/** The faults that meet a call as such; the others are met inside a service. */
export const faultsOfCalls: readonly Kind[] = [
  'throttle',
  'error',
  'denied',
  'lost',
  'delay',
  'missing',
  'date',
];

/** What a service's error of a kind is called, and its status. */
type Codes = Readonly<Record<'throttle' | 'error' | 'denied', readonly [code: string, status: number]>>;

const query: Codes = {
  throttle: ['Throttling', 400],
  error: ['InternalFailure', 500],
  denied: ['AccessDenied', 403],
};

const codes: Readonly<Record<Protocol, Codes>> = {
  json: {
    throttle: ['ThrottlingException', 400],
    error: ['InternalServerError', 500],
    denied: ['AccessDeniedException', 400],
  },
  s3: { throttle: ['SlowDown', 503], error: ['InternalError', 500], denied: ['AccessDenied', 403] },
  ec2: {
    throttle: ['RequestLimitExceeded', 503],
    error: ['InternalError', 500],
    denied: ['UnauthorizedOperation', 403],
  },
  query,
  other: query,
};

/** The error by which a fault keeps its call from being done at all, if it is one of those. */
export function refusalBy(fault: Fault | undefined, { protocol, action }: Call): ServiceError | undefined {
  switch (fault?.kind) {
    case 'throttle':
    case 'error':
    case 'denied': {
      const [code, status] = codes[protocol][fault.kind];
      return new ServiceError(code, `${action} meets the fault ${fault.id} (${fault.kind}).`, status);
    }
    case 'missing':
      return new ServiceError('InvocationDoesNotExist', `The fault ${fault.id} keeps it from being seen.`);
    default:
      return undefined;
  }
}

/** What a fault makes of an answer that was given; undefined when it never arrives. */
export async function spoil(answer: Answer, fault: Fault | undefined): Promise<Answer | undefined> {
  const { kind, seconds = 0 } = fault ?? {};
  if (kind === 'delay') await sleep(seconds * 1000);
  if (kind === 'date') return { ...answer, headers: { ...answer.headers, date: dateOff(answer, seconds) } };
  return kind === 'lost' ? undefined : answer;
}

function dateOff({ headers }: Answer, seconds: number): string {
  const told = Date.parse(String(headers['date']));
  return new Date((Number.isNaN(told) ? Date.now() : told) + seconds * 1000).toUTCString();
}
