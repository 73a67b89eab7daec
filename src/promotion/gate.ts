import { OperationError } from '../action/errors.ts';
import type { Reason } from '../action/reasons.ts';
import type { Bucket } from '../aws/bucket.ts';
import type { GitHub } from '../github/github.ts';
import type { Tags } from '../github/tags.ts';
import type { Operation, Services } from '../operation/operation.ts';

/** One side of a promotion: where a release was proven, or where it is to come. */
export interface Side {
  readonly services: Services;
  readonly operation: Operation;
}

/** What the gates look at. */
export interface Ground {
  readonly origin: Side;
  readonly goal: Side;
  readonly github: Pick<GitHub, 'compare'>;
  readonly tags: Tags;
  readonly tag: string;
  /** The commit that the event of the tag told; undefined where a person named the tag. */
  readonly told: string | undefined;
  /** Whether a person confirmed it by the tag's name. */
  readonly confirmed: boolean;
  /** Whether nothing at all may be written: a plan. */
  readonly planned: boolean;
  readonly soakMs: number;
  readonly proofMs: number;
  /** The backup bucket of the goal. */
  readonly backups: Bucket;
  /** Where the archive is put. */
  readonly archive: string;
  readonly signal: AbortSignal;
}

/** What a gate found, in a line for people. */
export interface Passed<Value> {
  readonly value: Value;
  readonly evidence: string;
}

interface Refused {
  readonly reason: Reason;
  readonly happened: string;
  readonly instance?: string;
  readonly todo: string;
}

/** A gate that does not open: nothing was changed by then. */
export function shut(refused: Refused): OperationError {
  return new OperationError({ ...refused, stateNow: 'Nothing was changed.' });
}
