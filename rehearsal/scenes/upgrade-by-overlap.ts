import assert from 'node:assert/strict';
import type { Scene } from './scene.ts';
import { assertAllStored, assertConclusion, assertNothingLost, deployResult, outcomeOf } from './verdict.ts';

/** Isso 0.13.2 → 0.14.0 while people read and comment: both answer from one socket, nobody waits. */
export const upgradeByOverlap: Scene = {
  key: 'overlap',
  name: 'Upgrade under load: Isso 0.13.2 to 0.14.0 by overlap',
  roles: ['isso'],
  measured: true,
  async play({ isso, say }) {
    await isso.ensureLive();
    await isso.repository.apply('upgrade.patch');
    await isso.repository.commit('Isso 0.14.0');
    say('push to main while readers read and comment');
    const { run, load } = await isso.pushUnderLoad();
    assertConclusion(run, 'success');
    assert.equal(deployResult(run).result, 'done');
    assert.equal(JSON.parse(await isso.host.get('/info')).version, '0.14.0');
    assertNothingLost(load);
    assertAllStored(load.acknowledged, await isso.host.column('comments.db', 'SELECT text FROM comments'));
    const note = `${load.acknowledged.length} comments acknowledged, all of them stored`;
    return outcomeOf({ run, load, apiCalls: (await isso.account.callsSince()).length, note });
  },
};
