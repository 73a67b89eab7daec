import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import { onHost } from '../cloud/cloud.ts';
import { repositoryFolder } from '../ground/places.ts';
import { backupsOf } from './backups.ts';
import type { Scene } from './scene.ts';
import type { Staging } from './staging.ts';
import { assertConclusion } from './verdict.ts';

const script = readFileSync(join(repositoryFolder, 'scripts/restore-by-hand'), 'utf8');
const names = 'SELECT name FROM uploads ORDER BY id';

/**
 * Somebody deletes what users uploaded, and a person puts it back from a shell, with no part of GitHub in it: chosen,
 * proven, restored. Then a backup on which the app is not well: the whole old set comes back.
 */
export const restoreByHand: Scene = {
  key: 'by-hand',
  name: 'Restoring by hand: ChatMRPT gets its uploads back, and keeps them when a backup is of no use',
  roles: ['chatmrpt'],
  async play({ chatmrpt, say }) {
    await chatmrpt.ensureLive();
    await upload(chatmrpt, 'wards.csv');
    const before = await chatmrpt.host.column('app.db', names);
    const good = await backUp(chatmrpt);
    say('an accident: all uploads are gone');
    await sql(chatmrpt, 'DELETE FROM uploads');
    await chatmrpt.host.ask('bash', '-c', `rm ${shared(chatmrpt)}/uploads/*`);
    await restoreGood(chatmrpt, good, before);
    say('a backup on which the app is not well');
    await sql(chatmrpt, 'ALTER TABLE uploads RENAME TO lost');
    const bad = await backUp(chatmrpt);
    await sql(chatmrpt, 'ALTER TABLE lost RENAME TO uploads');
    const back = await byHand(chatmrpt, 'restore', bad, '--yes');
    assert.equal(back.code, 1, back.told);
    assert.match(back.told, /^reverted \(check-failed\): .*The whole old set of files was put back\./m);
    assert.deepEqual(await chatmrpt.host.column('app.db', names), before);
    assert.match(await chatmrpt.host.get('/health'), /"status":"ok"/);
    // A drill that chose it for its older one would be red, and rightly so.
    const Bucket = `${chatmrpt.app}-understudy-backups`;
    await chatmrpt.account.s3.send(new DeleteObjectCommand({ Bucket, Key: bad }));
    const calls = await chatmrpt.account.callsSince();
    const note =
      'listed, proven to level 4, restored; the second, on which the app was not well, was taken back';
    return { requests: 0, lost: 0, worstLatencyMs: null, apiCalls: calls.length, summary: '', note };
  },
};

async function restoreGood(staging: Staging, key: string, before: readonly string[]): Promise<void> {
  const listed = await byHand(staging, 'list');
  assert.ok(listed.told.includes(key), `${key} is not in the list:\n${listed.told}`);
  const proven = await byHand(staging, 'verify', key);
  assert.equal(proven.code, 0, proven.told);
  assert.match(proven.told, /^done \(verified\): .* up to level 4/m);
  assert.deepEqual(await staging.host.column('app.db', names), ['']);
  const restored = await byHand(staging, 'restore', key, '--yes');
  assert.equal(restored.code, 0, restored.told);
  assert.deepEqual(await staging.host.column('app.db', names), before);
  const [, aside = ''] = /What was there before is in (\S+)\./.exec(restored.told) ?? [];
  assert.equal(await staging.host.ask('sqlite3', `${aside}/app.db`, 'SELECT count(*) FROM uploads'), '0');
  const files = await staging.host.ask('bash', '-c', `ls ${shared(staging)}/uploads | wc -l`);
  assert.equal(files, String(before.length));
}

const shared = ({ app }: Staging): string => `/srv/${app}/shared`;

async function upload(staging: Staging, name: string): Promise<void> {
  const form = `file=ward,cases\nGarki,7\n;filename=${name}`;
  await staging.host.ask('curl', '--silent', '--fail', '--form', form, 'http://127.0.0.1:8080/upload');
}

async function sql(staging: Staging, statement: string): Promise<void> {
  await staging.host.ask('sqlite3', '-cmd', '.timeout 10000', `${shared(staging)}/app.db`, statement);
}

async function backUp(staging: Staging): Promise<string> {
  assertConclusion(await staging.dispatch('backup.yml'), 'success');
  const [newest] = await backupsOf(staging);
  assert.ok(newest, 'there is no backup');
  return newest.key;
}

/** The script of docs/restore.md, with an operator's credentials, in a shell that has the AWS CLI and jq: a host's. */
async function byHand(
  { app, cloud, host }: Staging,
  what: string,
  ...more: string[]
): Promise<{ code: number | null; told: string }> {
  const place = [app, 'staging', `${app}-understudy`, `${app}-understudy-backups`];
  const operator = ['AWS_ACCESS_KEY_ID=operator', 'AWS_SECRET_ACCESS_KEY=operator', 'HOME=/root'];
  const argv = ['env', ...operator, 'bash', '-s', '--', what, ...place, ...more];
  const { code, stdout, stderr } = await onHost(cloud, host.id, argv, { input: script });
  return { code, told: `${stderr}${stdout}` };
}
