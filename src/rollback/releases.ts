import { ConfigurationError, OperationError } from '../action/errors.ts';
import { type HostState, toHostResult } from '../command/result-line.ts';
import type { Told } from '../ledger/read.ts';

/** What was asked for: how many back, 1 being the one before; or a release by 12 or more of its first digits. */
export type ReleaseWish = { readonly back: number } | { readonly digits: string };

/**
 * What the input `to` means of releases.
 * @throws ConfigurationError
 */
export function readReleaseWish(to: string | undefined): ReleaseWish {
  if (to === undefined || to === 'previous') return { back: 1 };
  const [, back] = /^previous-([2-4])$/.exec(to) ?? [];
  if (back !== undefined) return { back: Number(back) };
  if (/^([0-9a-f]{12}|[0-9a-f]{64})$/.test(to)) return { digits: to };
  throw new ConfigurationError({
    where: 'input to',
    what: `It must be previous, previous-2 to previous-4, or a release by its first 12 digits or all 64, not ${JSON.stringify(to)}.`,
    how: 'Example: to: previous',
  });
}

/** A release that one can go back to. */
export interface Earlier {
  /** 64 digits. */
  readonly release: string;
  /** 40 digits; empty where nobody tells it. */
  readonly commit: string;
  /** When it was deployed last on a host that keeps it, in ms since the epoch; absent where none keeps it. */
  readonly deployed?: number;
  /** Whether the live data has the schema that it ran on; undefined where no host can tell. */
  readonly fits?: boolean;
  /** Whether it was gone back from already. */
  readonly left: boolean;
}

/** The releases that every host keeps, the one that was live last first; it fits where it fits on every host. */
export function listEarlier(states: ReadonlyMap<string, HostState>, left: ReadonlySet<string>): Earlier[] {
  const [first, ...others] = [...states.values()].map(({ kept = [] }) => kept);
  return (first ?? []).flatMap(({ release, commit, deployed, fits }) => {
    const same = others.map((kept) => kept.find((one) => one.release === release));
    if (same.some((one) => one === undefined)) return [];
    const gone = left.has(release.slice(0, 12));
    return [{ release, commit, deployed, fits: fits && same.every((one) => one?.fits), left: gone }];
  });
}

/**
 * The first digits of the releases that were gone back from and not deployed since, by the ledger, the newest entry first, and by
 * what hosts did last, for a run that died has no entry: the button pressed twice must not go forward again.
 */
export function leftBehind(
  entries: readonly Told[],
  states: ReadonlyMap<string, HostState>,
): ReadonlySet<string> {
  const left = new Set<string>();
  for (const { action, result, release = '', instances } of entries.toReversed()) {
    // Of data alone, the release stayed.
    if ((result !== 'done' && result !== 'unchanged') || release === '') continue;
    left.delete(release.slice(0, 12));
    if (!action.startsWith('rollback-')) continue;
    for (const { previous = '' } of instances) if (previous !== release.slice(0, 12)) left.add(previous);
  }
  for (const state of states.values()) for (const previous of leftLast(state)) left.add(previous);
  return left;
}

function leftLast({ about }: HostState): string[] {
  const last = toHostResult(about?.result);
  return last?.action === 'rollback' && last.result === 'done' && last.previous ? [last.previous] : [];
}

/** The one that a wish means, of those that hosts keep; undefined when none of them is. */
export function chooseEarlier(earlier: readonly Earlier[], wish: ReleaseWish): Earlier | undefined {
  if ('digits' in wish) return earlier.find(({ release }) => release.startsWith(wish.digits));
  return earlier.filter(({ left }) => !left)[wish.back - 1];
}

export function noSuchRelease(wish: ReleaseWish, bucket: string): OperationError {
  const happened =
    'digits' in wish
      ? `No release ${wish.digits.slice(0, 12)} is kept on the hosts, and none is in ${bucket}.`
      : `The hosts do not keep ${wish.back === 1 ? 'a release' : `${wish.back} releases`} from before the live one.`;
  return new OperationError({
    reason: 'no-such-release',
    happened,
    stateNow: 'Nothing was changed.',
    todo: `Name one by its first 12 digits: aws s3 ls s3://${bucket}/releases/ --recursive; the plan (plan: true) lists those that are kept.`,
  });
}
