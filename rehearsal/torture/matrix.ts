/** Every fault, at every point where it can strike. */
import { agent } from './agent.ts';
import { bystanders } from './bystanders.ts';
import { deaths } from './deaths.ts';
import { hooks } from './hooks.ts';
import type { Manner, Point } from './journal.ts';
import { shortages } from './shortages.ts';
import type { Fault } from './trial.ts';

export interface Place {
  readonly manner: Manner;
  readonly fault: Fault;
  readonly point: Point;
  /** True for the point of a fault that says the most of it. */
  readonly first: boolean;
}

export const faults: readonly Fault[] = [...deaths, ...bystanders, ...agent, ...hooks, ...shortages];

/** All places of the matrix for one manner. */
export function placesOf(manner: Manner): readonly Place[] {
  return faults.flatMap((fault) =>
    fault.points(manner).map((point, index) => ({ manner, fault, point, first: index === 0 })),
  );
}

/** Each fault once, at its first point, shared out between the manners: what every `npm test` plays. */
export function onceEach(manner: Manner): readonly Place[] {
  return placesOf(manner).filter(({ fault, first }) => {
    const turn = fault.points('overlap').length > 0 && faults.indexOf(fault) % 2 === 1;
    return first && turn === (manner === 'overlap');
  });
}
