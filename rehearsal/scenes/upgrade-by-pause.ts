import assert from 'node:assert/strict';
import type { Scene } from './scene.ts';
import { assertConclusion, assertNothingLost, deployJob, deployResult } from './verdict.ts';

/** The first user's app is upgraded under load by pause: requests wait, none is lost, the wait is told. */
export const upgradeByPause: Scene = {
  name: "Upgrade under load: the first user's app by pause",
  async play({ chatmrpt, say }) {
    const before = await chatmrpt.apiCalls();
    say('first deploy of acme/chatmrpt');
    assertConclusion(await chatmrpt.push(), 'success');
    await chatmrpt.repository.edit('README.md', (text) => `${text}\nA line more.\n`);
    await chatmrpt.repository.commit('The next release');
    say('push to main while people upload');
    const { run, load } = await chatmrpt.pushUnderLoad();
    assertConclusion(run, 'success');
    const result = deployResult(run);
    assert.equal(result.result, 'done');
    assertNothingLost(load);
    const wait = result.instances[0]?.wait_ms;
    assert.ok(wait !== undefined && wait > 0, 'a pause was not told');
    const stored = new Set(await chatmrpt.column('app.db', 'SELECT name FROM uploads'));
    assert.ok(load.acknowledged.length > 0, 'no upload was acknowledged: that proves nothing');
    assert.deepEqual(
      load.acknowledged.filter((id) => !stored.has(id)),
      [],
    );
    return {
      requests: load.requests,
      lost: load.lost,
      worstLatencyMs: load.worstLatencyMs,
      apiCalls: (await chatmrpt.apiCalls()) - before,
      summary: deployJob(run).summary,
      note: `requests waited ${(wait / 1000).toFixed(1)} s while the app was exchanged`,
    };
  },
};
