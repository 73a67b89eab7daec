/** One bar: what was measured of one of those who are compared. */
export interface Bar {
  readonly label: string;
  readonly value: number;
  /** The value as people read it. */
  readonly text: string;
  readonly kind: 'ours' | 'peer';
}

/** One line of the table of figures. */
export interface Figure {
  readonly name: string;
  /** As people read it: `0.36 ×`. */
  readonly measured: string;
  /** The limit as people read it, or that it is shown without one. */
  readonly must: string;
  /** Undefined where there is no limit. */
  readonly holds?: boolean;
  /** How it was measured, against what, and why it does not hold where it does not. */
  readonly note: string;
  readonly bars: readonly Bar[];
}

type Told = Pick<Figure, 'name' | 'note'> & { readonly bars?: readonly Bar[] };

/** A figure that holds while its value is at most the limit. */
export function atMost(
  value: number,
  limit: number,
  tell: (value: number) => string,
  { name, note, bars = [] }: Told,
): Figure {
  return { name, measured: tell(value), must: `≤ ${tell(limit)}`, holds: value <= limit, note, bars };
}

/** A figure that is told without a limit. */
export function shown(measured: string, { name, note, bars = [] }: Told): Figure {
  return { name, measured, must: 'shown', note, bars };
}

/** What stands where a figure could not be measured: it does not hold, and says why. */
export function unmeasured(name: string, cause: unknown): Figure {
  const why = cause instanceof Error ? cause.message : String(cause);
  return {
    name,
    measured: 'not measured',
    must: 'measured',
    holds: false,
    note: why.slice(0, 600),
    bars: [],
  };
}

export const ours = (label: string, value: number, text: string): Bar => ({
  label,
  value,
  text,
  kind: 'ours',
});
export const peer = (label: string, value: number, text: string): Bar => ({
  label,
  value,
  text,
  kind: 'peer',
});

// How values are told.
export const times = (value: number): string => `${value.toFixed(2)} ×`;
export const seconds = (value: number): string => `${value.toFixed(value < 10 ? 2 : 1)} s`;
export const milliseconds = (value: number): string => `${Math.round(value)} ms`;
export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 0)} MB`;
