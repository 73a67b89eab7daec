/** An operation that stands still at a line of its journal, and is struck there. */
import type { Host, Result } from '../../tests/host/ground.ts';
import { askHosts, awaitUpAnew, type Cloud, describeHost } from '../cloud/cloud.ts';
import { haltAt, letGo, untilHalted } from './halt.ts';
import { nameOf, type Point } from './journal.ts';

/** The operation that a fault strikes. */
export interface Victim {
  readonly stage: { readonly cloud: Cloud };
  readonly host: Host;
  readonly operation: string;
  /** What its watcher tells, or undefined where that is not left to tell anything. */
  told: Promise<Result | undefined>;
}

/** Strikes at each of the points; at the first, the operation is on its way to stand still already. */
export async function strikeAt<Each extends Victim>(
  points: readonly Point[],
  strike: (victim: Each, point: Point) => Promise<void>,
  victim: Each,
): Promise<void> {
  for (const point of points) {
    await haltAt(victim.host, point);
    const over = victim.told.then((early) => neverCame(point, early));
    await Promise.race([untilHalted(victim.host, point), over]);
    await strike(victim, point);
  }
  await letGo(victim.host);
}

function neverCame(point: Point, early: Result | undefined): never {
  throw new Error(`it ended before ${nameOf(point)}: ${early?.sentence ?? 'without a word'}`);
}

/** What the operation's journal tells in the end, whoever wrote it. */
export async function lineOf(host: Host, operation: string): Promise<Result> {
  const line = `/var/lib/understudy/shop/operations/${operation}/line`;
  await host.until(`test -f ${line}`);
  return JSON.parse(await host.shell(`cat ${line}`)) as Result;
}

/** To all of its processes, or to the script that does the work alone. */
export const kill =
  (signal: string, whom: 'all' | 'main' = 'all') =>
  async ({ host, operation }: Victim): Promise<void> => {
    await host.shell(
      `systemctl kill --kill-whom=${whom} --signal=${signal} understudy-shop-${operation}.service`,
    );
  };

export async function reboot({ stage: { cloud }, host, told }: Victim): Promise<void> {
  const { leader } = await describeHost(cloud, host.instanceId);
  await askHosts(cloud, 'POST', `/hosts/${host.instanceId}/reboot`);
  await told;
  await awaitUpAnew(cloud, host.instanceId, leader);
}
