import { OperationError, sentenceOf } from '../action/errors.ts';
import { succeeded } from '../action/result.ts';
import type { Config } from '../config/config.ts';
import { type LoneHost, sendToOne } from './send-to-one.ts';
import type { Told } from './summary.ts';

const enrolSeconds = 300;

/** What `prepare-host` lays down on an instance beside its environment. */
export interface Enrolment {
  /** The operation that the host journals it as. */
  readonly id: string;
  readonly service: Pick<Config['service'], 'listen' | 'user' | 'notify' | 'switch'>;
  readonly workers: readonly string[];
  /** The backup bucket of the environment, where it has one. */
  readonly backups?: string;
  /** `no`: of a copy, nothing of what it holds starts before a backup was restored on it. */
  readonly wake?: 'no';
}

/**
 * Makes an instance a host of its environment, by `prepare-host`.
 * @throws OperationError when it cannot be made one
 */
export async function enrol(
  host: LoneHost,
  { id, service, workers, backups, wake }: Enrolment,
): Promise<Told> {
  const { bucket, region } = host.operation;
  const { listen, user, notify, switch: manner } = service;
  const told = await sendToOne(host, {
    ...{ document: 'prepare-host', id, timeout: enrolSeconds, checks: [] },
    parameters: {
      ...{ user, port: String(listen), switch: manner, notify: String(notify) },
      ...{ workers: workers.join(',') || 'none', bucket, region },
      ...(backups !== undefined && { backups }),
      ...(wake && { wake }),
    },
  });
  const { instance, reason, result, sentence, todo } = told;
  if (succeeded({ result })) return told;
  const happened = `It could not be prepared: ${sentenceOf(sentence)}`;
  throw new OperationError({ reason, outcome: result, happened, instance, stateNow: '', todo });
}
