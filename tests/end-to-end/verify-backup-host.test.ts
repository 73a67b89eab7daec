import { execFile } from 'node:child_process';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { CloudFormationClient, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type Cloud, operatorClient } from '../../rehearsal/cloud/cloud.ts';
import { expireStack } from '../../rehearsal/cloud/expire.ts';
import { addFault, clearFaults } from '../../rehearsal/cloud/fault.ts';
import { listHosts } from '../../rehearsal/cloud/host.ts';
import { cutHost } from '../../rehearsal/cloud/visit.ts';
import { baseImage } from '../../rehearsal/gateway/ec2/images.ts';
import { repositoryFolder } from '../../rehearsal/ground/places.ts';
import type { Job, Started, Step } from '../../rehearsal/runner/step.ts';
import { packApp } from '../host/app.ts';
import { type Backup, Backups } from './backups.ts';
import { Drills, toldBy } from './drills.ts';

// Through the bundle, on hosts that are launched for one drill each: what comes up on a backup there, and what is left.

jest.setTimeout(400_000);

const name = `dh${process.pid.toString(36)}`;
const [app, environment, repository] = ['shop', 'staging', 'acme/shop'];
const Bucket = `${app}-understudy-backups`;
let drills: Drills;
let cloud: Cloud;
let job: Job;
let work: string;
let backups: Backups;

beforeAll(async () => {
  drills = await Drills.raise(name, { app, environment, repository, Bucket }, callerOf);
  ({ cloud, job, work } = drills);
  backups = new Backups({
    ...{ s3: drills.s3, Bucket, app, environment, work },
    ...{ name: 'app.db', code: await codeOf() },
  });
}, 120_000);

afterAll(() => drills.lower(), 60_000);

afterEach(() => clearFaults(cloud));

/** The kiosk's workflows and settings, of an app by another name. */
async function callerOf(at: string): Promise<string> {
  const caller = join(at, 'caller');
  await cp(join(repositoryFolder, 'rehearsal/scenes/kiosk'), caller, { recursive: true });
  for (const file of ['understudy.yml', '.github/workflows/verify-backup.yml']) {
    const text = await readFile(join(caller, file), 'utf8');
    await writeFile(join(caller, file), text.replaceAll('kiosk', app).replaceAll('visits.db', 'app.db'));
  }
  return caller;
}

/** A release that does not come up on data with a table of this name. */
async function codeOf() {
  const atImport = `
if sqlite3.connect(os.path.join(shared, 'app.db')).execute("SELECT 1 FROM sqlite_master WHERE name = 'poison'").fetchone():
    raise SystemExit('there is poison in the data')`;
  const tar = gunzipSync(await packApp({ version: '1', atImport }));
  await writeFile(join(work, 'code.tar'), tar);
  const sh = promisify(execFile);
  const { stdout: members } = await sh('tar', ['-tf', join(work, 'code.tar')]);
  const { stdout } = await sh('tar', ['-xOf', join(work, 'code.tar'), './.understudy/release.json']);
  return { tar, count: members.trim().split('\n').length, description: JSON.parse(stdout) as object };
}

let runs = 4242;
/** Another run for each drill: stacks and operations are named by them. */
function attempt() {
  runs += 1;
  return { GITHUB_RUN_ID: String(runs) };
}

const inputsOf = (inputs: Record<string, string>): Record<string, string> => ({
  ...drills.inputs,
  ...{ level: '7', where: 'drill-host', image: baseImage },
  ...inputs,
});

const drill = (inputs: Record<string, string> = {}): Promise<Step> =>
  job.run('verify-backup', inputsOf(inputs), attempt());

const stackOf = (run: number): string => `${app}-${environment}-drill-host-${run}-1`;

/** The states of all drill hosts that there were. */
const hosts = async (): Promise<string[]> => (await listHosts(cloud)).map(({ state }) => state);

