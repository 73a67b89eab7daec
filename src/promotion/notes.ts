/** What is told of a promotion in the notes of its release. */
export interface Told {
  readonly environment: string;
  readonly result: string;
  readonly sentence: string;
  /** The id of the release of ours, 64 digits. */
  readonly release: string;
  readonly runUrl: string;
  /** ISO 8601. */
  readonly time: string;
}

const begin = (environment: string): string => `<!-- understudy: ${environment} -->`;
const end = '<!-- /understudy -->';

/** Whether the notes tell already of a promotion to an environment that went well. */
export function tellsOf(notes: string, environment: string): boolean {
  return notes.includes(`${begin(environment)}\n**${environment}: done**`);
}

/** The notes with what became of the promotion to an environment at their end: once, however often it was tried. */
export function noteIn(notes: string, told: Told): string {
  const { environment, result, sentence, release, runUrl, time } = told;
  const mark = begin(environment);
  const from = notes.indexOf(mark);
  const to = notes.indexOf(end, from);
  const others = from < 0 || to < 0 ? notes : notes.slice(0, from) + notes.slice(to + end.length);
  const line = `**${environment}: ${result}**, ${time}: ${sentence} Release \`${release.slice(0, 12)}\`, [run](${runUrl}).`;
  return `${others.trimEnd()}\n\n${mark}\n${line}\n${end}\n`.trimStart();
}
