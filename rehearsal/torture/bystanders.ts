/** Faults around an operation that goes on all the same: its watcher, the agent, a second operation, the clock. */
import { layClock, liftClock, setClock } from '../../tests/host/clock.ts';
import { afterCancel, deployed, eachInTurn } from './journal.ts';
import { at } from './steps.ts';
import type { Fault } from './trial.ts';

const wrongClock = (name: string, hours: string): Fault => ({
  name,
  points: (manner) => at(...(manner === 'pause' ? ['rehearse', 'switch'] : ['switch']))(manner),
  arrange: async ({ host }) => {
    await layClock(host);
  },
  strike: ({ host }) => setClock(host, hours),
  mend: ({ host }) => liftClock(host),
  expected: () => deployed,
});

export const bystanders: readonly Fault[] = [
  {
    name: 'kill -9 of the watcher',
    points: () => [eachInTurn],
    strike: async (struck) => {
      const { host, operation, release } = struck;
      await host.shell("pkill -9 -f '^/bin/bash /root/script'");
      if ((await struck.told) !== undefined) throw new Error('the watcher told its end, and was killed');
      // As the same command sent again: it watches the operation that is there.
      struck.told = host.deployStored(release, { operation }).catch(() => undefined);
      await host.until("pgrep -f '^/bin/bash /root/script'");
    },
    expected: () => deployed,
  },
  {
    name: 'two operations at once',
    points: () => [eachInTurn],
    strike: async ({ host, operation }) => {
      const second = await host.deployStored('d'.repeat(64));
      if (second.reason !== 'busy' || !second.sentence.includes(operation))
        throw new Error(`the second operation was not refused: ${second.sentence}`);
    },
    expected: () => deployed,
  },
  {
    name: 'cancelled',
    points: at('copy', 'hold', 'switch'),
    strike: async ({ host, operation }) => {
      await host.run('cancel', { about: operation });
    },
    expected: afterCancel,
  },
  wrongClock('the clock goes an hour ahead', '+1h'),
  wrongClock('the clock goes an hour back', '-1h'),
];
