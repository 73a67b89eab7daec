import { ServiceError } from '../errors.ts';
import type { Input } from './input.ts';

/** One page of a list: `MaxResults` (1 to 50) and `NextToken`, as SSM does it. */
export function pageOf<T>(all: T[], input: Input, largest = 50): { page: T[]; next: { NextToken?: string } } {
  const size = input.number('MaxResults', { least: 1, most: largest, otherwise: largest });
  const token = input.optionalText('NextToken');
  const start = token === undefined || token === '' ? 0 : Number(token);
  if (!Number.isInteger(start) || start < 0)
    throw new ServiceError('InvalidNextToken', 'The token is not valid.');
  const end = start + size;
  return { page: all.slice(start, end), next: end < all.length ? { NextToken: String(end) } : {} };
}

/** SSM's JSON writes dates as seconds since 1970. */
export function seconds(milliseconds: number): number {
  return milliseconds / 1000;
}
