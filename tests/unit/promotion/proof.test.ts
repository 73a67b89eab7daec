import { expect, test } from '@jest/globals';
import type { DrillReceipt } from '../../../src/drill/receipt.ts';
import { proofProblem } from '../../../src/promotion/proof.ts';

const now = Date.UTC(2026, 10, 23, 12);
const hour = 3_600_000;
const drill = (hoursAgo: number, verdict: DrillReceipt['verdict'] = 'verified', reached = 7) => ({
  drilled: new Date(now - hoursAgo * hour).toISOString(),
  ...{ verdict, level: { asked: 7, reached }, backup: 'backups/1/manifest.json' },
});

test.each([
  ['young', [drill(35)], undefined],
  ['on the machine of the job', [drill(1, 'verified', 5)], undefined],
  ['followed by one that could not run', [drill(10), drill(1, 'drill-could-not-run', -1)], undefined],
  ['followed by one that did not go far', [drill(10), drill(1, 'verified', 1)], undefined],
  ['none', [], /no drill has brought one to level 5 yet/],
  ['none that went far', [drill(1, 'verified', 4)], /no drill has brought one to level 5 yet/],
  ['too old', [drill(37)], /the newest proof is 37 h old, where understudy\.yml wants one each 36 h/],
  ['followed by a bad one', [drill(10), drill(1, 'backup-bad', 2)], /found it bad/],
  [
    'followed by a control that passed',
    [drill(10), drill(1, 'control-passed')],
    /did not refuse a damaged copy/,
  ],
  ['of tomorrow', [drill(-24)], /which is still to come/],
])('a proof: %s', (_, drills, says) => {
  const problem = proofProblem(drills, now, 36 * hour);
  if (says === undefined) expect(problem).toBeUndefined();
  else expect(problem).toMatch(says);
});
