import assert from 'node:assert/strict';
import type { Scene } from './scene.ts';
import { assertConclusion, deployJob, deployResult } from './verdict.ts';

/** A push of a new repository reaches an empty host, and the app is up. */
export const firstDeploy: Scene = {
  name: 'First deploy: Isso 0.13.2 to an empty host',
  async play({ isso, say }) {
    const before = await isso.apiCalls();
    say('push to main of acme/isso');
    const run = await isso.push();
    assertConclusion(run, 'success');
    assert.equal(deployResult(run).result, 'done');
    assert.match(deployJob(run).summary, /done/i);
    assert.equal(JSON.parse(await isso.get('/info')).version, '0.13.2');
    return {
      requests: 0,
      lost: 0,
      worstLatencyMs: null,
      apiCalls: (await isso.apiCalls()) - before,
      summary: deployJob(run).summary,
      note: `release ${await isso.liveRelease()} is live`,
    };
  },
};
