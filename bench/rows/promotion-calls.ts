import { join } from 'node:path';
import { startCloud, stopCloud } from '../../rehearsal/cloud/cloud.ts';
import type { RecordedCall } from '../../rehearsal/gateway/record.ts';
import { app } from '../../tests/end-to-end/promotion/app.ts';
import { Stage, toldBy } from '../../tests/end-to-end/promotion/stage.ts';
import { atMost, type Figure } from '../figure.ts';
import type { Play, Row } from '../row.ts';
import { countCalls } from './deploy.ts';

const rounds = 3;
/** So that it watches one minute. Each further minute adds two calls: a probe is sent, and read. */
const bake = '1m';

/** How often one promotion asks AWS; its wait of a minute, and no other, passes in a second. */
export const promotionCalls: Row = {
  name: 'promotion-calls',
  title: 'The API calls of a promotion',
  async play(play) {
    const name = `bp${process.pid.toString(36)}`;
    try {
      const stage = await Stage.open(await startCloud({ name, onStep: play.say }), bake);
      return [figureOf(await measure(stage, play))];
    } finally {
      await stopCloud(name);
    }
  },
};

async function measure(stage: Stage, { say, stop }: Play): Promise<RecordedCall[][]> {
  await stage.protectTags();
  await stage.prove(1);
  // The first of all finds nothing that it could back up.
  await promote(stage);
  const all: RecordedCall[][] = [];
  for (let round = 1; round <= rounds; round += 1) {
    stop.throwIfAborted();
    const calls = await promote(stage);
    all.push(calls);
    say(`promotion ${round} of ${rounds}: ${calls.length} calls: ${countCalls(calls)}`);
  }
  return all;
}

/** Promotes the next release by the bundle; gives the calls of its two roles, and of taking them. */
async function promote(stage: Stage): Promise<RecordedCall[]> {
  const packed = await stage.soak(await stage.pack());
  const since = stage.calls().length;
  const leaps = `--import=${join(import.meta.dirname, '../leap.ts')}`;
  const step = await stage.promote(packed, { env: { NODE_OPTIONS: leaps } });
  const { result, sentence } = toldBy(step);
  if (result !== 'done') throw new Error(`the promotion was ${result}: ${sentence}`);
  const roles = [`role/${app}-production-ci`, `role/${app}-staging-promoter`];
  return stage
    .calls()
    .slice(since)
    .filter(({ principal, action }) => roles.includes(principal) || action === 'AssumeRoleWithWebIdentity');
}

function figureOf(all: readonly RecordedCall[][]): Figure {
  const sorted = all.toSorted((a, b) => a.length - b.length);
  const typical = sorted[Math.floor(sorted.length / 2)] ?? [];
  const [least, most] = [sorted[0]?.length, sorted.at(-1)?.length];
  return atMost(typical.length, 60, String, {
    name: 'API calls of one promotion to one instance, with its polls',
    note: `median of ${rounds}, ${least} to ${most}, with a backup, an image and one minute of watching (each further one: 2 more); what hosts do is asked for after 2, 5, 10 and 19 s, then each 15 s: ${countCalls(typical)}`,
  });
}
