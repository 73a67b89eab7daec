import type { DocumentVersion } from './documents.ts';
import type { Parameters } from './parameters.ts';
import type { StepResult } from './replies.ts';
import { type Details, isTerminal } from './statuses.ts';
import type { Targets } from './targets.ts';

/** One SendCommand. */
export interface Command {
  readonly id: string;
  /** The association that it is an execution of; the hosts know it by that one's id, the same each time. */
  readonly association: string | undefined;
  readonly documentName: string;
  /** As the caller asked for it, `$DEFAULT` when not. */
  readonly askedVersion: string;
  readonly document: DocumentVersion;
  /** As the caller gave them. */
  readonly given: Record<string, string[]>;
  /** As the agent gets them. */
  readonly parameters: Parameters;
  readonly targets: Targets;
  readonly comment: string;
  readonly output: { bucket: string; prefix: string };
  readonly log: { group: string; enabled: boolean };
  readonly rate: { maxConcurrency: string; maxErrors: string };
  /** Seconds until delivery, and seconds to run. */
  readonly deliverySeconds: number;
  readonly executionSeconds: number;
  readonly requested: number;
  cancelAsked: boolean;
  readonly invocations: Invocation[];
}

/** One command on one instance. */
export interface Invocation {
  readonly command: Command;
  readonly instanceId: string;
  readonly instanceName: string;
  readonly messageId: string;
  details: Details;
  sent: boolean;
  acknowledged: boolean;
  started: number | undefined;
  ended: number | undefined;
  trace: string;
  readonly results: Map<string, StepResult>;
}

export function isOver(invocation: Invocation): boolean {
  return isTerminal(invocation.details);
}
