/** Faults around an operation that goes on all the same: its watcher, the agent, a second operation, the clock. */
import { afterCancel, deployed, eachInTurn } from './journal.ts';
import { at } from './steps.ts';
import type { Fault, Struck } from './trial.ts';

/** Where a preloaded library has the scripts that start from now on read the time. It breaks who sleeps and polls. */
const clock = '/run/torture-clock';
// It keeps a semaphore that only the user who made it can open, and there are several users here.
const layClock = `lib=$(ls /usr/lib/*/faketime/libfaketime.so.1)
systemctl stop torture-clock 2>/dev/null || true
rm -f /dev/shm/*faketime*; echo +0 >${clock}; chmod 644 ${clock}
systemd-run --quiet --unit=torture-clock --setenv=LD_PRELOAD="$lib" --setenv=FAKETIME=+0 sleep infinity
until [[ -e $(echo /dev/shm/sem.faketime_sem_*) ]]; do sleep 0.1; done
chmod 666 /dev/shm/*faketime*; name=$(cd /dev/shm; echo faketime_shm_*); name=\${name#faketime_shm_}
systemctl set-environment LD_PRELOAD="$lib" FAKETIME_SHARED="/faketime_sem_$name /faketime_shm_$name" \
  FAKETIME_TIMESTAMP_FILE=${clock} FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_ONLY_CMDS=bash,date,jq`;

const setClock =
  (hours: string) =>
  async ({ host }: Struck): Promise<void> => {
    await host.shell(`echo '${hours}' >${clock}`);
  };

const wrongClock = (name: string, hours: string): Fault => ({
  name,
  points: (manner) => at(...(manner === 'pause' ? ['rehearse', 'switch'] : ['switch']))(manner),
  arrange: async ({ host }) => {
    await host.shell(layClock);
  },
  strike: setClock(hours),
  mend: async ({ host }) => {
    await host.shell('systemctl unset-environment LD_PRELOAD FAKETIME_SHARED FAKETIME_TIMESTAMP_FILE');
  },
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
