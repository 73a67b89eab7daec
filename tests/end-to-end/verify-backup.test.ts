import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DeleteObjectCommand, ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Cloud } from '../../rehearsal/cloud/cloud.ts';
import { addFault, clearFaults } from '../../rehearsal/cloud/fault.ts';
import { repositoryFolder } from '../../rehearsal/ground/places.ts';
import type { Job, Step } from '../../rehearsal/runner/step.ts';
import { type Backup, Backups, type Damage } from './backups.ts';
import { Drills, toldBy } from './drills.ts';

// Through the bundle, on backups that were made bad on purpose: which level finds what, and who hears of it.

const name = `dr${process.pid.toString(36)}`;
const [app, environment, repository] = ['kiosk', 'staging', 'acme/kiosk'];
const Bucket = `${app}-understudy-backups`;
let drills: Drills;
let cloud: Cloud;
let job: Job;
let s3: S3Client;
let backups: Backups;

beforeAll(async () => {
  const caller = join(repositoryFolder, 'rehearsal/scenes/kiosk');
  drills = await Drills.raise(name, { app, environment, repository, Bucket }, () => caller);
  ({ cloud, job, s3 } = drills);
  backups = new Backups({ s3, Bucket, app, environment, work: drills.work });
}, 120_000);

afterAll(() => drills.lower(), 60_000);

afterEach(() => clearFaults(cloud));

function drill(inputs: Record<string, string> = {}): Promise<Step> {
  return job.run('verify-backup', { ...drills.inputs, level: '5', where: 'runner', ...inputs });
}

const backUp = (damage?: Damage): Promise<Backup> => backups.make(damage);

/** A byte of a page in the middle, other than it was. */
function flip(bytes: Buffer, at = 4096 * 3): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(at) ^ 0xff, at);
  return copy;
}

async function keysBelow(Prefix: string): Promise<string[]> {
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket, Prefix }));
  return Contents.map(({ Key = '' }) => Key);
}

interface Receipt {
  readonly verdict: string;
  readonly level: { readonly reached: number };
  readonly levels: readonly { readonly level: number; readonly verdict: string }[];
  readonly control: string;
  readonly rpo: { readonly ms: number };
  readonly restorable: string | null;
}

const receiptOf = async (step: Step): Promise<Receipt> => JSON.parse(await drills.receiptOf(step));

interface Issue {
  readonly title: string;
  readonly body: string;
  readonly state: string;
  readonly labels: readonly string[];
  readonly comments: readonly { readonly body: string }[];
}

/** The issues of a kind, as the stand-in for GitHub holds them; the newest first. */
async function issuesOf(kind: string): Promise<Issue[]> {
  const answer = await fetch(`${cloud.githubUrl}/_cloud/state`);
  const { repositories } = (await answer.json()) as { repositories: Record<string, { issues: Issue[] }> };
  return (repositories[repository]?.issues ?? []).filter(({ labels }) => labels.includes(kind));
}

