import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { isOutcome, type Outcome } from '../../src/action/outcomes.ts';
import { isReason, reasons } from '../../src/action/reasons.ts';

const root = join(import.meta.dirname, '../..');

interface Said {
  /** `file:line: the words`. */
  readonly where: string;
  readonly reason: string;
  /** Absent where the script decides it later. */
  readonly outcome?: string;
}

const word = "'?(?<reason>[a-z]+(?:-[a-z]+)*)'?(?![\\w-])";
const outcome = "'?(?<outcome>done|unchanged|reverted|refused|failed|unknown)'?";
const forms: readonly (readonly [RegExp, string | undefined])[] = [
  [new RegExp(`\\b(?:finish|end_step|tell_only) ${outcome} ${word}`, 'g'), undefined],
  [new RegExp(`(?:^|[;&|{(]|\\b(?:then|else|do))\\s*refuse ${word}`, 'gm'), 'refused'],
  [new RegExp(`(?:^|[;&|{(]|\\b(?:then|else|do))\\s*fail ${word}`, 'gm'), undefined],
  [new RegExp(`\\bconclude_put_back ${word}`, 'g'), undefined],
  [new RegExp(`\\breason=${word}`, 'g'), undefined],
  [new RegExp(`\\) echo ${word} ;;`, 'g'), undefined],
];

function saidIn(file: string): Said[] {
  const text = readFileSync(join(root, file), 'utf8');
  return forms.flatMap(([form, implied]) =>
    [...text.matchAll(form)].map((match) => {
      const line = text.slice(0, match.index).split('\n').length;
      const told = match.groups?.['outcome'] ?? implied;
      const where = `${file}:${line}: ${match[0].trim()}`;
      return { where, reason: match.groups?.['reason'] ?? '', ...(told ? { outcome: told } : {}) };
    }),
  );
}

describe('the reasons that the host gives', () => {
  const said = globSync('host/**/*.sh', { cwd: root }).flatMap(saidIn);

  test('are found in its scripts', () => {
    const found = new Set(said.map(({ reason }) => reason));
    expect([...found]).toEqual(
      expect.arrayContaining(['deployed', 'already-live', 'stale-fence', 'check-failed']),
    );
  });

  test('are all on the closed list', () => {
    expect(said.filter(({ reason }) => !isReason(reason)).map(({ where }) => where)).toEqual([]);
  });

  test('come with an outcome that the list allows', () => {
    const odd = said.filter(({ reason, outcome: told }) => {
      if (told === undefined || !isReason(reason) || !isOutcome(told)) return false;
      const allowed: readonly Outcome[] = reasons[reason].of;
      return !allowed.includes(told);
    });
    expect(odd.map(({ where }) => where)).toEqual([]);
  });
});
