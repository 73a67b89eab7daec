import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { startCloud, stopCloud } from '../../rehearsal/cloud/cloud.ts';
import { addFault, clearFaults } from '../../rehearsal/cloud/fault.ts';
import type { Started } from '../../rehearsal/runner/step.ts';
import { app } from './faults/app.ts';
import { sample } from './faults/cases.ts';
import { play } from './faults/play.ts';
import { type Attempt, type Packed, Staging } from './faults/staging.ts';

// attacks.md 8, 9, 13 and 14: what a deploy must survive of AWS, of GitHub and of its own runner. One cloud, one host.

const name = `g${process.pid.toString(36)}`;
let staging: Staging;
/** The release that is live. */
let live: Packed;

beforeAll(async () => {
  staging = await Staging.open(await startCloud({ name }));
  live = await staging.pack();
  const { result } = await staging.deploy(live);
  expect(result).toMatchObject({ result: 'done', reason: 'deployed' });
}, 180_000);

afterEach(async () => {
  await clearFaults(staging.cloud);
  await staging.letGo();
});

afterAll(async () => {
  await stopCloud(name);
}, 240_000);

const preload = { NODE_OPTIONS: `--import=${join(import.meta.dirname, 'faults/preload.ts')}` };

describe('a call that goes wrong: the verdict is true, nothing is done twice, and the next attempt finishes', () => {
  test.each(sample.map((one) => [one.name, one] as const))(
    '%s',
    async (_, one) => {
      const row = await play(staging, one, live, 'when needed');
      live = row.live;
      expect(row.problems).toEqual([]);
    },
    240_000,
  );

  test('a command whose end SSM shows only seconds later is not told as one that never ran', async () => {
    live = await staging.pack();
    await addFault(staging.cloud, { action: 'ListCommandInvocations', kind: 'missing', seconds: 6 });
    const deploy = await staging.deploy(live);
    expect(deploy.result).toMatchObject({ result: 'done', reason: 'deployed' });
  }, 240_000);

  test('a command that cannot be delivered is told as one that never ran, and the lease is given back', async () => {
    const next = await staging.pack();
    await addFault(staging.cloud, {
      ...{ action: 'SendCommand', kind: 'undeliverable', resource: `*document/${app}-deploy` },
    });
    const deploy = await staging.deploy(next);
    expect(deploy.result).toMatchObject({ result: 'failed', reason: 'delivery-timed-out' });
    expect(await staging.live()).toBe(live.id.slice(0, 12));
    expect(await staging.lease()).toMatchObject({ state: 'released' });
  }, 240_000);
});

describe('the lease', () => {
  test('of a runner that was killed with -9 is refused while its host is at work, and then taken over', async () => {
    live = await staging.pack();
    const killed = staging.nextRun();
    const main = await startHeld(live, killed);
    main.kill('SIGKILL');
    const { outputs } = await main.ended;
    const { fence } = await staging.lease();

    const early = await staging.deploy(live);
    expect(early.result).toMatchObject({ result: 'refused', reason: 'lease-held' });
    expect(early.main.log).toContain('That attempt is still running.');
    await staging.tellGitHub(killed, 'completed');
    const busy = await staging.deploy(live);
    expect(busy.result).toMatchObject({ result: 'refused', reason: 'lease-held' });
    expect(busy.result.sentence).toContain(`still runs ${outputs['operation']}`);

    await staging.letGo();
    await until(async () => (await staging.atWork()) === '');
    const next = await staging.deploy(live);
    expect(next.result).toMatchObject({ result: 'unchanged', reason: 'already-live' });
    expect(next.main.log).toContain(`taking the lease over from ${outputs['operation']}`);
    expect(await staging.lease()).toMatchObject({ state: 'released', fence: fence + 1 });
    expect(Object.values(await staging.stepsOf(outputs['operation'] ?? ''))).not.toContain(2);
  }, 240_000);

  test('is renewed while the host works, also when an answer is lost, and kept by the time of S3', async () => {
    live = await staging.pack();
    const renewal = { action: 'PutObject', resource: '*/leases/*', after: 1 } as const;
    await addFault(staging.cloud, { ...renewal, kind: 'lost' });
    const [before, calls] = [leasesWritten(), staging.calls().length];
    const hour = 3_600_000;
    const wrong = { ...preload, SPEED_OF_MINUTES: '150', WRONG_CLOCK_MS: String(hour) };
    const started = Date.now();
    const main = await startHeld(live, staging.nextRun(), wrong);
    // Taken, renewed with the answer lost, tried again, renewed once more.
    await until(() => leasesWritten() - before >= 4);
    await staging.letGo();
    const { outputs, log } = await main.ended;
    expect(outputs).toMatchObject({ reason: 'deployed' });
    expect(log).not.toContain('lease-lost');
    expect(rolesTaken(calls)).toBe(1);
    const { state, expires } = await staging.lease();
    expect(state).toBe('released');
    const lasts = Date.parse(expires) - started;
    expect(lasts).toBeGreaterThan(14 * 60_000);
    expect(lasts).toBeLessThan(30 * 60_000);
  }, 240_000);

  test('that S3 says is over stops the deploy before it is sent', async () => {
    const next = await staging.pack();
    // What S3 answers when the release is stored is the last that the runner hears of its time.
    await addFault(staging.cloud, {
      action: 'PutObject',
      resource: '*/commits/*',
      kind: 'date',
      seconds: 875,
    });
    const deploy = await staging.deploy(next);
    expect(deploy.result).toMatchObject({ result: 'refused', reason: 'lease-lost' });
    expect(await staging.commandsOf(deploy.operation)).toBe(0);
    expect(await staging.live()).toBe(live.id.slice(0, 12));
  }, 240_000);
});

