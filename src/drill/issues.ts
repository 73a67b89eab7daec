import { escapeMarkdown } from '../action/summary.ts';
import type { Issue, Issues } from '../github/issues.ts';
import type { Conclusion } from './ladder.ts';

/** What a drill has to tell people who were not there. */
export interface News {
  readonly app: string;
  readonly environment: string;
  readonly conclusion: Conclusion;
  /** What happened, and what to do, in sentences. */
  readonly sentence: string;
  readonly todo: string;
  /** The level that failed, or up to which all passed. */
  readonly level: number;
  readonly runUrl: string;
}

/** The two reds, each with an issue of its own: a backup that is bad, and a drill that says nothing of it. */
const kinds = {
  'backup-bad': 'Its newest backup does not restore',
  'drill-could-not-run': 'Whether its backups restore could not be tried',
} as const;

type Kind = keyof typeof kinds;

/** How an issue remembers the highest level that failed: a drill that does not come there closes nothing. */
const mark = /<!-- understudy level (?<level>\d) -->/;

/**
 * Tells by issues what became of a drill: one open issue for each kind of red, to which the next adds, and which is closed
 * with the proof.
 */
export async function tellIssues(issues: Issues, given: News): Promise<void> {
  // A table may have any name, and whoever wrote into the database gave it.
  const [sentence, todo] = [escapeMarkdown(given.sentence), escapeMarkdown(given.todo)];
  const news = { ...given, sentence, todo };
  const told = `${news.sentence}\n\n[The run](${news.runUrl})`;
  switch (news.conclusion) {
    case 'verified':
      await resolve(issues, 'backup-bad', news, `It restores again: ${told}`);
      return resolve(issues, 'drill-could-not-run', news, `It could be tried again: ${told}`);
    case 'backup-bad':
      await resolve(issues, 'drill-could-not-run', news, `It could be tried again, and is bad: ${told}`);
      return raise(issues, 'backup-bad', news);
    case 'drill-could-not-run':
    case 'control-passed':
      return raise(issues, 'drill-could-not-run', news);
  }
}

const titleOf = (kind: Kind, { app, environment }: News): string =>
  `${app} in ${environment}: ${kinds[kind].replace(/^./, (letter) => letter.toLowerCase())}`;

async function raise(issues: Issues, kind: Kind, news: News): Promise<void> {
  const title = titleOf(kind, news);
  const text = `${news.sentence}\n\n**What to do:** ${news.todo}\n\n[The run](${news.runUrl})`;
  const known = await issues.find(kind, title);
  if (!known) {
    const body = `${text}\n\nThis issue is closed by the next drill that comes through.\n\n${markOf(news)}`;
    await issues.open({ label: kind, title, body });
    return;
  }
  await issues.comment(known, `Still so. ${text}`);
  if (news.level > levelOf(known)) await issues.rewrite(known, known.body.replace(mark, markOf(news)));
}

const markOf = ({ level }: News): string => `<!-- understudy level ${Math.max(0, level)} -->`;

async function resolve(issues: Issues, kind: Kind, news: News, proof: string): Promise<void> {
  const known = await issues.find(kind, titleOf(kind, news));
  if (!known || (kind === 'backup-bad' && levelOf(known) > news.level)) return;
  await issues.comment(known, proof);
  await issues.close(known);
}

const levelOf = ({ body }: Issue): number => Number(mark.exec(body)?.groups?.['level'] ?? 0);
