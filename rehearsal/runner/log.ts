import { stripVTControlCharacters } from 'node:util';
import type { PlannedJob } from './workflow.ts';
import { readWorkflowCommand } from './workflow-command.ts';

/** What a job tells the page of its run. */
export interface Annotation {
  readonly level: 'error' | 'warning' | 'notice';
  readonly title: string;
  readonly message: string;
}

/** How one job of a run ended. */
export interface Job {
  readonly name: string;
  readonly conclusion: 'success' | 'failure' | 'cancelled' | 'skipped';
  /** Markdown, all its steps' summaries in their order. */
  readonly summary: string;
  readonly annotations: readonly Annotation[];
  readonly outputs: Readonly<Record<string, string>>;
}

/** What happened in the run just now, as far as GitHub would tell others. */
export type Moment =
  | { readonly kind: 'started'; readonly job: PlannedJob }
  | {
      readonly kind: 'ended';
      readonly job: PlannedJob;
      readonly conclusion: Job['conclusion'];
      readonly environmentUrl: string;
    };

/** One line of `act --json`; act 0.2.89 writes commands, summaries and results as fields of their own. */
interface ActLine {
  readonly msg?: string;
  readonly job?: string;
  readonly jobID?: string;
  readonly step?: string;
  readonly stepID?: readonly string[];
  readonly raw_output?: boolean;
  readonly command?: string;
  readonly arg?: string;
  readonly name?: string;
  readonly content?: string;
  readonly raw?: string;
  readonly jobResult?: string;
}

interface JobRecord {
  started: boolean;
  ended: boolean;
  conclusion: Job['conclusion'];
  cancelled: boolean;
  summary: string;
  readonly annotations: Annotation[];
  /** What `::add-mask::` named: GitHub shows it nowhere. */
  readonly masks: Set<string>;
  readonly steps: Map<string, Record<string, string>>;
}

function parseLine(line: string): ActLine {
  try {
    return JSON.parse(line) as ActLine;
  } catch {
    return { msg: line };
  }
}

function isAnnotation(command: string): command is Annotation['level'] {
  return command === 'error' || command === 'warning' || command === 'notice';
}

/** Collects what the jobs of one run said, from act's log. */
export class RunLog {
  readonly #planned: readonly PlannedJob[];
  readonly #records = new Map<PlannedJob, JobRecord>();
  readonly #lines: string[] = [];

  constructor(planned: readonly PlannedJob[]) {
    this.#planned = planned;
    for (const job of planned) {
      this.#records.set(job, {
        started: false,
        ended: false,
        conclusion: 'skipped',
        cancelled: false,
        summary: '',
        annotations: [],
        masks: new Set(),
        steps: new Map(),
      });
    }
  }

  /** Takes one line of act's log; returns it for people, and what it means to others. */
  take(text: string): { line: string; moment?: Moment } {
    const entry = parseLine(text);
    const planned = this.#jobOf(entry);
    const message = stripVTControlCharacters(entry.msg ?? '').trimEnd();
    const line = planned ? `[${planned.name}] ${entry.raw_output ? '| ' : ''}${message}` : message;
    this.#lines.push(line);
    const moment = planned && this.#note(planned, entry);
    return moment ? { line, moment } : { line };
  }

  /** The runner is gone: what ran has failed, and what waited for it is skipped. */
  lose(): Moment[] {
    const open = [...this.#records].filter(([, { started, ended }]) => started && !ended);
    return open.map(([job, record]) => {
      record.conclusion = 'failure';
      return { kind: 'ended', job, conclusion: 'failure', environmentUrl: '' };
    });
  }

  /** The log as text, one line an event. */
  get text(): string {
    return `${this.#lines.join('\n')}\n`;
  }

  /** The jobs in the order in which the workflow names them. */
  get jobs(): Job[] {
    return [...this.#records].map(([planned, record]) => ({
      name: planned.name,
      conclusion: record.conclusion,
      summary: mask(record, record.summary),
      annotations: record.annotations.map((one) => ({ ...one, message: mask(record, one.message) })),
      outputs: outputsOf(planned, record),
    }));
  }

  // act names a job "<workflow>/<job>", and one of a called workflow "<caller's job>/<workflow>/<job>".
  #jobOf({ job, jobID }: ActLine): PlannedJob | undefined {
    const candidates = this.#planned.filter(({ id }) => id === jobID);
    return (
      candidates.find(({ calledBy }) => calledBy !== undefined && job?.startsWith(`${calledBy}/`)) ??
      candidates.find(({ calledBy }) => calledBy === undefined)
    );
  }

  #note(job: PlannedJob, entry: ActLine): Moment | undefined {
    const record = this.#records.get(job);
    if (!record) return undefined;
    noteCommand(record, entry);
    if (entry.jobResult !== undefined) {
      record.ended = true;
      const conclusion = entry.jobResult === 'success' ? 'success' : 'failure';
      record.conclusion = record.cancelled || entry.jobResult === 'cancelled' ? 'cancelled' : conclusion;
      const environmentUrl = evaluateSteps(job.environmentUrl ?? '', record);
      return { kind: 'ended', job, conclusion: record.conclusion, environmentUrl };
    }
    if (!record.started && entry.step === 'Set up job') {
      record.started = true;
      return { kind: 'started', job };
    }
    return undefined;
  }
}

function noteCommand(record: JobRecord, { command, content, arg, name, raw, msg, stepID }: ActLine): void {
  if (msg?.startsWith('this step has been cancelled')) record.cancelled = true;
  if (command === 'summary') record.summary += `${content ?? ''}\n`;
  const said = raw === undefined ? undefined : readWorkflowCommand(raw);
  if (said?.name === 'add-mask' && said.message !== '') record.masks.add(said.message);
  if (said && isAnnotation(said.name)) {
    const title = said.properties['title'] ?? '';
    record.annotations.push({ level: said.name, title, message: said.message });
  }
  // Steps inside an action have longer paths; their outputs are the action's own business.
  if (command === 'set-output' && stepID?.length === 1) {
    const [step = ''] = stepID;
    record.steps.set(step, { ...record.steps.get(step), [name ?? '']: arg ?? '' });
  }
}

function mask({ masks }: JobRecord, text: string): string {
  return [...masks].reduce((masked, secret) => masked.replaceAll(secret, '***'), text);
}

/** Fills in `${{ steps.x.outputs.y }}`; what no step said is empty, as on GitHub. */
function evaluateSteps(template: string, { steps }: JobRecord): string {
  return template.replace(
    /\$\{\{\s*steps\.([\w-]+)\.outputs\.([\w-]+)\s*\}\}/g,
    (_, step: string, output: string) => steps.get(step)?.[output] ?? '',
  );
}

function outputsOf(planned: PlannedJob, record: JobRecord): Record<string, string> {
  return Object.fromEntries(
    Object.entries(planned.outputs)
      .map(([name, template]) => [name, evaluateSteps(template, record)] as const)
      // GitHub gives no output of a job on in which it finds something masked ("Skip output … since it may contain secret").
      .filter(([, value]) => value !== '' && mask(record, value) === value),
  );
}
