import type { Details } from './statuses.ts';

/** What an agent reports about one step. */
export interface StepResult {
  status: string;
  code: number;
  output: string;
  standardOutput: string;
  standardError: string;
  startDateTime: string;
  endDateTime: string;
  outputS3BucketName: string;
  outputS3KeyPrefix: string;
}

/** A reply's payload, as far as the service reads it. */
export interface Reply {
  status: string;
  trace: string;
  steps: Map<string, StepResult>;
}

/** Reads SendReply's `Payload`. Missing fields are empty: agents leave out what they do not know. */
export function parseReply(payload: string): Reply {
  const reply = JSON.parse(payload) as Record<string, unknown>;
  const steps = new Map<string, StepResult>();
  const runtime = (reply['runtimeStatus'] ?? {}) as Record<string, Record<string, unknown>>;
  for (const [key, step] of Object.entries(runtime)) steps.set(key, parseStep(step));
  return { status: text(reply['documentStatus']), trace: text(reply['documentTraceOutput']), steps };
}

function parseStep(step: Record<string, unknown>): StepResult {
  return {
    status: text(step['status']),
    code: Number(step['code'] ?? -1),
    output: text(step['output']),
    standardOutput: text(step['standardOutput']),
    standardError: text(step['standardError']),
    startDateTime: text(step['startDateTime']),
    endDateTime: text(step['endDateTime']),
    outputS3BucketName: text(step['outputS3BucketName']),
    outputS3KeyPrefix: text(step['outputS3KeyPrefix']),
  };
}

/** What the agent's word for a document's or a step's status means to the service. */
export function detailsOf(agentStatus: string): Details | undefined {
  switch (agentStatus) {
    case 'InProgress':
    case 'SuccessAndReboot':
    case 'PassedAndReboot':
      return 'InProgress';
    case 'Success':
    case 'Skipped':
      return 'Success';
    case 'Failed':
      return 'Failed';
    case 'Cancelled':
      return 'Cancelled';
    case 'TimedOut':
      return 'ExecutionTimedOut';
    default:
      return undefined;
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
