import { setTimeout as delay } from 'node:timers/promises';

/** What we ask of GitHub. */
export interface GitHub {
  /** Whether an attempt of a run has ended; undefined when GitHub does not know it, or we may not see it. */
  attemptHasEnded(repository: string, run: string, attempt: number): Promise<boolean | undefined>;
  /** How `head` stands to `base`; `unknown` when GitHub does not know one of them. */
  compare(base: string, head: string): Promise<Descent>;
  /** Whether anybody may read the repository, and with it its logs. */
  isPublic(): Promise<boolean>;
}

/** `ahead` and `identical` descend from the base; the others do not. */
export type Descent = 'ahead' | 'identical' | 'behind' | 'diverged' | 'unknown';

interface GitHubOptions {
  readonly token: string;
  /** `owner/name`. */
  readonly repository: string;
  readonly apiUrl: string;
}

/** Opens GitHub's API; its client is loaded when it is first asked. */
export function openGitHub({ token, repository, apiUrl }: GitHubOptions): GitHub {
  const load = async () => (await import('@actions/github')).getOctokit(token, { baseUrl: apiUrl });
  let client: ReturnType<typeof load> | undefined;
  const ask = async <Answer>(question: (octokit: Awaited<ReturnType<typeof load>>) => Promise<Answer>) => {
    client ??= load();
    const octokit = await client;
    return withRetries(() => question(octokit));
  };
  return {
    async attemptHasEnded(ofRepository, run, attempt) {
      const answer = await ask((octokit) =>
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
      const answer = await ask((octokit) =>
        octokit.rest.repos.compareCommitsWithBasehead({ ...split(repository), basehead, per_page: 1 }),
      );
      return answer?.data.status ?? 'unknown';
    },
    async isPublic() {
      const answer = await ask((octokit) => octokit.rest.repos.get(split(repository)));
      // Whoever cannot tell treats it as public: nothing is shown that should not be.
      return !answer?.data.private;
    },
  };
}

function split(repository: string): { owner: string; repo: string } {
  const [owner = '', repo = ''] = repository.split('/');
  return { owner, repo };
}

/** GitHub's own faults are tried again; 404 (and 403, for what a token may not see) is "not known". */
async function withRetries<Answer>(question: () => Promise<Answer>): Promise<Answer | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await question();
    } catch (error) {
      const status = (error as { status?: number }).status ?? 0;
      if (status === 404 || status === 403 || status === 422) return undefined;
      if (attempt === 3 || (status > 0 && status < 500)) throw error;
      await delay(attempt * 1000);
    }
  }
}
