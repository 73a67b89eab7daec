import assert from 'node:assert/strict';
import type { Scene } from './scene.ts';
import { assertConclusion, deployResult, jobOf, outcomeOfSeveral } from './verdict.ts';

/**
 * A cancelled run stops the host at a safe point, and awaits it. One whose runner dies leaves a lease: the next run
 * takes it over when that attempt has ended *and* no host is at work.
 */
export const interruptedRuns: Scene = {
  key: 'interrupted',
  name: 'A run that is cancelled, and a runner that is killed',
  roles: ['kiosk'],
  async play({ kiosk, say }) {
    await kiosk.ensureLive();
    const live = await kiosk.host.liveRelease();
    const invocation = await kiosk.host.liveInvocation();
    await kiosk.repository.write('CHANGES', 'One more line.\n');
    await kiosk.repository.commit('A change');

    say('push, and cancel the run while the host prepares the release');
    await kiosk.host.hold('prepare');
    const cancel = new AbortController();
    const cancelling = kiosk.push({ cancel: cancel.signal });
    await Promise.race([kiosk.host.untilIn('prepare'), cancelling]);
    cancel.abort();
    await Promise.race([kiosk.host.untilIn('prepare', { cancelled: true }), cancelling]);
    await kiosk.host.letGo('prepare');
    const cancelled = await cancelling;
    assertConclusion(cancelled, 'cancelled');
    const { summary } = jobOf(cancelled, 'deploy');
    assert.match(summary, /after it was stopped: reverted/, 'the summary does not say how the host ended');
    assert.match(summary, new RegExp(`Release ${live} serves and is healthy`));
    assert.deepEqual(await kiosk.account.lease(), 'released');
    assert.equal(await kiosk.host.liveRelease(), live);
    assert.equal(await kiosk.host.liveInvocation(), invocation, 'the live release was restarted');

    say('push again, and kill the runner with -9 while the host prepares the release');
    // Of its own commit: the host may have prepared the release of the cancelled run, and would not do so again.
    await kiosk.repository.write('CHANGES', 'Two more lines.\n');
    await kiosk.repository.commit('Another change');
    await kiosk.host.hold('prepare');
    const lost = new AbortController();
    const losing = kiosk.push({ lost: lost.signal });
    await Promise.race([kiosk.host.untilIn('prepare'), losing]);
    lost.abort();
    assertConclusion(await losing, 'failure');
    assert.deepEqual(await kiosk.account.lease(), 'held');
    say('run it again while the host is still at work');
    const refused = await kiosk.rerun();
    assertConclusion(refused, 'failure');
    const { result, reason, sentence } = deployResult(refused);
    assert.deepEqual([result, reason], ['refused', 'lease-held']);
    assert.match(sentence, /That attempt has ended, but i-\w+ still runs/);
    say('run it again once the host has come to its end');
    await kiosk.host.letGo('prepare');
    await kiosk.host.until(
      '[[ -z $(systemctl list-units --plain --no-legend "understudy-kiosk-*-deploy-*") ]]',
    );
    assert.notEqual(
      await kiosk.host.liveRelease(),
      live,
      'the host did not finish its work without its runner',
    );
    const taken = await kiosk.rerun();
    assertConclusion(taken, 'success');
    assert.equal(deployResult(taken).result, 'unchanged');
    assert.match(taken.log, /taking the lease over from /);
    assert.deepEqual(await kiosk.account.lease(), 'released');
    const note = 'stopped at a safe point; the killed one was finished by its host, and its lease taken over';
    return outcomeOfSeveral(
      [{ run: cancelled }, { run: taken }],
      (await kiosk.account.callsSince()).length,
      note,
    );
  },
};
