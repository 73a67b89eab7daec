// host/library/soak.sh judges the check log of a host; here it judges logs that were written for it.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

const library = join(import.meta.dirname, '../../../host/library/soak.sh');
const now = 1_800_000_000;
const live = 'a'.repeat(64);
const first = 'b'.repeat(64);
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-soak-'));
});

afterAll(() => rmSync(folder, { recursive: true }));

interface Line {
  readonly release?: string;
  readonly invocation?: string;
  readonly restarts?: number;
  readonly ok?: boolean;
}

interface Log {
  /** Oldest first, a minute apart; a number is seconds more. */
  readonly lines: readonly (Line | number)[];
  /** Seconds since the last of them. */
  readonly ago?: number;
  readonly asked?: string;
  readonly healthy?: boolean;
}

function layLog({ lines, ago = 5 }: Log): void {
  let t = now - ago;
  const told: string[] = [];
  for (const line of lines.toReversed()) {
    if (typeof line === 'number') {
      t -= line;
      continue;
    }
    const { release = live, ...rest } = line;
    const names = { release: release.slice(0, 12), digest: release };
    told.unshift(`${JSON.stringify({ t, ...names, invocation: 'i', restarts: 0, ok: true, ...rest })}\n`);
    t -= 60;
  }
  const [begin = '', ...more] = told;
  // The first day ends in a line that a power cut tore.
  writeFileSync(join(folder, '2026-01-01.jsonl'), `${begin}{"t":17,"rel`);
  writeFileSync(join(folder, '2026-01-02.jsonl'), more.join(''));
}

function spanIn(log: Log) {
  layLog(log);
  const words = [folder, log.asked ?? live, live, String(log.healthy ?? true), 'i', '0', '60', String(now)];
  const script = `set -euo pipefail; . ${library}; latest_span "$@"`;
  return JSON.parse(execFileSync('bash', ['-c', script, 'bash', ...words], { encoding: 'utf8' }));
}

describe('the latest span of a release', () => {
  const good = { ok: true };
  const bad = { ok: false };
  const other = { release: first };
  const cases: [what: string, Log, wanted: object][] = [
    ['goes on', { lines: [good, good, good] }, { ended: 'live', seconds: 120, minutes: 2, until: now - 5 }],
    ['bears a late line', { lines: [good, 29, good] }, { ended: 'live', seconds: 89, minutes: 1 }],
    ['begins anew after a gap', { lines: [good, good, 31, good] }, { ended: 'live', seconds: 0 }],
    ['is old', { lines: [good, good], ago: 125 }, { ended: 'gap', seconds: 60 }],
    ['is of tomorrow', { lines: [good, good], ago: -60 }, { ended: 'gap' }],
    ['goes back in time', { lines: [good, good, -90, good] }, { ended: 'live', seconds: 0 }],
    ['ended by a check', { lines: [good, good, bad] }, { ended: 'check', seconds: 60 }],
    ['ended by what is wrong now', { lines: [good, good], healthy: false }, { ended: 'check', seconds: 60 }],
    ['was never well', { lines: [bad] }, { ended: 'check', from: 0, until: 0 }],
    ['begins anew after a bad check', { lines: [good, bad, good] }, { ended: 'live', seconds: 0 }],
    ['begins anew with a restart', { lines: [{ restarts: 1 }, good, good] }, { ended: 'live', seconds: 60 }],
    ['ended by a start', { lines: [{ invocation: 'a' }, { invocation: 'a' }] }, { ended: 'restart' }],
    ['ended by a restart', { lines: [good, { restarts: 1 }] }, { ended: 'restart', seconds: 0 }],
    ['was replaced', { asked: first, lines: [other, other, good] }, { ended: 'replaced', seconds: 60 }],
    ['was replaced just now', { asked: first, lines: [other] }, { ended: 'replaced' }],
    ['was replaced out of sight', { asked: first, lines: [other, 541, good] }, { ended: 'gap' }],
    [
      'was bad, then replaced',
      { asked: first, lines: [other, { ...other, ...bad }, good] },
      { ended: 'check' },
    ],
    [
      'came back, and went',
      { asked: first, lines: [other, other, good, other, good] },
      { ended: 'replaced', seconds: 0 },
    ],
    ['is of another', { asked: `${live.slice(0, 12)}${'0'.repeat(52)}`, lines: [good] }, { ended: 'none' }],
    ['never was', { asked: first, lines: [good] }, { ended: 'none', from: 0, until: 0, seconds: 0 }],
    ['has no log', { lines: [] }, { ended: 'none', from: 0, until: 0 }],
  ];

  test.each(cases)('%s', (_, log, wanted) => {
    expect(spanIn(log)).toMatchObject({ release: log.asked ?? live, ...wanted });
  });
});
