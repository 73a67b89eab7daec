// Which calls of a deploy may go wrong, how, and what the deploy must come to.
import type { Kind, Wish } from '../../../rehearsal/faults/faults.ts';
import { app } from './app.ts';

/** A call of a deploy that may go wrong. */
interface Spot {
  readonly name: string;
  readonly call: Pick<Wish, 'action' | 'resource' | 'principal' | 'after'>;
  /** Whether it is met only when there is something new to deploy. */
  readonly fresh?: true;
  /** Result and reason when it goes wrong each time; where a kind is not named, the deploy ends well. */
  readonly lasting?: Partial<Record<Kind, string>>;
}

const document = (name: string): string => `*document/${app}-${name}`;
const all = (told: string) => ({ throttle: told, error: told, lost: told });
const unanswered = { ...all('refused/aws-failed'), denied: 'refused/access-denied' };
const unstored = { ...all('refused/store-failed'), denied: 'refused/access-denied' };
// A command whose answer is lost is found by its operation.
const unsent = {
  throttle: 'refused/aws-failed',
  error: 'refused/aws-failed',
  denied: 'refused/access-denied',
};
const put = (what: string): Spot['call'] => ({ action: 'PutObject', resource: `*/${what}/*` });

/** Every call of a deploy that changes something. */
const mutations: readonly Spot[] = [
  {
    name: 'taking the role',
    call: { action: 'AssumeRoleWithWebIdentity' },
    lasting: { ...unanswered, denied: 'refused/role-refused' },
  },
  { name: 'storing the archive', call: put('releases'), lasting: unstored },
  { name: 'claiming the commit', call: put('commits'), lasting: unstored },
  { name: 'taking the lease', call: put('leases'), lasting: unanswered },
  {
    name: 'sending the probe',
    call: { action: 'SendCommand', resource: document('probe') },
    lasting: unsent,
  },
  {
    name: 'sending the deploy',
    call: { action: 'SendCommand', resource: document('deploy') },
    fresh: true,
    // A 500 may hide a command that was taken, so long as the host has not begun it nobody can tell.
    lasting: { ...unsent, error: 'unknown/no-result' },
  },
  { name: "the host's result", call: put('results'), fresh: true },
  { name: "the host's log", call: put('logs'), fresh: true },
  { name: 'writing the ledger', call: put('ledger') },
  { name: 'writing the receipt', call: put('receipts') },
  { name: 'giving the lease back', call: { ...put('leases'), after: 1 } },
];

const unasked = { ...all('refused/github-failed'), denied: 'refused/github-failed' };

/** Calls that only ask. */
const questions: readonly Spot[] = [
  {
    name: 'following the command',
    call: { action: 'ListCommandInvocations' },
    lasting: unanswered,
  },
  {
    name: 'reading the lease',
    call: { action: 'GetObject', resource: '*/leases/*' },
    lasting: unanswered,
  },
  {
    name: 'finding the document',
    call: { action: 'DescribeDocument', resource: document('deploy') },
    lasting: unanswered,
  },
  {
    name: 'finding the instances',
    call: { action: 'DescribeInstances', principal: `role/${app}-staging-ci` },
    lasting: unanswered,
  },
  {
    name: 'asking GitHub',
    call: { action: 'github:GET' },
    lasting: unasked,
  },
  {
    name: 'asking for the token',
    call: { action: 'oidc:GET' },
    lasting: unasked,
  },
];

/** How a call goes wrong. */
interface Manner {
  readonly name: string;
  readonly how: Pick<Wish, 'kind' | 'times' | 'seconds'>;
}

const manners: readonly Manner[] = [
  { name: 'throttled once', how: { kind: 'throttle' } },
  { name: 'a 500 once', how: { kind: 'error' } },
  { name: 'its answer lost once', how: { kind: 'lost' } },
  { name: 'late', how: { kind: 'delay', seconds: 1 } },
  { name: 'throttled each time', how: { kind: 'throttle', times: 'always' } },
  { name: 'a 500 each time', how: { kind: 'error', times: 'always' } },
  { name: 'its answer lost each time', how: { kind: 'lost', times: 'always' } },
  { name: 'denied', how: { kind: 'denied', times: 'always' } },
];

/** A spot and a manner. */
export interface Case {
  readonly name: string;
  readonly spot: Spot;
  readonly manner: Manner;
  /** Result and reason that the run must tell. */
  readonly told: string;
}

/** Every call in every manner; and the few that `npm test` plays: each call, and each manner, at least once. */
export const matrix: readonly Case[] = [...mutations, ...questions].flatMap((spot) =>
  manners.map((manner) => ({
    ...{ name: `${spot.name}: ${manner.name}`, spot, manner },
    told: toldOf(spot, manner),
  })),
);

function toldOf({ fresh, lasting = {} }: Spot, { how }: Manner): string {
  const well = fresh ? 'done/deployed' : 'unchanged/already-live';
  return how.times === 'always' ? (lasting[how.kind] ?? well) : well;
}

const few = [
  'taking the role: throttled each time',
  'storing the archive: its answer lost once',
  'claiming the commit: a 500 once',
  'taking the lease: its answer lost once',
  'taking the lease: its answer lost each time',
  'sending the probe: throttled once',
  'sending the deploy: its answer lost each time',
  'sending the deploy: denied',
  "the host's result: a 500 each time",
  'writing the ledger: its answer lost once',
  'writing the receipt: late',
  'giving the lease back: its answer lost once',
  'giving the lease back: a 500 each time',
  'following the command: throttled each time',
];

export const sample: readonly Case[] = matrix.filter(({ name }) => few.includes(name));