/** Neither a stack of the last drill nor any host is left. */
async function nothingIsLeft(): Promise<void> {
  const cloudFormation = new CloudFormationClient(operatorClient(cloud));
  const asked = cloudFormation.send(new DescribeStacksCommand({ StackName: stackOf(runs) }));
  await expect(asked).rejects.toThrow('does not exist');
  expect(new Set(await hosts())).toEqual(new Set(['terminated']));
}

interface Receipt {
  readonly where: string;
  readonly levels: readonly { readonly level: number; readonly verdict: string }[];
  readonly control: string;
  readonly rto: { readonly ms: number; readonly phases: readonly { readonly name: string }[] };
}

const receiptOf = async (step: Step): Promise<Receipt> => JSON.parse(await drills.receiptOf(step));

const levelsOf = async (step: Step): Promise<string[]> =>
  (await receiptOf(step)).levels.map(({ level, verdict }) => `${level} ${verdict}`);

const passedTo = (level: number): string[] =>
  Array.from({ length: level + 1 }, (_, each) => `${each} passed`);

describe('on a host of its own', () => {
  let first: Backup;
  let second: Backup;

  test('the app comes up on the newest backup, and without an older one it is not green', async () => {
    first = await backups.make();
    const step = await drill({ level: '8' });
    expect(await levelsOf(step)).toEqual([...passedTo(7), '8 could-not-run']);
    expect(toldBy(step)).toMatchObject({ result: 'unknown', reason: 'drill-could-not-run' });
    expect(toldBy(step).sentence).toContain('ask for level 7 until there are two');
    expect(step.code).toBe(4);
    expect(step.outputs).toMatchObject({ backup: first.key, restorable: first.key, level: '7' });
    const { where, control, rto } = await receiptOf(step);
    expect([where, control]).toEqual(['drill-host', 'refused']);
    expect(rto.phases.map((phase) => phase.name)).toEqual([
      ...['launch', 'prepare', 'fetch', 'prove', 'exchange', 'start', 'checks'],
    ]);
    expect(step.summary).toContain('Time to bring it back (RTO), by phase');
    expect(step.log).not.toContain('personal data');
    expect(step.log + step.summary).not.toMatch(/ada@example|X-Amz-Signature/);
    await nothingIsLeft();
  });

  test('it comes up on a random older one as well', async () => {
    second = await backups.make();
    const step = await drill({ level: '8' });
    expect(toldBy(step)).toMatchObject({ result: 'done', reason: 'verified' });
    expect(step.code).toBe(0);
    expect(await levelsOf(step)).toEqual(passedTo(8));
    expect(step.outputs).toMatchObject({ backup: second.key, restorable: second.key, level: '8' });
    expect(step.log).toContain(`${first.key} was put back there, and the app answered on it`);
    await nothingIsLeft();
  });

  test('a backup on which it does not come up is red at level 7, and the newest on which it does is told', async () => {
    const bad = await backups.make({ sql: 'CREATE TABLE poison (x)' });
    const step = await drill();
    const { result, reason, sentence, todo } = toldBy(step);
    expect([result, reason, step.code]).toEqual(['failed', 'backup-bad', 1]);
    expect(sentence).toContain(
      `${bad.key}, is bad. Level 7 (the app answered its checks on it there) failed`,
    );
    expect(todo).toContain(`take ${second.key}`);
    expect(await levelsOf(step)).toEqual([...passedTo(6), '7 failed']);
    expect(step.summary).toContain('there is poison in the data');
    await nothingIsLeft();
  });

  test('other bytes than were packed are found by the host, at level 2', async () => {
    const bad = await backups.make({
      manifest: ({ databases: [one] }) => Object.assign(one, { raw: { ...one.raw, sha256: '0'.repeat(64) } }),
    });
    const step = await drill({ level: '4' });
    const { result, reason, sentence } = toldBy(step);
    expect([result, reason, step.code]).toEqual(['failed', 'backup-bad', 1]);
    expect(sentence).toContain(`${bad.key}, is bad. Level 2 (`);
    expect(sentence).toContain('database-0.sqlite.zst: the SHA-256 of its raw bytes is ');
    await nothingIsLeft();
  });
});

