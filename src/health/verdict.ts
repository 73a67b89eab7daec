import type { CheckAnswer } from './answer.ts';

/**
 * What is missing to call a release healthy by what its host was answered on the public port: the first of the
 * app's checks that was not asked there, or not answered as promised. Undefined when nothing is.
 */
export function findProblem(
  promised: readonly { readonly path: string }[],
  answers: readonly CheckAnswer[],
): string | undefined {
  const asked = answers.filter(({ where }) => where === 'public');
  const missing = promised.find(({ path }) => !asked.some((answer) => answer.path === path));
  if (missing) return `${missing.path} was not asked on ${places['public']}.`;
  const bad = asked.find(({ ok }) => !ok);
  return bad && describeAnswer(bad);
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
