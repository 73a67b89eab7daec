/** Everything that this GitHub holds, in memory. */
export interface State {
  readonly repositories: Map<string, Repository>;
  /** The number that the next thing gets; one sequence for all kinds. */
  nextId: number;
}

/** One repository and what belongs to it. */
export interface Repository {
  readonly id: number;
  readonly fullName: string;
  /** A clone on this machine, from which commits are compared. */
  readonly folder: string;
  readonly visibility: 'public' | 'private';
  readonly defaultBranch: string;
  /** Attempts by run, the first one first. */
  readonly runs: Map<number, Map<number, Attempt>>;
  readonly deployments: Deployment[];
  readonly issues: Issue[];
  readonly labels: Label[];
  readonly releases: Release[];
  readonly rulesets: Ruleset[];
  /** Its environments, by name. */
  readonly environments: Map<string, Environment>;
}

/** What protects branches or tags. */
export interface Ruleset {
  readonly id: number;
  readonly name: string;
  readonly target: string;
  readonly enforcement: string;
  readonly conditions: unknown;
  readonly rules: unknown;
}

export interface Environment {
  readonly id: number;
  readonly name: string;
  readonly protection_rules: readonly {
    readonly id: number;
    readonly type: string;
    readonly reviewers: unknown;
  }[];
}

export type Status = 'queued' | 'in_progress' | 'completed' | 'waiting' | 'requested' | 'pending';

/** One attempt of a run, in the fields of GitHub's answer. */
export interface Attempt {
  readonly id: number;
  readonly run_attempt: number;
  readonly status: Status;
  readonly conclusion: string | null;
  readonly created_at: string;
  readonly updated_at: string;
  readonly [more: string]: unknown;
}

export interface Deployment {
  readonly id: number;
  readonly ref: string;
  readonly sha: string;
  readonly task: string;
  readonly environment: string;
  readonly description: string | null;
  readonly payload: unknown;
  readonly created_at: string;
  readonly statuses: DeploymentStatus[];
}

export interface DeploymentStatus {
  readonly id: number;
  readonly state: string;
  readonly environment: string;
  readonly log_url: string;
  readonly environment_url: string;
  readonly description: string;
  readonly created_at: string;
}

export interface Label {
  readonly name: string;
  readonly color: string;
  readonly description: string | null;
}

export interface Issue {
  readonly id: number;
  readonly number: number;
  title: string;
  body: string;
  state: 'open' | 'closed';
  labels: string[];
  updated_at: string;
  readonly created_at: string;
  readonly comments: Comment[];
}

export interface Comment {
  readonly id: number;
  body: string;
  readonly created_at: string;
}

export interface Release {
  readonly id: number;
  readonly tag_name: string;
  readonly target_commitish: string;
  name: string;
  body: string;
  draft: boolean;
  prerelease: boolean;
  readonly created_at: string;
}

export function emptyState(): State {
  return { repositories: new Map(), nextId: 1001 };
}

/** The next id. Ids only ever grow. */
export function takeId(state: State): number {
  const id = state.nextId;
  state.nextId += 1;
  return id;
}

/** Now, as GitHub writes it: to the second, in UTC. */
export function timeNow(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z');
}
