/** Faults that end an operation, or somebody around it, without a word: kills, reboots and power cuts. */
import { afterDeath } from './journal.ts';
import { at, eachPoint, eachStep } from './steps.ts';
import { kill, reboot } from './strike.ts';
import type { Fault } from './trial.ts';

export const deaths: readonly Fault[] = [
  {
    name: 'kill -9 of the operation',
    points: eachPoint('rehearse'),
    strike: kill('KILL'),
    expected: afterDeath,
  },
  {
    name: 'SIGTERM to the operation',
    points: at('switch:exposed'),
    strike: kill('TERM'),
    expected: afterDeath,
  },
  {
    name: 'a reboot',
    // A power cut is the same without the kindness: it is played everywhere by both.
    points: (manner) =>
      manner === 'pause'
        ? eachStep('migrate')(manner)
        : at('migrate', 'switch', 'check', 'current', 'watch')(manner),
    strike: reboot,
    expected: afterDeath,
    machineGoes: true,
  },
  {
    name: 'a power cut',
    points: eachStep('switch'),
    strike: ({ host }) => host.cutPower(),
    expected: afterDeath,
    machineGoes: true,
  },
];
