import { askerOf, type GitHubOptions, split } from './github.ts';

/** What protects tags: of GitHub's rulesets, what is asked here. */
export interface Ruleset {
  readonly name: string;
  /** `active` where it is enforced. */
  readonly enforcement: string;
  /** Types of its rules, such as `update` and `deletion`. */
  readonly rules: readonly string[];
  /** Patterns of full names, such as `refs/tags/v*`; `~ALL` is every tag. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

/** What a promotion asks of GitHub about a tag. */
export interface Tags {
  /** The commit that a tag points to now; undefined where there is no such tag. */
  commitOf(tag: string): Promise<string | undefined>;
  defaultBranch(): Promise<string>;
  /** The rulesets of tags; none where the plan of the account has no rulesets. */
  rulesets(): Promise<Ruleset[]>;
  /** Whether somebody must approve each job of an environment. */
  needsApproval(environment: string): Promise<boolean>;
}

/** Opens what GitHub knows of the tags of a repository. */
export function openTags({ token, repository, apiUrl }: GitHubOptions): Tags {
  const ask = askerOf({ token, apiUrl });
  const place = split(repository);
  const contents = 'contents: read';
  const readRuleset = async (ruleset_id: number): Promise<Ruleset[]> => {
    const about = { what: 'what a ruleset protects', permission: contents, unknown: [403] };
    const answer = await ask(about, (octokit) => octokit.rest.repos.getRepoRuleset({ ...place, ruleset_id }));
    if (!answer) return [];
    const { name, enforcement, rules = [], conditions } = answer.data;
    const { include = [], exclude = [] } =
      (conditions as { ref_name?: { include?: string[]; exclude?: string[] } } | null)?.ref_name ?? {};
    return [{ name, enforcement, rules: rules.map(({ type }) => type), include, exclude }];
  };
  return {
    async commitOf(tag) {
      const about = { what: `which commit the tag ${tag} is`, permission: contents };
      const answer = await ask(about, (octokit) =>
        octokit.rest.repos.getCommit({ ...place, ref: `tags/${tag}`, per_page: 1 }),
      );
      return answer?.data.sha;
    },
    async defaultBranch() {
      const about = { what: 'its default branch', permission: contents };
      const answer = await ask(about, (octokit) => octokit.rest.repos.get(place));
      return answer?.data.default_branch ?? 'main';
    },
    async rulesets() {
      // 403: the plan of the account has none for private repositories.
      const about = { what: 'which rulesets protect tags', permission: contents, unknown: [403] };
      const answer = await ask(about, (octokit) =>
        octokit.rest.repos.getRepoRulesets({ ...place, targets: 'tag', per_page: 100 }),
      );
      const ofTags = (answer?.data ?? []).filter(({ target }) => target === 'tag');
      return (await Promise.all(ofTags.map(({ id }) => readRuleset(id)))).flat();
    },
    async needsApproval(environment) {
      const about = { what: 'whether the environment needs an approval', permission: 'actions: read' };
      const answer = await ask(about, (octokit) =>
        octokit.rest.repos.getEnvironment({ ...place, environment_name: environment }),
      );
      const rules = answer?.data.protection_rules ?? [];
      return rules.some(({ type }) => type === 'required_reviewers');
    },
  };
}
