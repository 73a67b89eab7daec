import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type Cloud, startCloud, stopCloud } from '../../rehearsal/cloud/cloud.ts';
import { addFault, clearFaults } from '../../rehearsal/cloud/fault.ts';
import { readCalls } from '../../rehearsal/gateway/record.ts';
import { backupsOf, openBackup } from '../../rehearsal/scenes/backups.ts';
import { Cast } from '../../rehearsal/scenes/cast.ts';
import type { Staging } from '../../rehearsal/scenes/staging.ts';
import { assertConclusion, jobOf, resultOf } from '../../rehearsal/scenes/verdict.ts';

// What becomes of a backup whose host, run or runner does not do as it should: through the workflow, on a real host.

const name = `eb${process.pid.toString(36)}`;
let cloud: Cloud;
let kiosk: Staging;

beforeAll(async () => {
  await stopCloud(name);
  cloud = await startCloud({ name });
  kiosk = await new Cast(cloud).get('kiosk');
  await kiosk.ensureLive();
}, 180_000);

afterAll(async () => {
  await stopCloud(name);
}, 60_000);

beforeEach(() => clearFaults(cloud));

const manifests = async () => (await backupsOf(kiosk)).map(({ key }) => key);

/** S3 answers an upload of the host so late that it can be met in the middle of it. */
const delayUploads = () =>
  addFault(cloud, { action: 'PutObject', kind: 'delay', resource: '*/database-0.*', seconds: 15 });

/** Waits until the host has sent the database, and awaits S3's answer. */
async function untilUploading(): Promise<void> {
  await kiosk.host.until(`for folder in /var/lib/understudy/kiosk/operations/*-backup-staging; do
    [[ ! -f $folder/line ]] || continue
    ! grep --quiet '"fact":"put","value":"database-0' "$folder/journal.jsonl" || exit 0
  done; exit 1`);
}

describe('the job of a backup', () => {
  test('is green when every object is in the bucket as the manifest says', async () => {
    const run = await kiosk.dispatch('backup.yml');
    assertConclusion(run, 'success');
    expect(run.log).toContain('not known before the first backup');
    const { result, reason, instances } = resultOf(run, 'backup');
    expect([result, reason]).toEqual(['done', 'backed-up']);
    const [key = ''] = await manifests();
    // The push that brought the app; a backup deploys nothing.
    expect(await kiosk.account.deployments()).toHaveLength(1);
    expect(instances).toMatchObject([{ instance: kiosk.host.id, manifest: key }]);
    expect(jobOf(run, 'backup').outputs['manifest']).toBe(key);
    const { databases, code } = await openBackup(kiosk, key);
    expect(databases.map(({ name: of }) => of)).toEqual(['visits.db']);
    expect(code?.count).toBeGreaterThan(3);
    expect(jobOf(run, 'backup').summary).toContain('<code>visits</code>');
  }, 120_000);

  test('is red when the bucket never got what the host believes to have stored', async () => {
    // Whoever answers the host says "stored", of an upload that is lost: as a bug of ours, or of the CLI, would be.
    const liar = `#!/bin/bash
if [[ $* == *put-object*/database-0.* ]]; then exit 0; fi
exec ${await kiosk.host.ask('bash', '-c', 'command -v aws')} "$@"
`;
    await kiosk.host.ask(
      'bash',
      '-c',
      'printf %s "$1" >/usr/local/sbin/aws; chmod 755 /usr/local/sbin/aws',
      '',
      liar,
    );
    const run = await kiosk.dispatch('backup.yml');
    await kiosk.host.ask('rm', '/usr/local/sbin/aws');
    assertConclusion(run, 'failure');
    expect(run.log).toContain(`${kiosk.host.id}  succeeded (Success)`);
    const { result, reason, sentence } = resultOf(run, 'backup');
    expect([result, reason]).toEqual(['failed', 'unconfirmed']);
    expect(sentence).toMatch(
      /The manifest promises database-0\.sqlite\.(zst|gz), and there is no backups\/kiosk/,
    );
    expect(await kiosk.account.lease()).toBe('released');
  }, 120_000);

  test('that is cancelled stops the host at a safe point, commits nothing, and gives the lease back', async () => {
    const before = await manifests();
    await delayUploads();
    const cancel = new AbortController();
    const running = kiosk.dispatch('backup.yml', { cancel: cancel.signal });
    await Promise.race([untilUploading(), running]);
    cancel.abort();
    const run = await running;
    assertConclusion(run, 'cancelled');
    expect(jobOf(run, 'backup').summary).toContain('backup of kiosk in staging, after it was stopped');
    expect(run.log).toMatch(new RegExp(`${kiosk.host.id} {2}(failed|refused) \\(cancelled\\): .+`));
    expect(await manifests()).toEqual(before);
    expect(await kiosk.account.lease()).toBe('released');
  }, 120_000);

  test('whose runner dies is finished by its host, and leaves its lease to the next run', async () => {
    const before = await manifests();
    await delayUploads();
    const lost = new AbortController();
    const running = kiosk.dispatch('backup.yml', { lost: lost.signal });
    await Promise.race([untilUploading(), running]);
    lost.abort();
    assertConclusion(await running, 'failure');
    expect(await kiosk.account.lease()).toBe('held');
    const committed = async () => (await manifests()).length === before.length + 1;
    await kiosk.host.eventually(committed, 'the host commits the backup');
    await kiosk.host.until('! systemctl --quiet is-active "understudy-kiosk-*-backup-staging.service"');
    const next = await kiosk.dispatch('backup.yml');
    assertConclusion(next, 'success');
    expect(next.log).toContain('taking the lease over from');
    expect(next.log).toMatch(/hold +writers of visits\.db \(.+\) wait for up to about \d/);
    expect(await manifests()).toHaveLength(before.length + 2);
    expect(jobOf(next, 'backup').summary).toContain('the backup before');
    expect(await kiosk.account.lease()).toBe('released');
  }, 180_000);
});

test('nothing was overwritten or deleted in the backup bucket, and no host read it', () => {
  const calls = readCalls(join(cloud.state, 'calls.jsonl')).filter(({ resource }) =>
    resource.includes('kiosk-understudy-backups/'),
  );
  expect(calls.length).toBeGreaterThan(10);
  expect(calls.filter(({ action }) => action.startsWith('Delete'))).toEqual([]);
  const byHost = calls.filter(({ principal }) => principal === 'role/kiosk-staging-host');
  expect(new Set(byHost.map(({ action }) => action))).toEqual(new Set(['PutObject']));
  const byCi = calls.filter(({ principal }) => principal === 'role/kiosk-staging-ci');
  expect(new Set(byCi.map(({ action }) => action))).toEqual(new Set(['GetObject', 'HeadObject']));
});
