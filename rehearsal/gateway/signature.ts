import type { Call } from './call.ts';
import { ServiceError } from './errors.ts';

const minute = 60_000;

/**
 * Refuses a call that was signed at another time than the service's, as AWS does: S3 after 15 minutes, others after 5;
 * a presigned one when its own time is over.
 * @param now the service's time, ms since the epoch
 */
export function refuseSkewed({ headers, query, protocol }: Call, now: number): void {
  const signed = String(headers['x-amz-date'] ?? query.get('X-Amz-Date') ?? '');
  const [, date, time] = /^(\d{8})T(\d{6})Z$/.exec(signed) ?? [];
  if (date === undefined || time === undefined) return;
  const at = Date.parse(`${dashed(date)}T${time.replace(/(..)(..)(..)/, '$1:$2:$3')}Z`);
  const lasts = query.get('X-Amz-Expires');
  if (lasts !== null) {
    if (now <= at + Number(lasts) * 1000) return;
    throw new ServiceError('AccessDenied', 'Request has expired', 403);
  }
  const off = Math.abs(now - at);
  if (protocol === 's3' && off > 15 * minute) {
    const sentence = 'The difference between the request time and the current time is too large.';
    throw new ServiceError('RequestTimeTooSkewed', sentence, 403);
  }
  if (protocol === 's3' || off <= 5 * minute) return;
  const sentence = `Signature expired: ${signed} is not within 5 min. of now.`;
  if (protocol === 'json') throw new ServiceError('InvalidSignatureException', sentence);
  throw new ServiceError(protocol === 'ec2' ? 'RequestExpired' : 'SignatureDoesNotMatch', sentence, 403);
}

const dashed = (date: string): string => date.replace(/(....)(..)(..)/, '$1-$2-$3');
