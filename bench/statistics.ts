import { percentile } from '../rehearsal/load/load.ts';

/** The middle of some values; of an even number of them the lower one. Throws where there are none. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new Error('there is no median of nothing');
  return percentile(
    values.toSorted((a, b) => a - b),
    0.5,
  );
}

/** The median of the ratios of values that were measured one after the other: what else ran then, slowed both. */
export function ratioOfPairs(values: readonly number[], others: readonly number[]): number {
  if (values.length !== others.length)
    throw new Error(`${values.length} values, and ${others.length} to compare`);
  return median(values.map((value, index) => value / (others[index] ?? Number.NaN)));
}

/** Measures some things in turn, A B C A B C …, so that a busy moment falls on all of them alike. */
export async function inTurn<Name extends string>(
  rounds: number,
  measured: Readonly<Record<Name, () => Promise<number>>>,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(measured) as Name[];
  const values = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Name, number[]>;
  for (let round = 0; round < rounds; round += 1) {
    for (const name of names) values[name].push(await measured[name]());
  }
  return values;
}
