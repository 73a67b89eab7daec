import type { DocumentName } from '../document/parameters.ts';
import { judge } from './judge.ts';
import type { Operation, Services, Work } from './operation.ts';
import { sendToFleet } from './send.ts';
import type { Told } from './summary.ts';

/** An instance that nobody else works on, and of which environment it is or is to be. */
export interface LoneHost {
  readonly services: Services;
  readonly operation: Operation;
  readonly instance: string;
  readonly environment: string;
  readonly signal: AbortSignal;
}

interface Command {
  readonly document: DocumentName;
  /** The operation that the host journals it as. */
  readonly id: string;
  readonly parameters: Readonly<Record<string, string>>;
  /** Seconds that it may take. */
  readonly timeout: number;
  readonly checks: Work['checks'];
}

/** Sends a document to one host, without a lease, and gives what it came to, as any operation on a fleet of one. */
export async function sendToOne(
  { services, operation, instance, environment, signal }: LoneHost,
  { document, id, parameters, timeout, checks }: Command,
): Promise<Told> {
  const work: Work = {
    ...{ services, instances: [instance], checks },
    operation: { ...operation, environment, document, id, rollout: { concurrency: 1, errors: 0 } },
  };
  const order = { parameters, delivery: 60, timeout };
  const unleased = { signal, onSent: () => {}, requireTime: () => {} };
  const outcomes = await sendToFleet(work, order, unleased);
  const report = { title: '', started: 0, facts: [], instances: [], known: {} };
  const [told] = (await judge(work, outcomes, report, signal)).instances;
  if (!told) throw new Error(`Bug: nothing is known of ${instance}.`);
  return told;
}
