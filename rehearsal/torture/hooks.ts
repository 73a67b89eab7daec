/** Hooks that do what hooks must not do. */
import { deployed, type Expected, type Manner, type Point } from './journal.ts';
import { at } from './steps.ts';
import type { Fault, Stage } from './trial.ts';

type Hook = 'prepare' | 'migrate' | 'check';

/** The hook that a step runs, and whether on live data. */
const hookOf: Record<string, { hook: Hook; live?: true }> = {
  prepare: { hook: 'prepare' },
  'rehearse-migrate': { hook: 'migrate' },
  rehearse: { hook: 'check' },
  migrate: { hook: 'migrate', live: true },
};

function only({ step }: Point): { hook: Hook; live?: true } {
  const found = hookOf[step];
  if (found === undefined) throw new Error(`no hook runs in ${step}`);
  return found;
}

/** The hook of a point does this; as `migrate`, on the copy alone or on live data alone. */
function does(text: string): NonNullable<Fault['variant']> {
  return (point, base) => {
    const { hook, live } = only(point);
    if (hook !== 'migrate') return { [hook]: text };
    return {
      migrate: `if [[ ${live ? '-z' : '-n'} \${UNDERSTUDY_REHEARSAL:-} ]]; then\n${text}\nfi\n${base.migrate}`,
    };
  };
}

// A hook does not know how its release takes over, but where it changes live data.
const everyHook: Fault['points'] = (manner) =>
  at(...(manner === 'pause' ? ['prepare', 'rehearse-migrate', 'rehearse', 'migrate'] : ['migrate']))(manner);
const reasonOf: Record<Hook, string> = {
  ...{ prepare: 'prepare-failed', migrate: 'migrate-failed', check: 'check-failed' },
};

function reverted(reason: string, says: Expected['says']): Expected {
  return { result: 'reverted', reason, live: 'old', met: false, data: 'old', says };
}

function exits(code: number): Fault {
  return {
    name: `a hook that exits with ${code}`,
    points: (manner) =>
      manner === 'pause' ? at('prepare', ...(code === 137 ? ['migrate'] : []))(manner) : [],
    variant: does(`exit ${code}`),
    expected: (_: Manner, point) => {
      const { hook } = only(point);
      return reverted(reasonOf[hook], `The hook ${hook} ended with code ${code}`);
    },
  };
}

// Whoever runs as one of the users of hooks, when no hook runs.
const nobodyIsLeft = async ({ host }: Stage): Promise<void> => {
  const left = await host.shell("pgrep -xf 'sleep 1000' || true");
  if (left !== '') throw new Error(`children of the hook are left: ${left}`);
};

const children = 'sleep 1000 &\nsetsid sleep 1000 &\nsetsid setsid sleep 1000 >/dev/null 2>&1 &';

export const hooks: readonly Fault[] = [
  {
    name: 'a hook that hangs, with children in sessions of their own',
    points: everyHook,
    variant: does(`${children}\ntrap '' TERM\nsleep 1000`),
    parameters: { timeout: '32' },
    expected: () => reverted('timed-out', /time of 24 s was over|The operation died in step/),
    mend: nobodyIsLeft,
  },
  {
    name: 'a hook that hangs, and is cancelled',
    points: (manner) => (manner === 'pause' ? at('rehearse', 'prepare', 'rehearse-migrate')(manner) : []),
    variant: does(`touch /tmp/hanging\n${children}\nsleep 1000`),
    meanwhile: async ({ host, operation }) => {
      await host.until("pgrep -xf 'sleep 1000'");
      await host.run('cancel', { about: operation });
    },
    expected: () => reverted('cancelled', /^Cancelled on request/),
    mend: nobodyIsLeft,
  },
  {
    name: 'a hook that prints 10 MB of noise',
    points: everyHook,
    variant: does('head -c 5000000 /dev/urandom; head -c 5000000 /dev/urandom >&2'),
    expected: () => deployed,
  },
  {
    name: 'a hook that leaves children which hold its output',
    points: everyHook,
    variant: does(children),
    expected: () => deployed,
    mend: nobodyIsLeft,
  },
  ...[137, 168, 169, 194, 255].map(exits),
];
