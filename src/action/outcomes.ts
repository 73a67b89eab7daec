/** What each kind of result means, in the words that a summary shows. */
export const outcomes = {
  done: 'it was done, and seen to be well',
  unchanged: 'there was nothing to do',
  reverted: 'the old state was put back, and seen healthy',
  refused: 'nothing was changed',
  failed: 'it did not succeed; what there was before was not seen to be back everywhere',
  unknown: 'we cannot tell what happened; never taken for success',
} as const;

export type Outcome = keyof typeof outcomes;

export function isOutcome(text: string): text is Outcome {
  return Object.hasOwn(outcomes, text);
}
