/** The agent's death: a deploy that is brought by Systems Manager, as in life. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CreateDocumentCommand,
  GetCommandInvocationCommand,
  SendCommandCommand,
  SSMClient,
} from '@aws-sdk/client-ssm';
import { content } from '../../src/document/template.ts';
import type { Result } from '../../tests/host/ground.ts';
import { operatorClient } from '../cloud/cloud.ts';
import { deployed, eachInTurn } from './journal.ts';
import type { Fault, Stage } from './trial.ts';

const documentName = 'shop-deploy';
async function layDocument(ssm: SSMClient): Promise<void> {
  const Content = JSON.stringify(content('deploy'));
  const made = ssm.send(
    new CreateDocumentCommand({
      Name: documentName,
      Content,
      DocumentType: 'Command',
      DocumentFormat: 'JSON',
    }),
  );
  await made.catch((error: Error) => {
    if (error.name !== 'DocumentAlreadyExists') throw error;
  });
}

/** Sends the deploy by Systems Manager, and waits for what that tells of it in the end. */
async function bring({ cloud, host }: Stage, release: string, operation: string): Promise<Result> {
  const ssm = new SSMClient(operatorClient(cloud));
  await layDocument(ssm);
  const scalars = {
    app: 'shop',
    environment: 'staging',
    operation,
    release,
    fence: '1',
    excerpts: 'on',
    timeout: '300',
  };
  const Parameters = Object.fromEntries(Object.entries(scalars).map(([name, value]) => [name, [value]]));
  const InstanceIds = [host.instanceId];
  const sent = await ssm.send(
    new SendCommandCommand({ DocumentName: documentName, InstanceIds, Parameters }),
  );
  const about = { CommandId: sent.Command?.CommandId ?? '', InstanceId: host.instanceId };
  for (;;) {
    const found = await ssm.send(new GetCommandInvocationCommand(about)).catch(() => undefined);
    if (found?.Status === 'Success') return read(found.StandardOutputContent ?? '');
    if (['Failed', 'TimedOut', 'Cancelled'].includes(found?.Status ?? ''))
      throw new Error(`Systems Manager tells ${found?.StatusDetails}: ${found?.StandardErrorContent}`);
    await sleep(200);
  }
}

function read(stdout: string): Result {
  return JSON.parse((stdout.split('\n')[0] ?? '').replace('UNDERSTUDY_RESULT ', '')) as Result;
}

export const agent: readonly Fault[] = [
  {
    name: 'kill -9 of the agent',
    points: () => [eachInTurn],
    bring,
    strike: async ({ host }) => {
      await host.shell(`kill -9 "$(systemctl show --property=MainPID --value amazon-ssm-agent)"
until systemctl reset-failed amazon-ssm-agent && systemctl restart amazon-ssm-agent; do sleep 1; done`);
    },
    expected: () => deployed,
  },
];
