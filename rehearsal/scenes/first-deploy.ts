import assert from 'node:assert/strict';
import type { Scene } from './scene.ts';
import { assertConclusion, deployResult, jobOf, outcomeOf } from './verdict.ts';

/** A push of a new repository reaches an empty host, and the app is up. */
export const firstDeploy: Scene = {
  key: 'first-deploy',
  name: 'First deploy: Isso 0.13.2 to an empty host',
  roles: ['isso'],
  async play({ isso, say }) {
    say('push to main of acme/isso');
    const run = await isso.push();
    assertConclusion(run, 'success');
    const jobs = [jobOf(run, 'build'), jobOf(run, 'deploy')];
    assert.deepEqual(
      jobs.map(({ conclusion }) => conclusion),
      ['success', 'success'],
    );
    assert.equal(deployResult(run).result, 'done');
    assert.match(jobOf(run, 'deploy').summary, /done/i);
    assert.equal(JSON.parse(await isso.host.get('/info')).version, '0.13.2');
    const calls = await isso.account.callsSince();
    const sent = calls.filter(
      ({ action, resource }) => action === 'SendCommand' && resource.endsWith('/isso-deploy'),
    );
    assert.equal(sent.length, 1, 'a deploy is one command');
    const deployments = await isso.account.deployments();
    assert.deepEqual(
      deployments.map(({ environment, states }) => [environment, states]),
      [['staging', ['in_progress', 'success']]],
      'GitHub has another deployment than the one that the job makes',
    );
    const note = `release ${await isso.host.liveRelease()} is live`;
    return outcomeOf({ run, apiCalls: calls.length, note });
  },
};
