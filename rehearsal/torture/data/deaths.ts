/** Faults that end a backup or a restore, or its watcher, without a word: kills, reboots and power cuts. */
import { atStart } from '../../../tests/host/restores.ts';
import { eachInTurn } from '../journal.ts';
import { kill, reboot } from '../strike.ts';
import { afterDeath, eachPoint, eachStep, type Operation, undoing, wellEnded } from './journal.ts';
import type { DataFault } from './trial.ts';

// Where a death says the most.
const first: Readonly<Record<Operation, string>> = { backup: 'upload:put', restore: 'exchange:moved' };
const points = (operation: Operation) => eachPoint(operation, first[operation]);

export const deaths: readonly DataFault[] = [
  { name: 'kill -9 of the operation', points, strike: kill('KILL'), expected: afterDeath },
  {
    name: 'kill -9 of its script alone',
    sampled: ['restore'],
    points: (operation) => eachStep(operation, operation === 'backup' ? 'upload' : 'fetch'),
    strike: kill('KILL', 'main'),
    expected: afterDeath,
  },
  {
    name: 'a reboot',
    sampled: ['backup', 'restore'],
    points: (operation) => eachStep(operation, 'copy'),
    strike: reboot,
    expected: afterDeath,
    machineGoes: true,
  },
  {
    name: 'a power cut',
    points,
    strike: ({ host }) => host.cutPower(),
    expected: afterDeath,
    machineGoes: true,
  },
  {
    name: 'kill -9 of the watcher',
    points: () => [eachInTurn],
    strike: async (struck) => {
      const { host, operation, again } = struck;
      await host.shell("pkill -9 -f '^/bin/bash /root/script'");
      if ((await struck.told) !== undefined) throw new Error('the watcher told its end, and was killed');
      struck.told = again(operation).catch(() => undefined);
      await host.until("pgrep -f '^/bin/bash /root/script'");
    },
    expected: (operation) => wellEnded[operation],
  },
  {
    name: 'kill -9 while the old set comes back, for the app did not start on the backup',
    points: (operation) => (operation === 'restore' ? undoing : []),
    // It is content with what is there, and with nothing, on which recovery could take a mixture for well.
    arrange: ({ host }) =>
      atStart(
        host,
        "[ ! -s /srv/shop/shared/app.db ] || sqlite3 /srv/shop/shared/app.db 'SELECT note FROM notes' | grep -q ^before",
      ),
    mend: ({ host }) => atStart(host, ''),
    strike: kill('KILL'),
    expected: () => ({
      result: 'reverted',
      reason: 'interrupted',
      done: false,
      says: 'The whole old set of files was put back.',
    }),
  },
];
