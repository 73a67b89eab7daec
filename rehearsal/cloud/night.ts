import { setTimeout as sleep } from 'node:timers/promises';
import {
  DescribeAssociationExecutionsCommand,
  DescribeAssociationExecutionTargetsCommand,
  ListAssociationsCommand,
  SSMClient,
  StartAssociationsOnceCommand,
} from '@aws-sdk/client-ssm';
import { openCloud } from './cloud.ts';
import { type Cloud, operatorClient } from './handle.ts';
import type { Place } from './place.ts';
import { say } from './say.ts';

/** What became of the schedule in AWS on one instance. */
export interface NightOnInstance {
  readonly instance: string;
  /** Success, or SSM's word for what it was instead. */
  readonly status: string;
}

type Of = Pick<Place, 'app' | 'environment'>;

const patience = 600_000;

/**
 * The moment at which the schedule in AWS comes round: the association of infra/backup.yaml runs, with nothing of GitHub
 * in it. Gives what became of it on each instance, once all have ended.
 */
export async function playNight(cloud: Cloud, { app, environment }: Of): Promise<NightOnInstance[]> {
  const ssm = new SSMClient(operatorClient(cloud));
  const name = `${app}-${environment}-backup`;
  const { Associations: found = [] } = await ssm.send(
    new ListAssociationsCommand({ AssociationFilterList: [{ key: 'AssociationName', value: name }] }),
  );
  const AssociationId = found[0]?.AssociationId;
  if (AssociationId === undefined) {
    throw new Error(
      `there is no association ${name}: understudy.yml must name "backups" for ${environment}, and a push, a dispatch or a schedule prepares the account`,
    );
  }
  await ssm.send(new StartAssociationsOnceCommand({ AssociationIds: [AssociationId] }));
  const { AssociationExecutions: all = [] } = await ssm.send(
    new DescribeAssociationExecutionsCommand({ AssociationId }),
  );
  const ExecutionId = all[0]?.ExecutionId;
  for (const until = Date.now() + patience; Date.now() < until; await sleep(500)) {
    const { AssociationExecutionTargets: targets = [] } = await ssm.send(
      new DescribeAssociationExecutionTargetsCommand({ AssociationId, ExecutionId }),
    );
    if (targets.some(({ Status }) => ['Pending', 'Delayed', 'InProgress'].includes(Status ?? ''))) continue;
    return targets.map(({ ResourceId = '', Status = '' }) => ({ instance: ResourceId, status: Status }));
  }
  throw new Error(`${name} did not end within ${patience / 60_000} minutes`);
}

/** Plays a night, and tells it; 1 when it did not go well on every instance, or there is none. */
export async function playNightOf(name: string, of: Of): Promise<number> {
  const night = await playNight(openCloud(name), of);
  for (const { instance, status } of night) say(`${instance}  ${status}`);
  if (night.length === 0) say(`No instance bears the tags App=${of.app} and Environment=${of.environment}.`);
  return night.length > 0 && night.every(({ status }) => status === 'Success') ? 0 : 1;
}
