import { GetObjectCommand, ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3';
import { parseDetails } from '../../src/command/details.ts';
import type { Sample } from '../load/load.ts';
import type { Run } from '../runner/runner.ts';

/** A stretch of time, in milliseconds since 1970. */
interface Stretch {
  readonly startMs: number;
  readonly endMs: number;
}

/** One deploy as one instance took it: from the push to the end of the run, and the host's own steps in it. */
export interface DeployRecord extends Stretch {
  /** Empty where no host told anything of it. */
  readonly instance: string;
  readonly result: string;
  readonly steps: readonly (Stretch & { readonly name: string })[];
}

/** What the figures of a scene are drawn from. */
export interface Recording {
  readonly requests: readonly Sample[];
  readonly deploys: readonly DeployRecord[];
}

/** A run that is over, with the time that it took. */
export interface Played extends Stretch {
  readonly run: Run;
}

/** What one run did to each instance, by the word of the job and by what the hosts wrote beside it. */
export async function recordDeploys(s3: S3Client, app: string, played: Played): Promise<DeployRecord[]> {
  const { run, startMs, endMs } = played;
  const told = await detailsOf(s3, app, `-${run.runId}-${run.attempt}-deploy-`);
  const record = (instance: string, text?: string): DeployRecord => ({
    ...{ startMs, endMs, instance, result: resultOf(run) },
    steps: stepsOf(text, endMs),
  });
  return told.length === 0 ? [record('')] : told.map(([instance, text]) => record(instance, text));
}

function resultOf({ jobs, conclusion }: Run): string {
  const told = jobs.flatMap(({ outputs }) => outputs['result'] ?? []).at(-1);
  return told === undefined ? conclusion : (JSON.parse(told) as { result: string }).result;
}

// A step that a dead operation was in has no end: it lasts as long as the run.
function stepsOf(text: string | undefined, lastMs: number): DeployRecord['steps'] {
  const { steps = [] } = (text === undefined ? undefined : parseDetails(text)) ?? {};
  return steps.map(({ name, started, ended }) => ({ name, startMs: started, endMs: ended ?? lastMs }));
}

/** What the hosts wrote of an operation, by instance. */
async function detailsOf(s3: S3Client, app: string, operation: string): Promise<[string, string][]> {
  const Bucket = `${app}-understudy`;
  const { Contents = [] } = await s3.send(
    new ListObjectsV2Command({ Bucket, Prefix: `results/${app}/staging/` }),
  );
  const keys = Contents.flatMap(({ Key = '' }) => (Key.includes(operation) ? [Key] : []));
  return Promise.all(
    keys.map(async (Key): Promise<[string, string]> => {
      const { Body: body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
      const instance =
        Key.split('/')
          .at(-1)
          ?.replace(/\.json$/, '') ?? '';
      return [instance, (await body?.transformToString()) ?? ''];
    }),
  );
}
