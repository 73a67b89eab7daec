import type { Figure } from './figure.ts';
import type { Grounds } from './grounds.ts';

/** What a row is given while it plays. */
export interface Play {
  /** The local cloud that rows share, raised for the first who asks. */
  readonly grounds: () => Promise<Grounds>;
  /** Keeps a picture for docs/, by the name of its file. */
  readonly picture: (file: string, svg: string) => void;
  /** Tells how far it is. */
  readonly say: (line: string) => void;
  readonly stop: AbortSignal;
}

/** One row of the bench: some figures that are measured together. */
export interface Row {
  /** What one says to play it alone: `npm run bench -- NAME`. */
  readonly name: string;
  readonly title: string;
  readonly play: (play: Play) => Promise<Figure[]>;
}
