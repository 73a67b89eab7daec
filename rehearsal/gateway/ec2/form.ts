import { wildcard } from '../../ground/wildcard.ts';
import type { Call } from '../call.ts';
import type { WholeAnswer } from '../forward.ts';

/** Sends a (changed) form on to moto. */
export type SendForm = (call: Call, form: URLSearchParams) => Promise<WholeAnswer>;

/** `Name.1`, `Name.2`, … of a Query form, in order. */
export function listOf(form: URLSearchParams, name: string): string[] {
  const pattern = new RegExp(`^${name}\\.(\\d+)$`);
  return [...form]
    .flatMap(([key, value]) => {
      const number = pattern.exec(key)?.[1];
      return number === undefined ? [] : [{ number: Number(number), value }];
    })
    .sort((a, b) => a.number - b.number)
    .map((each) => each.value);
}

/** Numbers of the structures `name.N.…` in a form. */
export function numbersOf(form: URLSearchParams, name: string): string[] {
  const pattern = new RegExp(`^${name}\\.(\\d+)\\.`);
  return [...new Set([...form.keys()].flatMap((key) => pattern.exec(key)?.[1] ?? []))];
}

export interface Filter {
  readonly name: string;
  readonly values: string[];
}

/** The filters of a Describe call. */
export function filtersOf(form: URLSearchParams): Filter[] {
  return numbersOf(form, 'Filter').map((number) => ({
    name: form.get(`Filter.${number}.Name`) ?? '',
    values: listOf(form, `Filter.${number}.Value`),
  }));
}

/** The form without those filters, the rest numbered anew: the gateway judges them on what it knows better. */
export function withoutFilters(form: URLSearchParams, names: readonly string[]): URLSearchParams {
  const kept = filtersOf(form).filter((each) => !names.includes(each.name));
  const rest = new URLSearchParams([...form].filter(([key]) => !key.startsWith('Filter.')));
  kept.forEach((filter, at) => {
    rest.set(`Filter.${at + 1}.Name`, filter.name);
    filter.values.forEach((value, index) => {
      rest.set(`Filter.${at + 1}.Value.${index + 1}`, value);
    });
  });
  return rest;
}

/** EC2's filter values may hold `*` and `?`. */
export function matchesFilter(filter: Filter, actual: string): boolean {
  return filter.values.some((value) => wildcard(value).test(actual));
}

/** Tags for one type of resource in `TagSpecification.N`. */
export function tagsFor(form: URLSearchParams, resourceType: string): { key: string; value: string }[] {
  return numbersOf(form, 'TagSpecification')
    .filter((number) => form.get(`TagSpecification.${number}.ResourceType`) === resourceType)
    .flatMap((number) =>
      numbersOf(form, `TagSpecification\\.${number}\\.Tag`).map((tag) => ({
        key: form.get(`TagSpecification.${number}.Tag.${tag}.Key`) ?? '',
        value: form.get(`TagSpecification.${number}.Tag.${tag}.Value`) ?? '',
      })),
    );
}

/** The form without the tag specification of one type of resource. */
export function withoutTagsFor(form: URLSearchParams, resourceType: string): URLSearchParams {
  const doomed = numbersOf(form, 'TagSpecification')
    .filter((number) => form.get(`TagSpecification.${number}.ResourceType`) === resourceType)
    .map((number) => `TagSpecification.${number}.`);
  return new URLSearchParams([...form].filter(([key]) => !doomed.some((prefix) => key.startsWith(prefix))));
}
