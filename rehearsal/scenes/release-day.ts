import assert from 'node:assert/strict';
import { onProduction } from './production.ts';
import type { Scene } from './scene.ts';
import { assertNothingLost, jobOf } from './verdict.ts';

/** A tag brings what staging proved to production, while its users keep asking. */
export const releaseDay: Scene = {
  key: 'release-day',
  name: 'The release day: a tag promotes what staging proved, under the users of production',
  roles: ['market'],
  play: ({ market, say }) =>
    onProduction(market, say, async (production) => {
      say('a backup of production is made, and proven to restore');
      await production.ensureProven();
      say('the next release soaks on staging');
      await market.repository.edit('app.py', (text) =>
        text.replace('"status": "ok"', '"status": "ok", "day": 1'),
      );
      await market.repository.commit('A day to remember');
      await production.release('v1.1.0');
      const proven = await market.host.liveRelease();
      const backups = await production.keys('backups', 'backups/');
      say('its tag is pushed, while users ask production');
      const { run, result, load } = await production.promoteUnderLoad('v1.1.0');
      assert.deepEqual([result.result, result.reason], ['done', 'promoted'], result.sentence);
      assertNothingLost(load);
      assert.equal(await production.host.liveRelease(), proven, 'it is not the release that staging proved');
      const outputs = jobOf(run, 'promote').outputs;
      assert.match(outputs['image'] ?? '', /^ami-/);
      const made = (await production.keys('backups', 'backups/')).filter((key) => !backups.includes(key));
      assert.ok(
        made.some((key) => key.endsWith('manifest.json')),
        'no backup was made before the change',
      );
      const took = Math.round(run.seconds);
      const note = `backed up, ${outputs['image']} made, copied, deployed and watched in ${took} s; 0 of ${load.requests} requests lost`;
      const { requests, lost, worstLatencyMs } = load;
      return { requests, lost, worstLatencyMs, apiCalls: 0, summary: jobOf(run, 'promote').summary, note };
    }),
};