describe('a drill, night after night', () => {
  let good: Backup;

  test('is red where there is no backup at all, and opens an issue', async () => {
    const step = await drill();
    expect(toldBy(step)).toMatchObject({ result: 'failed', reason: 'backup-bad' });
    expect(step.errors[0]?.message).toContain(
      `There is no committed backup of kiosk in staging in ${Bucket}.`,
    );
    expect(step.code).toBe(1);
    expect(await issuesOf('backup-bad')).toMatchObject([
      { state: 'open', title: 'kiosk in staging: its newest backup does not restore', comments: [] },
    ]);
  }, 60_000);

  test('is green where the backup restores, keeps it as proven, and closes the issue with the proof', async () => {
    good = await backUp();
    const step = await drill();
    expect(toldBy(step)).toMatchObject({ result: 'done', reason: 'verified' });
    expect(step.code).toBe(0);
    expect(step.outputs).toMatchObject({ level: '5', backup: good.key, restorable: good.key });
    const receipt = await receiptOf(step);
    expect(receipt).toMatchObject({
      verdict: 'verified',
      control: 'refused',
      level: { asked: 5, reached: 5 },
    });
    expect(receipt.levels.map(({ level, verdict }) => [level, verdict])).toEqual(
      [0, 1, 2, 3, 4, 5].map((level) => [level, 'passed']),
    );
    expect(await keysBelow('proven/')).toEqual(
      ['database-0.sqlite.zst', 'manifest.json'].map(
        (object) => `proven/kiosk/staging/${good.key.split('/').at(-2)}/${object}`,
      ),
    );
    const [issue] = await issuesOf('backup-bad');
    expect(issue).toMatchObject({ state: 'closed' });
    expect(issue?.comments[0]?.body).toContain(`${good.key}, passed every level up to 5`);
    expect(step.log).toContain('personal data too, to the machine of this job');
    expect(step.summary).toMatch(/Age of the data \(RPO\)[\s\S]+level 5 of 5/);
  }, 60_000);

  test('leaves nothing of the data on the machine, nor in the log', async () => {
    const step = await drill({ level: '4' });
    expect(step.code).toBe(0);
    expect(step.log + step.summary).not.toContain('ada@example.com');
    const scratch = step.state['scratch'] ?? '';
    expect(scratch).toMatch(/understudy-drill-/);
    await expect(readFile(join(scratch, 'backup', 'database-0'))).rejects.toThrow('ENOENT');
  }, 60_000);

  let bad: Backup | undefined;
  /** Each has the good one behind it alone. */
  afterEach(async () => {
    if (bad) await s3.send(new DeleteObjectCommand({ Bucket, Key: bad.key }));
    bad = undefined;
  });

  const hour = 3_600_000;
  const damages: [string, number, Damage, string][] = [
    [
      'a host whose clock is an hour late',
      0,
      { manifest: (manifest) => Object.assign(manifest, { ended: manifest.ended - hour }) },
      'its clock is wrong',
    ],
    ['an object that is missing', 1, { stored: () => undefined }, 'there is no '],
    ['an object cut short', 1, { stored: (bytes) => bytes.subarray(0, -1) }, 'its manifest promises '],
    [
      'a byte that was flipped in the bucket',
      1,
      { stored: (bytes) => flip(bytes, bytes.length - 1) },
      'SHA-256',
    ],
    [
      'other bytes than were packed',
      2,
      {
        manifest: ({ databases: [one] }) =>
          Object.assign(one, { raw: { ...one.raw, sha256: '0'.repeat(64) } }),
      },
      `database-0.sqlite.zst: the SHA-256 of its raw bytes is `,
    ],
    [
      'a packed file that breaks off',
      2,
      { packed: (bytes) => bytes.subarray(0, -9) },
      'database-0.sqlite.zst: it ',
    ],
    [
      'a database that was damaged before',
      3,
      { raw: (bytes) => flip(bytes) },
      'database-0.sqlite.zst: integrity_check ',
    ],
    [
      'a row more in the manifest than in the database',
      4,
      { manifest: ({ databases: [one] }) => Object.assign(one.tables, { people: 3 }) },
      'database-0.sqlite.zst: table people has 2 rows, not 3',
    ],
    [
      'another schema than the manifest tells',
      4,
      { manifest: ({ databases: [one] }) => Object.assign(one, { schema: '1'.repeat(64) }) },
      'database-0.sqlite.zst: its schema is ',
    ],
    ['a table that is gone', 5, { sql: 'DROP TABLE people' }, 'visits.db: people is gone; it had 2 rows.'],
    ['rows that are gone', 5, { sql: 'DELETE FROM visits WHERE rowid > 900' }, '70 % less than '],
  ];
  test.each(damages)(
    'is red by %s: level %i finds it, and the newest good one is told',
    async (_, level, damage, why) => {
      bad = await backUp(damage);
      const step = await drill();
      const { result, reason, sentence, todo } = toldBy(step);
      expect([result, reason]).toEqual(['failed', 'backup-bad']);
      expect(sentence).toContain(`${bad.key}, is bad. Level ${level} (`);
      expect(sentence).toContain(why);
      expect(sentence).toContain(`The newest that passes is ${good.key}`);
      expect(todo).toContain(`take ${good.key}`);
      expect(step.code).toBe(1);
      expect(step.outputs).toMatchObject({ backup: bad.key, restorable: good.key, level: String(level - 1) });
      expect(await receiptOf(step)).toMatchObject({ verdict: 'backup-bad', restorable: good.key });
      const [issue, ...others] = (await issuesOf('backup-bad')).filter(({ state }) => state === 'open');
      expect(others).toEqual([]);
      expect(`${issue?.body}${issue?.comments.at(-1)?.body}`).toContain(bad.key);
    },
    90_000,
  );

  test('does not close the issue when it does not come as far as the highest level that failed', async () => {
    const before = await issuesOf('backup-bad');
    await backUp();
    const step = await drill({ level: '0' });
    expect(toldBy(step)).toMatchObject({ result: 'done', reason: 'verified' });
    expect(toldBy(step).sentence).toContain('It was not unpacked and read whole.');
    expect((await issuesOf('backup-bad')).filter(({ state }) => state === 'open')).toHaveLength(1);
    expect(before.filter(({ state }) => state === 'open')).toHaveLength(1);
  }, 60_000);

  test('closes it when it is mended', async () => {
    await backUp();
    const step = await drill();
    expect(toldBy(step)).toMatchObject({ result: 'done', reason: 'verified' });
    const issues = await issuesOf('backup-bad');
    expect(issues.map(({ state }) => state)).toEqual(['closed', 'closed']);
    expect(issues[0]?.comments.length).toBe(damages.length);
    expect(issues[0]?.comments.at(-1)?.body).toContain('It restores again: ');
  }, 60_000);

  test('that could not run is another red: another result, exit and issue', async () => {
    await addFault(cloud, {
      action: 'GetObject',
      kind: 'error',
      resource: '*/database-0.*',
      times: 'always',
    });
    const step = await drill();
    expect(toldBy(step)).toMatchObject({ result: 'unknown', reason: 'drill-could-not-run' });
    expect(toldBy(step).sentence).toContain(
      'Level 2 (every object unpacks to the bytes that it promises) could not run',
    );
    expect(step.code).toBe(4);
    expect(await receiptOf(step)).toMatchObject({ verdict: 'drill-could-not-run', level: { reached: 1 } });
    expect(await issuesOf('drill-could-not-run')).toMatchObject([{ state: 'open' }]);
    expect((await issuesOf('backup-bad')).filter(({ state }) => state === 'open')).toEqual([]);
  }, 90_000);

  test.each([
    [{ level: '6' }, 'Level 6 (the restore script put it back on an instance of its own) needs an instance'],
    [{ level: '2', where: 'drill-host' }, 'input image: It is missing'],
  ])(
    'is refused for what cannot be reached so: %j',
    async (inputs, why) => {
      const step = await drill(inputs);
      expect(toldBy(step)).toMatchObject({ result: 'refused', reason: 'bad-input' });
      expect(toldBy(step).sentence).toContain(why);
      expect(step.outputs['receipt']).toBeUndefined();
      expect(await issuesOf('drill-could-not-run')).toMatchObject([{ state: 'open' }]);
    },
    30_000,
  );

  test('closes that issue when it runs again', async () => {
    const step = await drill({ level: '1', where: 'drill-host' });
    expect(toldBy(step)).toMatchObject({ result: 'done', reason: 'verified' });
    expect(await issuesOf('drill-could-not-run')).toMatchObject([{ state: 'closed' }]);
  }, 30_000);
});

test('the role of drills may do all that they did, and deleted and overwrote nothing', async () => {
  const { calls } = drills;
  expect(new Set(calls.map(({ action }) => action))).toEqual(
    new Set([
      'CopyObject',
      'GetObject',
      'GetBucketPublicAccessBlock',
      'HeadBucket',
      'HeadObject',
      'ListObjectsV2',
      'PutObject',
    ]),
  );
  expect(await drills.denied(calls)).toEqual([]);
}, 60_000);
