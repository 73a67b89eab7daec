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
  readonly rto: { readonly ms: number };
}

/** The newest backup of a real host is unpacked and judged by the functions that the host itself verifies with. */
export const theDrill: Scene = {
  key: 'drill',
  name: "The drill: a job proves that ChatMRPT's newest backup restores",
  roles: ['chatmrpt'],
  async play({ chatmrpt, say }) {
    await chatmrpt.ensureLive();
    const key = await backUp(chatmrpt);
    say('up to level 5, on the machine of the job');
    const { run, drill } = await drillOf(chatmrpt, 'success', 'verified');
    assert.deepEqual(drill.level, { asked: 5, reached: 5 });
    assert.equal(drill.control, 'refused', 'a copy that was damaged on purpose was not refused');
    assert.equal(drill.restorable, key);
    const proven = await chatmrpt.account.keys('proven/');
    assert.ok(
      proven.includes(key.replace(/^backups\/(.+)\/\w+\/([^/]+)/, 'proven/$1/$2')),
      proven.join('\n'),
    );
    const note = `levels 0 to 5 in ${Math.round(drill.rto.ms / 100) / 10} s; a damaged copy was refused`;
    return seen([run], note);
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

async function drillOf(staging: Staging, conclusion: Run['conclusion'], reason: string): Promise<Played> {
  const run = await staging.dispatch('verify-backup.yml');
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