describe('a drill host', () => {
  test('of an image that is none could not be launched, which says nothing about the backup', async () => {
    await backups.make();
    const step = await drill({ image: 'ami-0123456789abcdef0' });
    expect(toldBy(step)).toMatchObject({ result: 'unknown', reason: 'drill-could-not-run' });
    expect(toldBy(step).sentence).toMatch(/CloudFormation could not make the stack .*ami-0123456789abcdef0/);
    expect(step.code).toBe(4);
    await nothingIsLeft();
  });

  test('that no command reaches is removed, and told', async () => {
    await addFault(cloud, {
      action: 'SendCommand',
      kind: 'undeliverable',
      resource: '*document/shop-restore',
    });
    const step = await drill();
    expect(toldBy(step)).toMatchObject({ result: 'unknown', reason: 'drill-could-not-run' });
    expect(step.code).toBe(4);
    await nothingIsLeft();
  });

  /** A drill whose host is at work. */
  async function atWork(inputs: Record<string, string> = {}): Promise<Started> {
    const started = await job.start('verify-backup', inputsOf(inputs), attempt());
    for (const until = Date.now() + 60_000; !started.log().includes('restores on i-'); await sleep(100)) {
      if (Date.now() > until) throw new Error(`no host is at work:\n${started.log()}`);
    }
    return started;
  }

  test('that falls silent in the middle is removed, and says nothing about the backup', async () => {
    const config = join(work, 'in-a-hurry.yml');
    const text = await readFile(drills.inputs['config'] ?? '', 'utf8');
    await writeFile(config, text.replace(/( +)bucket:/, '$1rollout: {timeout: 1m}\n$1bucket:'));
    // Where the newest is odd beside the ones before, it is not put in place.
    const started = await atWork({ config, 'accept-trends': 'true' });
    const silent = (await listHosts(cloud)).find(({ state }) => state === 'running');
    await cutHost(name, silent?.id ?? '');
    const step = await started.ended;
    expect(toldBy(step)).toMatchObject({ result: 'unknown', reason: 'drill-could-not-run' });
    expect(step.code).toBe(4);
    await nothingIsLeft();
  });

  test('is removed by post when the job is cancelled', async () => {
    const started = await atWork();
    started.kill('SIGINT');
    const { state, outputs } = await started.ended;
    expect(JSON.parse(outputs['result'] ?? '{}')).toMatchObject({ result: 'unknown', reason: 'cancelled' });
    expect(await hosts()).toContain('running');
    const saved = Object.fromEntries(Object.entries(state).map(([key, value]) => [`STATE_${key}`, value]));
    const post = await job.run('verify-backup', inputsOf({}), { GITHUB_RUN_ID: String(runs), ...saved });
    expect(post.code).toBe(0);
    await nothingIsLeft();
  });

  test('is removed by AWS when the runner dies, once its time is over', async () => {
    const started = await atWork();
    started.kill('SIGKILL');
    await started.ended;
    expect(await hosts()).toContain('running');
    await expireStack(cloud, stackOf(runs));
    const isGone = async () => new Set(await hosts()).size === 1;
    for (const until = Date.now() + 30_000; Date.now() < until && !(await isGone()); ) await sleep(200);
    await sleep(1_000); // CloudFormation hears of it after EC2
    await nothingIsLeft();
  });
});

test('the roles of drills and of their hosts may do all that they did', async () => {
  const own = `role/${app}-${environment}-drill`;
  const { calls } = drills;
  expect(new Set(calls.map(({ principal }) => principal))).toContain(`${own}-host`);
  expect(calls.map(({ action }) => action)).toEqual(expect.arrayContaining(['CreateStack', 'DeleteStack']));
  expect(calls.map(({ action }) => action)).not.toContain('RunInstances');
  expect(await drills.denied(calls)).toEqual([]);
});
