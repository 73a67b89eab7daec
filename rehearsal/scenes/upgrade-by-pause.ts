import assert from 'node:assert/strict';
import { inSeconds } from '../../src/action/log.ts';
import type { Scene } from './scene.ts';
import {
  assertAllStored,
  assertConclusion,
  assertNothingLost,
  deployResult,
  jobOf,
  outcomeOf,
} from './verdict.ts';

/** The first user's app is upgraded under load by pause: requests wait, none is lost, the wait is told. */
export const upgradeByPause: Scene = {
  key: 'pause',
  name: "Upgrade under load: the first user's app by pause",
  roles: ['chatmrpt'],
  measured: true,
  async play({ chatmrpt, say }) {
    say('first deploy of acme/chatmrpt');
    await chatmrpt.ensureLive();
    await chatmrpt.repository.edit('README.md', (text) => `${text}\nA line more.\n`);
    await chatmrpt.repository.commit('The next release');
    say('push to main while people upload');
    const { run, load } = await chatmrpt.pushUnderLoad();
    assertConclusion(run, 'success');
    const result = deployResult(run);
    assert.equal(result.result, 'done');
    assertNothingLost(load);
    assertAllStored(load.acknowledged, await chatmrpt.host.column('app.db', 'SELECT name FROM uploads'));
    const wait = result.instances[0]?.wait_ms;
    assert.ok(wait !== undefined && wait > 0, 'the result does not tell the wait');
    const told = inSeconds(wait);
    const { summary } = jobOf(run, 'deploy');
    assert.ok(summary.includes(`waited at most ${told}`), `the summary does not tell the wait of ${told}`);
    const note = `requests waited ${told} while the app was exchanged`;
    return outcomeOf({ run, load, apiCalls: (await chatmrpt.account.callsSince()).length, note });
  },
};
