import assert from 'node:assert/strict';
import type { Scene } from './scene.ts';
import { assertConclusion, deployResult, jobOf, outcomeOf } from './verdict.ts';

/** A re-run builds other bytes of the same commit: the first build stays, and nothing is restarted. */
export const samePushAgain: Scene = {
  key: 'same-push',
  name: 'The same push again: unchanged',
  roles: ['isso'],
  async play({ isso, say }) {
    await isso.ensureLive();
    const live = await isso.host.liveRelease();
    const invocation = await isso.host.liveInvocation();
    const stored = await isso.account.storedReleases();
    say('re-run of the last push');
    const run = await isso.rerun();
    assertConclusion(run, 'success');
    assert.equal(deployResult(run).result, 'unchanged');
    const built = jobOf(run, 'build').outputs['release']?.slice(0, 12);
    assert.notEqual(built, live, 'the build gave the very same bytes: that proves nothing');
    assert.equal(await isso.host.liveRelease(), live);
    assert.equal(await isso.host.liveInvocation(), invocation, 'the live release was restarted');
    assert.deepEqual(await isso.account.storedReleases(), stored, 'another build of the commit was stored');
    const note = `it built ${built}; the first build of the commit stays live, and nothing was restarted`;
    return outcomeOf({ run, apiCalls: (await isso.account.callsSince()).length, note });
  },
};
