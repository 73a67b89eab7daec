// What may befall a promotion: its runner dies, or the answer to a call that changes something is lost.
import type { Wish } from '../../../rehearsal/faults/faults.ts';
import { app } from './app.ts';
import { beforeLease, betweenSteps, type Death, halfWay } from './deaths.ts';

/** The runner dies at these places, each by an attempt of its own, or these calls go wrong. */
export type Trouble = { readonly name: string } & (
  | { readonly deaths: readonly Death[] }
  | { readonly fault: Wish }
);

const put = (what: string): Omit<Wish, 'kind'> => ({ action: 'PutObject', resource: `*/${what}/*` });
const send = (document: string): Omit<Wish, 'kind'> => ({
  action: 'SendCommand',
  resource: `*document/${app}-${document}`,
});
const take = (role: string): Omit<Wish, 'kind'> => ({
  action: 'AssumeRoleWithWebIdentity',
  resource: `*role/${app}-${role}`,
});

const mutations: Readonly<Record<string, Omit<Wish, 'kind'>>> = {
  'taking the role': take('production-ci'),
  'taking the role that sees the proof': take('staging-promoter'),
  'writing the tag down': put('tags'),
  'asking staging': { ...send('probe'), principal: `role/${app}-staging-promoter` },
  'asking production': { ...send('probe'), principal: `role/${app}-production-ci` },
  'taking the lease': put('leases'),
  'sending the backup': send('backup'),
  "the host's backup": put('backups'),
  'making the image': { action: 'CreateImage' },
  'storing the archive': put('releases'),
  'claiming the commit': put('commits'),
  'sending the deploy': send('deploy'),
  "the host's result": put('results'),
  "the host's log": put('logs'),
  'writing the ledger': put('ledger'),
  'writing the receipt': put('receipts'),
  'writing the notes': { action: 'github:PATCH' },
  'giving the lease back': { ...put('leases'), after: 1 },
};

/** A host tries these again for a quarter of an hour, longer than the runner waits here. */
const patient = new Set(["the host's backup"]);

/** Each place alone, and those where nothing is changed yet one after the other. */
export const troubles: readonly Trouble[] = [
  { name: 'the runner dies: at each step before the lease', deaths: beforeLease },
  ...[...betweenSteps, ...halfWay].map((death) => ({
    ...{ name: `the runner dies: ${death.name}`, deaths: [death] },
  })),
  ...Object.entries(mutations).flatMap(([name, call]) => [
    { name: `${name}: its answer lost once`, fault: { ...call, kind: 'lost' } as const },
    patient.has(name)
      ? { name: `${name}: its answer lost four times`, fault: { ...call, kind: 'lost', times: 4 } as const }
      : {
          name: `${name}: its answer lost each time`,
          fault: { ...call, kind: 'lost', times: 'always' } as const,
        },
  ]),
];
