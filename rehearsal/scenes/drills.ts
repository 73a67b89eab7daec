import assert from 'node:assert/strict';
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import type { Run } from '../runner/runner.ts';
import { backupsOf, openBackup } from './backups.ts';
import type { Outcome, Scene } from './scene.ts';
import type { Staging } from './staging.ts';
import { assertConclusion, jobOf, resultOf } from './verdict.ts';

/** What is there of a drill for those who come later. */
interface Drill {
  readonly verdict: string;
  readonly level: { readonly asked: number; readonly reached: number };
  readonly control: string | null;
  readonly restorable: string | null;
  readonly rto: { readonly ms: number; readonly phases: readonly { readonly name: string }[] };
}

/**
 * A host is launched for the drill, the very script of an emergency restores the newest backup on it, and an older one after
 * it; the app comes up on each, with no way out to the network, and answers its checks. Then the host is gone, also when the
 * job is cancelled half-way.
 */
export const theDrill: Scene = {
  key: 'drill',
  name: 'The drill: ChatMRPT comes up from its backups on a host of its own, which is gone afterwards',
  roles: ['chatmrpt'],
  async play({ chatmrpt, say }) {
    await chatmrpt.ensureLive();
    await backUp(chatmrpt);
    const key = await backUp(chatmrpt);
    say('up to level 8, on a host of its own');
    const { run, drill } = await drillOf(chatmrpt, 'success', 'verified', onHost);
    assert.deepEqual(drill.level, { asked: 8, reached: 8 });
    assert.deepEqual(
      drill.rto.phases.map(({ name }) => name),
      ['launch', 'prepare', 'fetch', 'prove', 'exchange', 'start', 'checks'],
    );
    assert.equal(drill.control, 'refused', 'a copy that was damaged on purpose was not refused');
    assert.equal(drill.restorable, key);
    const proven = await chatmrpt.account.keys('proven/');
    assert.ok(
      proven.includes(key.replace(/^backups\/(.+)\/\w+\/([^/]+)/, 'proven/$1/$2')),
      proven.join('\n'),
    );
    assert.deepEqual(await chatmrpt.account.drillHosts(), [], 'the drill host is still there');
    say('and one that is cancelled half-way');
    const cut = await cancelled(chatmrpt);
    assert.deepEqual(await chatmrpt.account.drillHosts(), [], 'the host of a cancelled drill is still there');
    const took = Math.round(drill.rto.ms / 100) / 10;
    const note = `levels 0 to 8; back in ${took} s; a damaged copy was refused; no drill host is left, nor of the one that was cancelled`;
    return seen([run, cut], note);
  },
};

/** One object of the newest backup is damaged where it lies. */
export const theBadDay: Scene = {
  key: 'bad-day',
  name: 'The bad day: the newest backup of ChatMRPT is damaged, and the older one is told',
  roles: ['chatmrpt'],
  async play({ chatmrpt, say }) {
    await chatmrpt.ensureLive();
    const good = await backUp(chatmrpt);
    const bad = await backUp(chatmrpt);
    const object = await damage(chatmrpt, bad);
    say(`${object} is damaged`);
    const red = await drillOf(chatmrpt, 'failure', 'backup-bad');
    assert.match(red.sentence, /is bad\. Level 1 \(/);
    assert.ok(red.sentence.includes(object), `the drill does not name ${object}: ${red.sentence}`);
    assert.equal(red.drill.restorable, good, 'the drill does not tell the newest that restores');
    say('the next night');
    const again = await drillOf(chatmrpt, 'failure', 'backup-bad');
    const open = (await chatmrpt.account.issues()).filter(({ state }) => state === 'open');
    assert.deepEqual(
      open.map(({ labels, comments }) => [labels, comments.length]),
      [[['backup-bad'], 1]],
    );
    say('mended, by a new backup');
    const mended = await backUp(chatmrpt);
    const green = await drillOf(chatmrpt, 'success', 'verified');
    const [issue] = await chatmrpt.account.issues();
    assert.equal(issue?.state, 'closed');
    assert.ok(issue.comments.at(-1)?.body.includes(mended), 'the issue is closed without the proof');
    const note =
      'red on level 1 by the name of the object; one issue, closed with the proof of the next backup';
    return seen([red.run, again.run, green.run], note);
  },
};

const onHost = { level: '8', where: 'drill-host' };
/** The data is ChatMRPT's of the rehearsal: it may come to the machine of the job. */
const onRunner = { level: '5', where: 'runner' };

/** A drill that somebody cancels while its host restores. */
async function cancelled(staging: Staging): Promise<Run> {
  const cancel = new AbortController();
  const onLine = (line: string): void => {
    if (line.includes('restores on i-')) cancel.abort();
  };
  const run = await staging.dispatch('verify-backup.yml', { inputs: onHost, cancel: cancel.signal, onLine });
  assertConclusion(run, 'cancelled');
  return run;
}

/** Backs up by the workflow, and gives the key of the manifest. */
async function backUp(staging: Staging): Promise<string> {
  assertConclusion(await staging.dispatch('backup.yml'), 'success');
  const [newest] = await backupsOf(staging);
  assert.ok(newest, 'there is no backup');
  await openBackup(staging, newest.key);
  return newest.key;
}

interface Played {
  readonly run: Run;
  readonly sentence: string;
  readonly drill: Drill;
}

async function drillOf(
  staging: Staging,
  conclusion: Run['conclusion'],
  reason: string,
  inputs: Readonly<Record<string, string>> = onRunner,
): Promise<Played> {
  const run = await staging.dispatch('verify-backup.yml', { inputs });
  assertConclusion(run, conclusion);
  const told = resultOf(run, 'drill');
  assert.equal(told.reason, reason, told.sentence);
  const [newest = ''] = (await staging.account.keys('drills/')).toReversed();
  const drill = JSON.parse((await readObject(staging, newest)).toString()) as Drill;
  assert.equal(drill.verdict, reason);
  return { run, sentence: told.sentence, drill };
}

/** Flips one bit of the database of a backup, as it lies in the bucket; gives the object's name. */
async function damage(staging: Staging, key: string): Promise<string> {
  const object = (await openBackup(staging, key)).databases[0]?.object ?? '';
  const at = key.replace('manifest.json', object);
  const bytes = await readObject(staging, at);
  const middle = Math.floor(bytes.length / 2);
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  const put = { Bucket: `${staging.app}-understudy-backups`, Key: at, Body: bytes };
  await staging.account.s3.send(new PutObjectCommand({ ...put, ChecksumAlgorithm: 'SHA256' }));
  return object;
}

async function readObject({ account, app }: Staging, Key: string): Promise<Buffer> {
  const { Body } = await account.s3.send(new GetObjectCommand({ Bucket: `${app}-understudy-backups`, Key }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

function seen(runs: readonly Run[], note: string): Outcome {
  const summary = runs.map((run) => jobOf(run, 'drill').summary).join('\n');
  return { requests: 0, lost: 0, worstLatencyMs: null, apiCalls: 0, summary, note };
}
