import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { type Cloud, startCloud, stopCloud } from '../../rehearsal/cloud/cloud.ts';
import { clearFaults } from '../../rehearsal/cloud/fault.ts';
import { tellRun } from '../../rehearsal/cloud/runs.ts';
import { type RecordedCall, readCalls } from '../../rehearsal/gateway/record.ts';
import { findDeniedCalls } from '../../rehearsal/policies/calls.ts';
import { holdersIn } from '../../rehearsal/policies/foundation.ts';
import { Job, type Step } from '../../rehearsal/runner/step.ts';
import { backupsOf } from '../../rehearsal/scenes/backups.ts';
import { Cast } from '../../rehearsal/scenes/cast.ts';
import type { Staging } from '../../rehearsal/scenes/staging.ts';
import { assertConclusion, jobOf } from '../../rehearsal/scenes/verdict.ts';
import { dyingAt } from './promotion/deaths.ts';

// The buttons, through the bundle, on a real host.

jest.setTimeout(120_000);

const name = `rb${process.pid.toString(36)}`;
const Bucket = 'kiosk-understudy-backups';
let cloud: Cloud;
let kiosk: Staging;
let job: Job;
/** The backup of two visits. */
let good: string;

beforeAll(async () => {
  await stopCloud(name);
  cloud = await startCloud({ name });
  kiosk = await new Cast(cloud).get('kiosk');
  await kiosk.ensureLive();
  job = await Job.open(cloud, 'acme/kiosk', 'rollback.yml');
  await sql("DELETE FROM visits; INSERT INTO visits VALUES ('ada'), ('grace')");
  good = await backUp();
}, 240_000);

afterAll(async () => {
  await stopCloud(name);
}, 60_000);

afterEach(() => clearFaults(cloud));

let runs = 7000;

interface Told {
  readonly result: string;
  readonly reason: string;
  readonly sentence: string;
  readonly instances: readonly { readonly instance: string }[];
}

const toldBy = ({ outputs }: Step): Told => JSON.parse(outputs['result'] ?? '{}');
const verdictOf = (step: Step): string[] => [toldBy(step).result, toldBy(step).reason];

const inputsOf = (inputs: Record<string, string>): Record<string, string> => ({
  environment: 'staging',
  config: join(kiosk.repository.folder, 'understudy.yml'),
  'role-arn': `arn:aws:iam::${cloud.account}:role/kiosk-staging-rollback`,
  'github-token': 'ghs_x',
  ...inputs,
});

/** Of a new run, unless an attempt of the last one is asked for. */
function envOf(attempt = 1): Record<string, string> {
  if (attempt === 1) runs += 1;
  return { GITHUB_RUN_ID: String(runs), GITHUB_RUN_ATTEMPT: String(attempt) };
}

const press = (inputs: Record<string, string>, attempt?: number): Promise<Step> =>
  job.run('rollback', inputsOf(inputs), envOf(attempt));

/** GitHub says that the first attempt of the last run is over, as when its runner is gone. */
const attemptEnded = (): Promise<void> =>
  tellRun(cloud, { repository: 'acme/kiosk', id: runs, status: 'completed' });

const database = '/srv/kiosk/shared/visits.db';
const sql = (statement: string): Promise<string> =>
  kiosk.host.ask('sqlite3', '-cmd', '.timeout 10000', database, statement);
const visits = async (): Promise<string[]> =>
  (await sql('SELECT name FROM visits ORDER BY name')).split('\n');

/** Backs up by the workflow, and gives the key of the manifest. */
async function backUp(): Promise<string> {
  assertConclusion(await kiosk.dispatch('backup.yml'), 'success');
  return (await backupsOf(kiosk))[0]?.key ?? '';
}

/** The calls of AWS that the rollback's role has made since so many. */
const callsSince = (count: number): RecordedCall[] =>
  readCalls(join(cloud.state, 'calls.jsonl'))
    .slice(count)
    .filter(({ principal }) => principal === 'role/kiosk-staging-rollback');
const callsSoFar = (): number => readCalls(join(cloud.state, 'calls.jsonl')).length;

