// Where a runner may die in a promotion: at each step of its plan, and while a host is at work for it.
import { join } from 'node:path';
import { app } from './app.ts';

/** A place, and what the runner is about to say when it comes there. */
export interface Death {
  readonly name: string;
  readonly words: string;
}

const at = (phase: string): Death => ({ name: `before "${phase}"`, words: `::group::${phase}` });

/** Nothing is taken or changed there yet. */
export const beforeLease: readonly Death[] = [
  at('Look at the buckets'),
  ...[
    ...['the tag is on the default branch', 'the tag was never moved', 'the tag is protected'],
    ...['the commit has a release', 'its instances are there', 'it has a receipt', 'it has soaked'],
    ...['its bytes are those', 'it descends from what is live', 'a backup is proven to restore'],
  ].map((gate) => at(`Gate: ${gate}`)),
];

/** Each leaves behind what nothing else does, or what could be made twice: in this order of one and the same run. */
export const halfWay: readonly Death[] = [
  { name: 'while the host backs up', words: `sent ${app}-backup` },
  { name: 'with the image just asked for', words: 'is asked for, by the name' },
  { name: 'while the host deploys', words: `sent ${app}-deploy` },
  { name: 'with all done but to give the lease back', words: 'noted in the release of' },
];

/** The others, where the lease is held. */
export const betweenSteps: readonly Death[] = [
  { name: 'with the lease just taken', words: 'the lease of production is ours' },
  ...[
    ...[
      'Look once more',
      'Back up',
      'Make an image',
      'Copy the release',
      'Deploy',
      'Judge',
      'Watch',
      'Record',
    ],
  ].map(at),
];

/** The environment of a runner that dies there, as by `kill -9`. */
export const dyingAt = ({ words }: Pick<Death, 'words'>): Record<string, string> => ({
  NODE_OPTIONS: `--import=${join(import.meta.dirname, '../faults/preload.ts')}`,
  DIE_AT: words,
});
