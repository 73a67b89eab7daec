import { tryThrice } from '../action/tries.ts';
import { type GitHubOptions, isAnswer, split } from './github.ts';

export interface Issue {
  readonly number: number;
  readonly body: string;
}

/** The issues of a repository, as far as we write them. Needs the permission `issues: write`. */
export interface Issues {
  /** The open issue of that label and title. */
  find(label: string, title: string): Promise<Issue | undefined>;
  open(issue: { readonly label: string; readonly title: string; readonly body: string }): Promise<Issue>;
  comment(issue: Issue, body: string): Promise<void>;
  rewrite(issue: Issue, body: string): Promise<void>;
  close(issue: Issue): Promise<void>;
}

/** Opens the issues of a repository; the client is loaded when one is first asked for. What fails, throws GitHub's error. */
export function openIssues({ token, repository, apiUrl }: GitHubOptions): Issues {
  const load = async () => (await import('@actions/github')).getOctokit(token, { baseUrl: apiUrl });
  let client: ReturnType<typeof load> | undefined;
  const rest = async () => {
    client ??= load();
    return (await client).rest.issues;
  };
  const place = split(repository);
  const find = async (label: string, title: string): Promise<Issue | undefined> => {
    const asked = { ...place, labels: label, state: 'open' as const, per_page: 100 };
    const { data } = await tryThrice(async () => (await rest()).listForRepo(asked), isAnswer);
    const found = data.find((one) => one.title === title && one.pull_request === undefined);
    return found && { number: found.number, body: found.body ?? '' };
  };
  return {
    find,
    open: ({ label, title, body }) =>
      tryThrice(async () => {
        // Looked for again: the answer to a first try may have been lost.
        const there = await find(label, title);
        if (there) return there;
        const { data } = await (await rest()).create({ ...place, title, body, labels: [label] });
        return { number: data.number, body };
      }, isAnswer),
    async comment({ number }, body) {
      const comment = { ...place, issue_number: number, body };
      await tryThrice(async () => (await rest()).createComment(comment), isAnswer);
    },
    async rewrite({ number }, body) {
      const change = { ...place, issue_number: number, body };
      await tryThrice(async () => (await rest()).update(change), isAnswer);
    },
    async close({ number }) {
      const closed = { state: 'closed', state_reason: 'completed' } as const;
      await tryThrice(
        async () => (await rest()).update({ ...place, issue_number: number, ...closed }),
        isAnswer,
      );
    },
  };
}