/** The entry of this very step in the ledger. The keys of two runs a second apart do not tell which was first. */
async function inLedger({ outputs }: Step): Promise<Record<string, unknown> | undefined> {
  const entries = (await kiosk.account.objects()).filter(({ key }) =>
    key.startsWith('kiosk-understudy/ledger/kiosk/staging/'),
  );
  return entries
    .map(({ text }) => JSON.parse(text) as Record<string, unknown>)
    .find(({ operation }) => operation === outputs['operation']);
}

describe('the button: data', () => {
  beforeEach(() => sql("DELETE FROM visits; INSERT INTO visits VALUES ('mallory')"));

  test('tells by plan: true what it would do and lose, and writes nothing', async () => {
    const before = callsSoFar();
    const step = await press({ what: 'data', plan: 'true' });
    expect([step.code, ...verdictOf(step)]).toEqual([0, 'unchanged', 'planned']);
    expect(step.log).toContain(`chosen      ${good}`);
    expect(step.summary).toContain('the backup holds 2 rows, and there are 1 now (1 row more)');
    expect(step.summary).toMatch(/back up what is there on .+ \| \d/);
    expect(step.summary).toContain('No drill has proven it');
    const calls = callsSince(before);
    const wrote = calls.filter(({ action }) => /^(Put|Delete|Copy|Create)/.test(action));
    expect(wrote).toEqual([]);
    const sent = calls.filter(({ action }) => action === 'SendCommand').map(({ resource }) => resource);
    expect(new Set(sent.map((resource) => /document\/kiosk-(\w+)/.exec(resource)?.[1]))).toEqual(
      new Set(['probe']),
    );
    expect(await visits()).toEqual(['mallory']);
  });

  test('puts the backup in place after backing up what was there, and says what that lost', async () => {
    const step = await press({ what: 'data' });
    expect([step.code, ...verdictOf(step)]).toEqual([0, 'done', 'restored']);
    expect(await visits()).toEqual(['ada', 'grace']);
    expect(await kiosk.host.get('/health')).toContain('"visits": 2');
    expect(step.outputs['backup']).toBe(good);
    expect(step.outputs['saved']).toBe((await backupsOf(kiosk))[0]?.key);
    expect(step.summary).toContain('| <code>visits</code> | 1 | 2 |');
    expect(await kiosk.account.lease()).toBe('released');
    // Re-run, it restores nothing again, and loses nothing of what was written since.
    await sql("INSERT INTO visits VALUES ('joan')");
    expect(verdictOf(await press({ what: 'data' }, 2))).toEqual(['unchanged', 'already-ended']);
    expect(await visits()).toEqual(['ada', 'grace', 'joan']);
    // What was there can be gone back to in its turn.
    const back = await press({ what: 'data', to: step.outputs['saved'] ?? '' });
    expect(verdictOf(back)).toEqual(['done', 'restored']);
    expect(await visits()).toEqual(['mallory']);
  });

  test('cancelled while it backs up what is there, it restores nothing, and post gives the lease back', async () => {
    const cancel = new AbortController();
    const onLine = (line: string): void => {
      if (line.includes('sent kiosk-backup')) cancel.abort();
    };
    const inputs = { what: 'data', to: 'newest', plan: 'false' };
    const run = await kiosk.dispatch('rollback.yml', { inputs, cancel: cancel.signal, onLine });
    assertConclusion(run, 'cancelled');
    expect(jobOf(run, 'rollback').summary).toContain('backup of kiosk in staging, after it was stopped');
    expect(run.log).not.toContain('sent kiosk-restore');
    expect(await visits()).toEqual(['mallory']);
    expect(await kiosk.account.lease()).toBe('released');
  });

  test.each([
    [
      'an age that no backup has',
      { to: '24h-ago' },
      'no-backup',
      /^There is no backup in .+ that is 24 h old/,
    ],
    ['another word', { to: 'yesterday' }, 'bad-input', /^input to: It must be newest-proven/],
    [
      'an image by no id',
      { what: 'image', to: '24h-ago' },
      'bad-input',
      /^input to: It must be newest-golden/,
    ],
    [
      'one that is not there',
      { to: 'backups/kiosk/staging/daily/x/manifest.json' },
      'no-backup',
      /that is called/,
    ],
  ])('refuses %s, and changes nothing', async (_, inputs, reason, sentence) => {
    const before = callsSoFar();
    const step = await press({ what: 'data', ...inputs });
    expect([step.code, ...verdictOf(step)]).toEqual([1, 'refused', reason]);
    expect(toldBy(step).sentence).toMatch(sentence);
    const wrote = callsSince(before).filter(({ action }) => /^(Put|Send)/.test(action));
    // What its own input refused has no environment yet in whose ledger it could stand.
    const recorded = reason === 'bad-input' ? [] : [expect.stringContaining('/ledger/kiosk/staging/')];
    expect(wrote.map(({ resource }) => resource)).toEqual(recorded);
    if (reason !== 'bad-input') expect(await inLedger(step)).toMatchObject({ result: 'refused', reason });
  });
});

