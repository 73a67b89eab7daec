import assert from 'node:assert/strict';
import type { Scene } from './scene.ts';
import { assertConclusion, assertNothingLost, deployResult, jobOf, outcomeOf } from './verdict.ts';

/** July 2025 again: an HTML error page where JSON was promised. This time no user meets it. */
export const incident: Scene = {
  key: 'incident',
  name: 'The incident: HTML where JSON was promised',
  roles: ['chatmrpt'],
  measured: true,
  async play({ chatmrpt, say }) {
    await chatmrpt.ensureLive();
    const live = await chatmrpt.host.liveRelease();
    const invocation = await chatmrpt.host.liveInvocation();
    await chatmrpt.repository.apply('incident.patch');
    await chatmrpt.repository.commit('Keep uploads in the session');
    say('push the bad release while people upload');
    const { run, load } = await chatmrpt.pushUnderLoad();
    assertConclusion(run, 'failure');
    const result = deployResult(run);
    assert.equal(result.result, 'reverted');
    assert.equal(result.reason, 'check-failed');
    assert.deepEqual(
      result.instances.map(({ met }) => met),
      [false],
    );
    assertNothingLost(load);
    assert.equal(await chatmrpt.host.liveRelease(), live);
    assert.equal(await chatmrpt.host.liveInvocation(), invocation, 'the old release was restarted');
    const { summary, annotations } = jobOf(run, 'deploy');
    assert.match(summary, /\/self-check/, 'the summary does not name the check');
    assert.match(summary, /text\/html/, 'the summary does not name the content type');
    assert.match(summary, /&lt;!doctype html&gt;/i, 'the summary does not show the first line of the body');
    assert.equal(annotations.filter(({ level }) => level === 'error').length, 1);
    await chatmrpt.repository.apply('incident.patch', { reverse: true });
    await chatmrpt.repository.commit('Keep uploads in the database again');
    const note = 'found in the rehearsal on a copy of the data; no user met it';
    return outcomeOf({ run, load, apiCalls: (await chatmrpt.account.callsSince()).length, note });
  },
};
