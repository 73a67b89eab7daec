import assert from 'node:assert/strict';
import type { Scene } from './scene.ts';
import { assertConclusion, assertNothingLost, deployJob, deployResult } from './verdict.ts';

/** Isso 0.13.2 → 0.14.0 while people read and comment: both answer from one socket, nobody waits. */
export const upgradeByOverlap: Scene = {
  name: 'Upgrade under load: Isso 0.13.2 to 0.14.0 by overlap',
  async play({ isso, say }) {
    const before = await isso.apiCalls();
    await isso.repository.apply('upgrade.patch');
    await isso.repository.commit('Isso 0.14.0');
    say('push to main while readers read and comment');
    const { run, load } = await isso.pushUnderLoad();
    assertConclusion(run, 'success');
    assert.equal(deployResult(run).result, 'done');
    assert.equal(JSON.parse(await isso.get('/info')).version, '0.14.0');
    assertNothingLost(load);
    const stored = new Set(await isso.column('comments.db', 'SELECT text FROM comments'));
    assert.ok(load.acknowledged.length > 0, 'no comment was acknowledged: that proves nothing');
    assert.deepEqual(
      load.acknowledged.filter((id) => !stored.has(id)),
      [],
    );
    return {
      requests: load.requests,
      lost: load.lost,
      worstLatencyMs: load.worstLatencyMs,
      apiCalls: (await isso.apiCalls()) - before,
      summary: deployJob(run).summary,
      note: `${load.acknowledged.length} comments acknowledged, all of them stored`,
    };
  },
};
