import type { CheckAnswer } from '../command/details.ts';

/** What the checks of a host come to. */
export interface Verdict {
  readonly healthy: boolean;
  /** The first check that was not answered as promised. */
  readonly problem?: CheckAnswer;
}

/** No check asked is no proof of health. */
export function judgeChecks(checks: readonly CheckAnswer[], where: CheckAnswer['where']): Verdict {
  const asked = checks.filter((check) => check.where === where);
  const problem = asked.find((check) => !check.ok);
  return problem ? { healthy: false, problem } : { healthy: asked.length > 0 };
}

const places: Readonly<Record<string, string>> = {
  rehearsal: 'the rehearsal on a copy of the data, where no user meets it',
  probe: 'the probe socket, before it took over',
  public: 'the public port',
  old: 'the release that was live before',
};

/** Where a check was asked, in words. */
export function placeOf(where: string): string {
  return places[where] ?? where;
}

/** A check's answer in one sentence, such as a person would say it. */
export function describeAnswer({ path, ok, status, type, ms, problem, body }: CheckAnswer): string {
  const answered = status ? `answered ${status} ${type || 'without a content type'}` : 'did not answer';
  const took = ms === undefined ? '' : ` in ${ms} ms`;
  const what = `${path} ${answered}${took}`;
  if (ok) return `${what}.`;
  return `${what}: ${problem || 'not as promised'}.${body ? ` It began: ${body}` : ''}`;
}
