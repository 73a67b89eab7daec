import type { Cloud } from '../cloud/cloud.ts';
import type { Role } from './cast.ts';
import type { Staging } from './staging.ts';

/** What a scene saw. Waits and times are told, never judged; losses, data and verdicts are asserted in `play`. */
export interface Outcome {
  /** Requests sent by the load generator while the scene played. */
  readonly requests: number;
  /** Requests that got no answer, or another than promised. */
  readonly lost: number;
  /** The longest that one request waited for its answer, in milliseconds; null where nobody asked. */
  readonly worstLatencyMs: number | null;
  /** AWS calls that the app's CI role made. */
  readonly apiCalls: number;
  /** The deploy job's summary, in GitHub's Markdown. */
  readonly summary: string;
  /** What a person wants to know of it, in one line. */
  readonly note: string;
}

/** Where a scene plays: one cloud, and the staging environment of each role. */
export interface Stage extends Readonly<Record<Role, Staging>> {
  readonly cloud: Cloud;
  /** Tells the task list what is going on now. */
  readonly say: (line: string) => void;
}

/**
 * One scene of the rehearsal; throws an AssertionError where the app, its data or the verdict is not as promised. It
 * brings the state that it needs, if no scene before it left it. Scenes play side by side where they share no role.
 */
export interface Scene {
  /** What it is called on the command line. */
  readonly key: string;
  readonly name: string;
  readonly roles: readonly Role[];
  /** Whether its users are measured: then those of no other scene are meanwhile. */
  readonly measured?: true;
  /** It launches hosts, or much else that takes the machine's time: it plays when no users will be measured any more. */
  readonly later?: true;
  readonly play: (stage: Stage) => Promise<Outcome>;
}