test('a runner whose clock is an hour behind takes its role once, and writes the time of S3 down', async () => {
  const before = staging.calls().length;
  const started = Date.now();
  const wrong = { ...preload, WRONG_CLOCK_MS: '-3600000' };
  const deploy = await staging.deploy(live, staging.nextRun(), wrong);
  expect(deploy.result).toMatchObject({ result: 'unchanged', reason: 'already-live' });
  expect(rolesTaken(before)).toBe(1);
  const [entry] = await staging.ledger(deploy.operation);
  expect(Math.abs(Date.parse(entry?.time ?? '') - started)).toBeLessThan(1_800_000);
}, 240_000);

describe('a job that is cancelled while its host works', () => {
  test.each([
    ['CancelCommand', 'denied', {}],
    ['SendCommand', 'lost', { resource: `*document/${app}-cancel` }],
  ] as const)(
    'is brought to its end by post, though %s is %s',
    async (action, kind, more) => {
      const next = await staging.pack();
      const attempt = staging.nextRun();
      await addFault(staging.cloud, { action, kind, ...more });
      const main = await startHeld(next, attempt);
      main.kill('SIGINT');
      const { state, outputs } = await main.ended;
      await staging.letGo();
      const post = await staging.post(next, attempt, state);
      await staging.tellGitHub(attempt, 'completed');
      expect(post.log).toMatch(new RegExp(`${staging.instance} {2}reverted \\(cancelled\\): .+`));
      expect(await staging.lease()).toMatchObject({ state: 'released' });
      expect(await staging.live()).toBe(live.id.slice(0, 12));
      const entries = await staging.ledger(outputs['operation'] ?? '');
      expect(entries).toMatchObject([{ result: 'reverted', reason: 'cancelled', release: next.id }]);
    },
    240_000,
  );
});

/** How often a role was taken since so many calls. */
function rolesTaken(since: number): number {
  const calls = staging.calls().slice(since);
  return calls.filter(({ action }) => action === 'AssumeRoleWithWebIdentity').length;
}

/** How often a lease was written so far, answers lost or not. */
function leasesWritten(): number {
  const puts = staging.calls().filter(({ action }) => action === 'PutObject');
  return puts.filter(({ resource }) => resource.includes('/leases/')).length;
}

/** Starts a deploy that stands still on the host once it is at work there. */
async function startHeld(
  packed: Packed,
  attempt: Attempt,
  env: Record<string, string> = {},
): Promise<Started> {
  await staging.hold();
  const main = await staging.start(packed, attempt, env);
  let over = false;
  void main.ended.then(() => {
    over = true;
  });
  await until(async () => over || (await staging.atWork()) !== '');
  if (over) throw new Error(`it ended before its host was at work:\n${main.log()}`);
  return main;
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(200);
}
