/** Every fault, at every point where it can strike a backup or a restore. */
import type { Point } from '../journal.ts';
import { deaths } from './deaths.ts';
import { type Operation, operations } from './journal.ts';
import { long } from './long.ts';
import type { DataFault } from './trial.ts';

export interface DataPlace {
  readonly operation: Operation;
  readonly fault: DataFault;
  readonly point: Point;
  /** True for the point of a fault that says the most of it. */
  readonly first: boolean;
}

export const dataPlaces: readonly DataPlace[] = operations.flatMap((operation) =>
  [...deaths, ...long].flatMap((fault) =>
    fault.points(operation).map((point, index) => ({ operation, fault, point, first: index === 0 })),
  ),
);

/** What every `npm test` plays. */
export const dataSample = dataPlaces.filter(
  ({ operation, fault, first }) => first && fault.sampled?.includes(operation),
);
