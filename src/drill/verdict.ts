import { sentenceOf } from '../action/errors.ts';
import type { Outcome } from '../action/outcomes.ts';
import { type Result, resultOf } from '../action/result.ts';
import type { Drilled } from './climb.ts';
import {
  type Climb,
  type Conclusion,
  conclude,
  decisive,
  type Level,
  ladder,
  reached,
  restores,
} from './ladder.ts';

/** What a drill comes to. */
export interface DrillVerdict {
  readonly conclusion: Conclusion;
  readonly result: Result;
  /** The level that decides it: that failed, or up to which all passed. */
  readonly level: number;
}

interface Asked {
  readonly app: string;
  readonly environment: string;
  readonly bucket: string;
  /** How far it was to come. */
  readonly level: number;
}

/** Judges a drill: the newest backup decides, whatever older ones are good for. */
export function judgeDrill(drilled: Drilled, asked: Asked): DrillVerdict {
  const { app, environment, bucket, level } = asked;
  const { newest } = drilled;
  const whose = `${app} in ${environment}`;
  if (!newest) {
    const sentence = `There is no committed backup of ${whose} in ${bucket}.`;
    const todo = `Back up, and see in Systems Manager what became of the association ${app}-${environment}-backup.`;
    return bad({ sentence, todo, level: 0, app });
  }
  const conclusion = conclude(newest, level);
  const decided = decisive(newest);
  if (decided?.level === 8) return judgeOlder(newest, decided, asked);
  if (conclusion === 'backup-bad') return judgeBad(drilled, newest, asked);
  const [outcome, sentence] = {
    verified: [
      'done',
      `The newest backup of ${whose}, ${newest.key}, passed every level up to ${level}: ${ladder[level]}.${caveat(level)}`,
    ],
    'control-passed': [
      'failed',
      `A copy of ${newest.key} that was damaged on purpose was not refused: no verdict of this drill can be relied on.`,
    ],
    'drill-could-not-run': [
      'unknown',
      `Whether the newest backup of ${whose}, ${newest.key}, restores could not be tried. ${tell(newest)}`,
    ],
  }[conclusion] as [Outcome, string];
  const result = resultOf({ outcome, reason: conclusion, sentence, app });
  return { conclusion, level: reached(newest), result };
}

function judgeBad(drilled: Drilled, newest: Climb, { app, environment }: Asked): DrillVerdict {
  const sentence = `The newest backup of ${app} in ${environment}, ${newest.key}, is bad. ${tell(newest)} ${fallback(drilled)}`;
  const todo = drilled.restorable
    ? `To restore now, take ${drilled.restorable.key}. Find out what is wrong with the newest, and back up again.`
    : 'Back up again now, and prove that backup; find out what is wrong with this one.';
  return bad({ sentence, todo, level: decisive(newest)?.level ?? 0, app });
}

/** The newest restores, and an older one does not, or could not be tried. */
function judgeOlder(newest: Climb, { verdict, evidence }: Level, { app, environment }: Asked): DrillVerdict {
  const known = `The newest backup of ${app} in ${environment}, ${newest.key}, was restored, and the app answered on it.`;
  const why = `Level 8 (${ladder[8]}) ${words[verdict]}: ${sentenceOf(evidence)}`;
  const sentence = `${known} ${why}`;
  const level = 8;
  if (verdict === 'failed') {
    const todo = `To restore now, take ${newest.key}. Find out what is wrong with the older one, and whether others have it.`;
    return bad({ sentence, todo, level, app });
  }
  const reason = 'drill-could-not-run';
  const todo =
    'Nothing is known to be bad. Mend what the sentence names, or ask for level 7; then drill again.';
  return { conclusion: reason, level, result: resultOf({ outcome: 'unknown', reason, sentence, todo, app }) };
}

interface Bad {
  readonly sentence: string;
  readonly todo: string;
  readonly level: number;
  readonly app: string;
}

function bad({ level, ...told }: Bad): DrillVerdict {
  const conclusion = 'backup-bad';
  return { conclusion, level, result: resultOf({ outcome: 'failed', reason: conclusion, ...told }) };
}

const words = { passed: 'passed', failed: 'failed', 'could-not-run': 'could not run' } as const;

const caveat = (level: number): string => (level < restores ? ' It was not unpacked and read whole.' : '');

function tell(climb: Climb): string {
  const decided = decisive(climb);
  if (decided) {
    const { level, verdict, evidence } = decided;
    return `Level ${level} (${ladder[level]}) ${words[verdict]}: ${sentenceOf(evidence)}`;
  }
  return climb.control === undefined || climb.control === 'could-not-run'
    ? 'No copy could be damaged on purpose, to see that it is refused.'
    : `It came to level ${reached(climb)}.`;
}

function fallback({ newest, older, restorable }: Drilled): string {
  if (restorable && restorable === newest) return 'It passes every other level.';
  if (restorable) {
    const of = restorable.manifest ? `, of ${new Date(restorable.manifest.copied).toISOString()}` : '';
    return `The newest that passes is ${restorable.key}${of}.`;
  }
  if (older.length === 0) return 'There is no older one.';
  return `None of the ${older.length} older ones that were tried passes.`;
}
