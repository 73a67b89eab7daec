import assert from 'node:assert/strict';
import type { Scene } from './scene.ts';
import { assertConclusion, deployJob, deployResult } from './verdict.ts';

/** A re-run builds other bytes of the same commit: the first build stays, and nothing is restarted. */
export const samePushAgain: Scene = {
  name: 'The same push again: unchanged',
  async play({ isso, say }) {
    const before = await isso.apiCalls();
    const invocation = await isso.liveInvocation();
    say('re-run of the last push');
    const run = await isso.rerun();
    assertConclusion(run, 'success');
    assert.equal(deployResult(run).result, 'unchanged');
    assert.equal(await isso.liveInvocation(), invocation, 'the live release was restarted');
    return {
      requests: 0,
      lost: 0,
      worstLatencyMs: null,
      apiCalls: (await isso.apiCalls()) - before,
      summary: deployJob(run).summary,
      note: 'the first build of the commit is live; nothing was restarted',
    };
  },
};
