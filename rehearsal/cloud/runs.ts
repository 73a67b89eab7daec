import type { Cloud } from './cloud.ts';

/** A workflow run, as GitHub is to tell of it. */
interface ToldRun {
  /** `owner/name`. */
  readonly repository: string;
  readonly id: number;
  /** The first when absent. */
  readonly attempt?: number;
  /** Such as `in_progress`; `completed` also where the runner is gone. */
  readonly status: string;
}

/** Has the local GitHub tell of a run what no runner of ours tells. */
export async function tellRun(
  { githubUrl }: Cloud,
  { repository, id, attempt = 1, status }: ToldRun,
): Promise<void> {
  const answer = await fetch(`${githubUrl}/_cloud/runs`, {
    method: 'PUT',
    body: JSON.stringify({ repository, id, run_attempt: attempt, status }),
    headers: { 'content-type': 'application/json' },
  });
  if (!answer.ok) throw new Error(`the local GitHub did not take run ${id}: ${await answer.text()}`);
}
