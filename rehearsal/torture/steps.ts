import { type Manner, type Point, pointOf, pointsOf } from './journal.ts';

type Points = (manner: Manner) => readonly Point[];

/** These very points. */
export function at(...names: string[]): Points {
  return (manner) => {
    const known = pointsOf(manner).map(({ step }) => step);
    return names.map(pointOf).filter(({ step }) => known.includes(step));
  };
}

/** By pause at these points; by overlap, which differs in nothing that matters here, at the first of them alone. */
export function mostlyByPause(...names: string[]): Points {
  return (manner) => (manner === 'pause' ? at(...names)(manner) : at(...names)(manner).slice(0, 1));
}

/** The beginning of each step, and `first` first. */
export function eachStep(first = 'lock'): Points {
  return (manner) => eachPoint(first)(manner).filter(({ fact }) => fact === undefined);
}

/** Each line of the journal, and `first` first. */
export function eachPoint(first: string): Points {
  return (manner) => [
    pointOf(first),
    ...pointsOf(manner).filter(({ step, fact }) => step !== first || fact !== undefined),
  ];
}
