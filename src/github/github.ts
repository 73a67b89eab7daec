import { OperationError, sentenceOf } from '../action/errors.ts';
import { explain } from '../action/reasons.ts';
import { tryThrice } from '../action/tries.ts';

/** What we ask of GitHub. */
export interface GitHub {
  /** Whether an attempt of a run has ended; undefined when GitHub does not know it, or does not show it. */
  attemptHasEnded(repository: string, run: string, attempt: number): Promise<boolean | undefined>;
  /** How `head` stands to `base`; `unknown` when GitHub does not know one of them. */
  compare(base: string, head: string): Promise<Descent>;
  /** Whether anybody may read the repository, and with it its logs. */
  isPublic(): Promise<boolean>;
}

/** `ahead` and `identical` descend from the base; the others do not. */
export type Descent = 'ahead' | 'identical' | 'behind' | 'diverged' | 'unknown';

export interface GitHubOptions {
  readonly token: string;
  /** `owner/name`. */
  readonly repository: string;
  readonly apiUrl: string;
}

/** What is asked, in words, and the permission that it needs. */
interface Question {
  readonly what: string;
  readonly permission: string;
  /** Statuses that are "not known" here, beside 404 and 422. */
  readonly unknown?: readonly number[];
}

/** Makes what asks GitHub's API; its client is loaded when it is first asked. */
export function askerOf({ token, apiUrl }: Pick<GitHubOptions, 'token' | 'apiUrl'>) {
  const load = async () => (await import('@actions/github')).getOctokit(token, { baseUrl: apiUrl });
  let client: ReturnType<typeof load> | undefined;
  return async <Answer>(
    about: Question,
    question: (octokit: Awaited<ReturnType<typeof load>>) => Promise<Answer>,
  ) => {
    client ??= load();
    const octokit = await client;
    return withRetries(about, () => question(octokit));
  };
}

/** Opens what every operation asks of GitHub. */
export function openGitHub({ token, repository, apiUrl }: GitHubOptions): GitHub {
  const ask = askerOf({ token, apiUrl });
  return {
    async attemptHasEnded(ofRepository, run, attempt) {
      const about = { what: `whether run ${run} has ended`, permission: 'actions: read' };
      const answer = await ask(about, (octokit) =>
        octokit.rest.actions.getWorkflowRunAttempt({
          ...split(ofRepository),
          run_id: Number(run),
          attempt_number: attempt,
        }),
      );
      return answer && answer.data.status === 'completed';
    },
    async compare(base, head) {
      const basehead = `${base}...${head}`;
      const about = { what: 'how the commit stands to the live one', permission: 'contents: read' };
      const answer = await ask(about, (octokit) =>
        octokit.rest.repos.compareCommitsWithBasehead({ ...split(repository), basehead, per_page: 1 }),
      );
      return answer?.data.status ?? 'unknown';
    },
    async isPublic() {
      const about = { what: 'whether the repository is public', permission: 'contents: read' };
      const answer = await ask(about, (octokit) => octokit.rest.repos.get(split(repository)));
      // Whoever cannot tell treats it as public: nothing is shown that should not be.
      return !answer?.data.private;
    },
  };
}

/** Whether logs and answers of the app may be shown: by themselves only where not everybody reads them. */
export async function readExcerpts(
  asked: 'auto' | 'on' | 'off',
  github: Pick<GitHub, 'isPublic'>,
): Promise<'on' | 'off'> {
  if (asked !== 'auto') return asked;
  return (await github.isPublic()) ? 'off' : 'on';
}

/** `owner/name` in its parts. */
export function split(repository: string): { owner: string; repo: string } {
  const [owner = '', repo = ''] = repository.split('/');
  return { owner, repo };
}

/**
 * GitHub's own faults, and one question too many, are tried again. Undefined is "not known": 404, which is also what a
 * private repository says to a token that may not see it, and 422.
 */
async function withRetries<Answer>(
  about: Question,
  question: () => Promise<Answer>,
): Promise<Answer | undefined> {
  try {
    return await tryThrice(question, isAnswer);
  } catch (error) {
    if (!isAnswer(error)) throw unanswered(about, error);
    if ([404, 422, ...(about.unknown ?? [])].includes(statusOf(error))) return undefined;
    throw refused(about, error);
  }
}

/** The status that GitHub answered with; 0 where there was no answer. */
function statusOf(error: unknown): number {
  return (error as { status?: number }).status ?? 0;
}

/** Whether GitHub has answered, and asking again would change nothing. */
export function isAnswer(error: unknown): boolean {
  const status = statusOf(error);
  return status > 0 && status < 500 && status !== 429;
}

function refused({ what, permission }: Question, cause: unknown): OperationError {
  const todo = `Give the input \`github-token\` a token of this job with the permission ${permission}; the calling workflow must grant it too.`;
  return unanswered({ what }, cause, todo);
}

/** All that we ask is asked before anything is done. */
function unanswered(
  { what }: Pick<Question, 'what'>,
  cause: unknown,
  todo = explain('github-failed').todo,
): OperationError {
  return new OperationError({
    reason: 'github-failed',
    happened: `GitHub did not tell ${what}: ${sentenceOf(cause)}`,
    stateNow: 'Nothing was changed.',
    todo,
    cause,
  });
}
