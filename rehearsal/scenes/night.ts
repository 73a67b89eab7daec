import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { playNight } from '../cloud/night.ts';
import { backupsOf, columnOf, openBackup } from './backups.ts';
import type { Scene } from './scene.ts';
import type { Staging } from './staging.ts';

/**
 * GitHub stops schedules after 60 quiet days; the one in AWS goes on. Two nights in a row, since its parameters and its
 * command id are the same each time (attack 19): the same procedure and objects, under the host's own lock.
 */
export const nightWithoutGitHub: Scene = {
  key: 'night',
  name: 'The night without GitHub: the schedule in AWS backs Isso up',
  roles: ['isso'],
  later: true,
  async play({ isso, say }) {
    await isso.ensureLive();
    const before = (await backupsOf(isso)).length;
    say('the first night');
    const first = await night(isso, 'the first night');
    say('the second night, a minute later');
    await sleep(60_000 - (Date.now() % 60_000));
    const second = await night(isso, 'the second night');
    assert.notEqual(second.key, first.key);
    assert.equal((await backupsOf(isso)).length, before + 2);
    assert.deepEqual(second.objects, first.objects, 'the second night has other objects than the first');
    assert.equal(await isso.account.lease(), 'released');
    const calls = await isso.account.callsSince();
    assert.deepEqual(calls, [], 'a job of GitHub had a part in it');
    const note = `two nights, two backups (${first.operation}, ${second.operation}), and no call from GitHub`;
    return { requests: 0, lost: 0, worstLatencyMs: null, apiCalls: 0, summary: '', note };
  },
};

/** Somebody comments in the evening; the night's backup must hold it. */
async function night(
  isso: Staging,
  text: string,
): Promise<{ key: string; operation: string; objects: string[] }> {
  const body = JSON.stringify({ text, author: 'Ada', title: 'The rehearsal' });
  const url = `http://127.0.0.1:8080/new?uri=${encodeURIComponent('/rehearsal/')}`;
  const sent = ['--header', 'content-type: application/json', '--data', body, url];
  await isso.host.ask('curl', '--silent', '--show-error', '--fail', ...sent);
  const nights = await playNight(isso.cloud, { app: isso.app, environment: 'staging' });
  assert.deepEqual(nights, [{ instance: isso.host.id, status: 'Success' }]);
  const [newest] = await backupsOf(isso);
  assert.ok(newest, 'there is no backup');
  assert.match(newest.operation, /^scheduled-\d{12}$/);
  const manifest = await openBackup(isso, newest.key);
  const comments = await columnOf(isso, newest.key, 'SELECT text FROM comments');
  assert.ok(comments.includes(text), `the backup does not hold the comment "${text}"`);
  const objects = [...manifest.databases, manifest.files, manifest.code].flatMap(
    (part) => part?.object ?? [],
  );
  return { key: newest.key, operation: newest.operation, objects };
}
