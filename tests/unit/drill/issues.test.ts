import { describe, expect, test } from '@jest/globals';
import { type News, tellIssues } from '../../../src/drill/issues.ts';
import type { Issue, Issues } from '../../../src/github/issues.ts';

interface Held extends Omit<Issue, 'body'> {
  readonly label: string;
  readonly title: string;
  readonly comments: string[];
  body: string;
  open: boolean;
}

/** The issues of a repository, in memory. */
function memoryIssues(): { issues: Issues; held: Held[] } {
  const held: Held[] = [];
  const at = ({ number }: Issue): Held => {
    const [found] = held.filter((one) => one.number === number);
    if (!found) throw new Error(`there is no issue ${number}`);
    return found;
  };
  const issues: Issues = {
    find: async (label, title) => held.find((one) => one.open && one.label === label && one.title === title),
    async open({ label, title, body }) {
      const issue = { number: held.length + 1, label, title, body, comments: [], open: true };
      held.push(issue);
      return issue;
    },
    comment: async (issue, body) => void at(issue).comments.push(body),
    async rewrite(issue, body) {
      at(issue).body = body;
    },
    async close(issue) {
      at(issue).open = false;
    },
  };
  return { issues, held };
}

const news = (change: Partial<News>): News => ({
  ...{ app: 'isso', environment: 'production', conclusion: 'verified', level: 5 },
  ...{ sentence: 'It is so.', todo: 'Do that.', runUrl: 'https://github.com/acme/isso/actions/runs/1' },
  ...change,
});
const bad = (level = 3) => news({ conclusion: 'backup-bad', level });
const shown = (held: readonly Held[]) =>
  held.map(({ label, open, comments }) => `${label} ${open ? 'open' : 'closed'} ${comments.length}`);

describe('the issues of drills', () => {
  test('are none while all is well', async () => {
    const { issues, held } = memoryIssues();
    await tellIssues(issues, news({}));
    expect(held).toEqual([]);
  });

  test('are one for a bad backup, to which the next red adds, and which the proof closes', async () => {
    const { issues, held } = memoryIssues();
    await tellIssues(issues, bad());
    expect(held[0]).toMatchObject({ title: 'isso in production: its newest backup does not restore' });
    expect(held[0]?.body).toMatch(/It is so\.[\s\S]+Do that\.[\s\S]+runs\/1/);
    await tellIssues(issues, bad());
    expect(shown(held)).toEqual(['backup-bad open 1']);
    await tellIssues(issues, news({}));
    expect(shown(held)).toEqual(['backup-bad closed 2']);
    await tellIssues(issues, bad());
    expect(shown(held)).toEqual(['backup-bad closed 2', 'backup-bad open 0']);
  });

  test('render nothing of what a database made them say, and call nobody', async () => {
    const { issues, held } = memoryIssues();
    await tellIssues(issues, {
      ...bad(),
      sentence: 'table @acme/all <img src=x> [here](http://x) has 2 rows.',
    });
    expect(held[0]?.body).not.toMatch(/@acme|<img|\[here\]/);
  });

  test('stay open until a drill comes as far as the level that opened them', async () => {
    const { issues, held } = memoryIssues();
    await tellIssues(issues, bad(0));
    await tellIssues(issues, bad(4));
    await tellIssues(issues, bad(2));
    await tellIssues(issues, news({ level: 3 }));
    expect(shown(held)).toEqual(['backup-bad open 2']);
    await tellIssues(issues, news({ level: 4 }));
    expect(shown(held)).toEqual(['backup-bad closed 3']);
  });

  test.each(['drill-could-not-run', 'control-passed'] as const)('are others for %s', async (conclusion) => {
    const { issues, held } = memoryIssues();
    await tellIssues(issues, bad());
    await tellIssues(issues, news({ conclusion, level: -1 }));
    expect(shown(held)).toEqual(['backup-bad open 0', 'drill-could-not-run open 0']);
    await tellIssues(issues, bad());
    expect(shown(held)).toEqual(['backup-bad open 1', 'drill-could-not-run closed 1']);
  });

  test('are apart for each environment', async () => {
    const { issues, held } = memoryIssues();
    await tellIssues(issues, bad());
    await tellIssues(issues, { ...bad(), environment: 'staging' });
    await tellIssues(issues, news({}));
    expect(shown(held)).toEqual(['backup-bad closed 1', 'backup-bad open 0']);
  });
});
