import assert from 'node:assert/strict';
import { inSeconds } from '../../src/action/log.ts';
import type { Run } from '../runner/runner.ts';
import { backupsOf, columnOf } from './backups.ts';
import type { Scene } from './scene.ts';
import type { Staging } from './staging.ts';
import { assertAllStored, assertConclusion, assertNothingLost, jobOf, metBy, resultOf } from './verdict.ts';

/** A release that nobody wants is live, and people use it: the plan, then the button. */
export const theButtonRelease: Scene = {
  key: 'button-release',
  name: 'The button: ChatMRPT goes back to the release before, under load',
  roles: ['chatmrpt'],
  measured: true,
  async play({ chatmrpt, say }) {
    await chatmrpt.ensureLive();
    const wanted = await chatmrpt.host.liveRelease();
    await chatmrpt.repository.edit('README.md', (text) => `${text}\nNobody wants this.\n`);
    await chatmrpt.repository.commit('A release that nobody wants');
    assertConclusion(await chatmrpt.push(), 'success');
    const unwanted = await chatmrpt.host.liveRelease();
    say('plan: true');
    const plan = await press(chatmrpt, { what: 'release', plan: 'true' }, 'planned');
    assert.ok(jobOf(plan, 'rollback').summary.includes(wanted), 'the plan does not name the release');
    assert.equal(await chatmrpt.host.liveRelease(), unwanted, 'a plan has changed the release');
    say('the button, while people upload');
    const { run, load } = await chatmrpt.dispatchUnderLoad('rollback.yml', {
      what: 'release',
      plan: 'false',
    });
    assertConclusion(run, 'success');
    assert.equal(resultOf(run, 'rollback').reason, 'rolled-back');
    assert.equal(await chatmrpt.host.liveRelease(), wanted);
    assertNothingLost(load);
    assertAllStored(load.acknowledged, await chatmrpt.host.column('app.db', 'SELECT name FROM uploads'));
    assert.equal(await chatmrpt.account.lease(), 'released');
    const [{ wait_ms: wait = 0 } = {}] = resultOf(run, 'rollback').instances;
    const summary = [plan, run].map((each) => jobOf(each, 'rollback').summary).join('\n');
    const note = `release ${wanted} is live again in place of ${unwanted}; requests waited ${inSeconds(wait)}`;
    return { ...metBy([load]), apiCalls: (await chatmrpt.account.callsSince()).length, summary, note };
  },
};

/** Somebody deletes what users uploaded: back to the newest backup, and what there was in between is kept. */
export const theButtonData: Scene = {
  key: 'button-data',
  name: 'The button: the data of ChatMRPT goes back to a backup, and what was there is backed up first',
  roles: ['chatmrpt'],
  async play({ chatmrpt, say }) {
    await chatmrpt.ensureLive();
    const names = 'SELECT name FROM uploads ORDER BY id';
    await upload(chatmrpt, 'before.csv');
    assertConclusion(await chatmrpt.dispatch('backup.yml'), 'success');
    const before = await chatmrpt.host.column('app.db', names);
    say('an accident: all uploads are gone, and somebody uploads on');
    await chatmrpt.host.ask(
      'sqlite3',
      '-cmd',
      '.timeout 10000',
      '/srv/chatmrpt/shared/app.db',
      'DELETE FROM uploads',
    );
    await upload(chatmrpt, 'since.csv');
    const run = await press(chatmrpt, { what: 'data', to: 'newest', plan: 'false' }, 'restored');
    assert.deepEqual(await chatmrpt.host.column('app.db', names), before);
    assert.match(await chatmrpt.host.get('/health'), /"status":"ok"/);
    const [saved] = await backupsOf(chatmrpt);
    assert.ok(saved, 'there is no backup');
    assert.match(saved.operation, /-backup-before-/, 'what was there was not backed up');
    assert.deepEqual(await columnOf(chatmrpt, saved.key, names), ['since.csv']);
    const { summary } = jobOf(run, 'rollback');
    assert.match(summary, /<code>uploads<\/code> \| 1 \| \d/);
    const note = `${before.length} uploads are back; the one since is in ${saved.key}`;
    return { requests: 0, lost: 0, worstLatencyMs: null, apiCalls: 0, summary, note };
  },
};

async function press(staging: Staging, inputs: Record<string, string>, reason: string): Promise<Run> {
  const run = await staging.dispatch('rollback.yml', { inputs });
  assertConclusion(run, 'success');
  assert.equal(resultOf(run, 'rollback').reason, reason);
  return run;
}

async function upload({ host }: Staging, name: string): Promise<void> {
  const form = `file=ward,cases\nGarki,7\n;filename=${name}`;
  await host.ask('curl', '--silent', '--fail', '--form', form, 'http://127.0.0.1:8080/upload');
}