describe('the button: release', () => {
  let first: string;
  let second: string;

  beforeAll(async () => {
    first = await kiosk.host.liveRelease();
    await sql("DELETE FROM visits; INSERT INTO visits VALUES ('ada'), ('grace'), ('joan')");
    await backUp();
    await sql("DELETE FROM visits WHERE name <> 'ada'");
    await kiosk.repository.edit('app.py', (text) =>
      text.replace('"status": "ok"', '"status": "ok", "more": 1'),
    );
    await kiosk.repository.commit('Say more');
    assertConclusion(await kiosk.push(), 'success');
    second = await kiosk.host.liveRelease();
  }, 90_000);

  test('tells by plan: true which there are, and writes nothing', async () => {
    const before = callsSoFar();
    const step = await press({ what: 'release', plan: 'true' });
    expect([step.code, ...verdictOf(step)]).toEqual([0, 'unchanged', 'planned']);
    expect(step.log).toMatch(new RegExp(`${first} {2}commit \\w{12} {2}live last .+ {2}fits the data`));
    expect(callsSince(before).filter(({ action }) => /^(Put|Delete)/.test(action))).toEqual([]);
    expect(await kiosk.host.liveRelease()).toBe(second);
  });

  test('goes back to the release before, and never forward to the one it went back from', async () => {
    const step = await press({ what: 'release' });
    expect([step.code, ...verdictOf(step)]).toEqual([0, 'done', 'rolled-back']);
    expect(await kiosk.host.liveRelease()).toBe(first);
    expect(step.outputs['release']?.slice(0, 12)).toBe(first);
    expect(await kiosk.account.lease()).toBe('released');
    // What the runner does again after its host was done is nothing.
    expect(verdictOf(await press({ what: 'release' }, 2))).toEqual(['unchanged', 'already-ended']);
    expect(verdictOf(await press({ what: 'release' }))).toEqual(['refused', 'no-such-release']);
    expect(verdictOf(await press({ what: 'release', to: second }))).toEqual(['done', 'rolled-back']);
    expect(verdictOf(await press({ what: 'release', to: second }))).toEqual(['unchanged', 'already-live']);
  });

  test('refuses where the schema has changed, telling what data: restore would lose, which brings both back', async () => {
    await sql('CREATE TABLE extra (name)');
    const refused = await press({ what: 'release', to: first });
    expect([refused.code, ...verdictOf(refused)]).toEqual([1, 'refused', 'data-changed']);
    expect(toldBy(refused).sentence).toMatch(
      /By data: restore \S+ would come along\. Lost with it: .+; the backup holds 3 rows, and there are 1 now/,
    );
    expect(await inLedger(refused)).toMatchObject({ result: 'refused', reason: 'data-changed' });
    expect(await kiosk.host.liveRelease()).toBe(second);
    const both = await press({ what: 'release', to: first, data: 'restore' });
    expect([both.code, ...verdictOf(both)]).toEqual([0, 'done', 'restored']);
    expect(await kiosk.host.liveRelease()).toBe(first);
    expect(await sql("SELECT count(*) FROM sqlite_master WHERE name = 'extra'")).toBe('0');
  });

  /** Presses as a runner does that dies when it is about to say some words. */
  async function dieAt(words: string, inputs: Record<string, string>): Promise<void> {
    const env = { ...envOf(), ...dyingAt({ words }) };
    const { code } = await job.run('rollback', inputsOf({ what: 'release', ...inputs }), env);
    expect(code).toBe(-1);
    await attemptEnded();
  }

  /** How often a host was asked to make a release live in the last run. */
  const timesAsked = async (): Promise<number> => {
    const folders = `ls -d /var/lib/understudy/kiosk/operations/*-${runs}-*-rollback-release-staging 2>/dev/null`;
    return Number(await kiosk.host.ask('bash', '-c', `${folders} | wc -l`));
  };

  const beforeSending = [
    ...['::group::Look at the buckets', '::group::Find the instances', '::group::Ask the instances'],
    ...['::group::Choose the release', 'the lease of staging is ours', '::group::Go back'],
  ];

  test('whose runner dies before anything is sent, at each step, changes nothing, and its re-run goes back', async () => {
    await press({ what: 'release', to: second });
    for (const words of beforeSending) {
      await dieAt(words, { to: first });
      expect(await kiosk.host.liveRelease()).toBe(second);
    }
    expect(await timesAsked()).toBe(0);
    const rerun = await press({ what: 'release', to: first }, 2);
    expect(verdictOf(rerun)).toEqual(['done', 'rolled-back']);
    expect(await timesAsked()).toBe(1);
    expect(await kiosk.host.liveRelease()).toBe(first);
    expect(await kiosk.account.lease()).toBe('released');
  });

  test.each([
    ['was sent', 'sent kiosk-rollback'],
    ['was done', '::group::Judge'],
    ['was judged', '::group::Record'],
  ])(
    'whose runner dies when it %s is finished by its host; neither its re-run nor another press goes further',
    async (_, words) => {
      await press({ what: 'release', to: second });
      await dieAt(words, { to: first });
      await kiosk.host.until(`[[ $(readlink /srv/kiosk/current) == *${first} ]]`);
      await kiosk.host.until(
        '! systemctl --quiet is-active "understudy-kiosk-*-rollback-release-staging.service"',
      );
      expect(await kiosk.account.lease()).toBe('held');
      const rerun = await press({ what: 'release' }, 2);
      expect(verdictOf(rerun)).toEqual(['unchanged', 'already-ended']);
      expect(rerun.log).toContain('taking the lease over from');
      expect(await inLedger(rerun)).toMatchObject({ result: 'unchanged', reason: 'already-ended' });
      expect(await timesAsked()).toBe(1);
      expect(await kiosk.account.lease()).toBe('released');
      expect(verdictOf(await press({ what: 'release' }))).toEqual(['refused', 'no-such-release']);
      expect(await kiosk.host.liveRelease()).toBe(first);
    },
  );

  test('fetches a release again that the host keeps no more', async () => {
    const gone = (await kiosk.host.liveRelease()) === first ? second : first;
    // As a deploy leaves it that keeps others.
    const prune = `install -d -m 0700 formerly && mv releases/${gone}.json formerly/ && rm -r releases/${gone}.* /srv/kiosk/releases/${gone}`;
    await kiosk.host.ask('bash', '-c', `cd /var/lib/understudy/kiosk && ${prune}`);
    const step = await press({ what: 'release', to: gone });
    expect([step.code, ...verdictOf(step)]).toEqual([0, 'done', 'rolled-back']);
    expect(step.summary).toContain('which is fetched again');
    expect(await kiosk.host.liveRelease()).toBe(gone);
  });
});

test('the role of the rollbacks may do all that they did', async () => {
  const calls = callsSince(0);
  expect(calls.length).toBeGreaterThan(50);
  const parameters = {
    ...{ App: 'kiosk', Environment: 'staging', Repository: 'acme/kiosk', RepositoryId: '1' },
    WorkflowRefs: [`understudy-actions/understudy/.github/workflows/rollback.yml@${'0'.repeat(40)}`],
    OidcProviderArn: 'arn:aws:iam::123456789012:oidc-provider/x',
    ...{ StateBucketName: 'kiosk-understudy', BackupBucketName: Bucket },
  };
  const { account, region } = cloud;
  expect(await findDeniedCalls(calls, holdersIn({ account, region, parameters }, 'rollback'))).toEqual([]);
});
