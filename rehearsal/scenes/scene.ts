import type { Cloud } from '../cloud/cloud.ts';
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

/** Where the scenes play: one cloud, and a staging environment for each example app. */
export interface Stage {
  readonly cloud: Cloud;
  readonly isso: Staging;
  readonly chatmrpt: Staging;
  /** Tells the task list what is going on now. */
  readonly say: (line: string) => void;
}

/** One scene of the rehearsal; throws an AssertionError where the app, its data or the verdict is not as promised. */
export interface Scene {
  readonly name: string;
  readonly play: (stage: Stage) => Promise<Outcome>;
}
