import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { toJson } from '../../../src/aws/bucket.ts';
import { leaseKey } from '../../../src/lease/lease.ts';
import { lookAfterLeftover, saveLeftover } from '../../../src/operation/leftover.ts';
import type { Operation } from '../../../src/operation/operation.ts';
import { Fleet, instances, job, kept, operation, probed, release } from './fleet.ts';

const key = leaseKey('isso', 'staging');
const { id, repository, run, attempt } = operation;
const held = {
  ...{ schema: 1, state: 'held', fence: 7, expires: '2026-11-22T00:00:00.000Z', nonce: 'n' },
  ...{ repository, run, attempt, operation: id },
};

let fleet: Fleet;
let folder: string;
let printed = '';
let opened: Operation[] = [];

beforeEach(() => {
  fleet = new Fleet();
  fleet.bucket.objects.set(key, toJson(held));
  opened = [];
  folder = mkdtempSync(join(tmpdir(), 'understudy-post-'));
  writeFileSync(join(folder, 'summary'), '');
  process.env['GITHUB_STEP_SUMMARY'] = join(folder, 'summary');
  delete process.env['GITHUB_STATE'];
  printed = '';
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
});
afterEach(() => {
  jest.restoreAllMocks();
  rmSync(folder, { recursive: true });
  delete process.env['GITHUB_STEP_SUMMARY'];
  for (const name of ['operation', 'command', 'ended']) delete process.env[`STATE_${name}`];
});

/** Runs post after a main that saved this, through the runner's own form of it. */
async function post({ command = '', ended = '', of = operation } = {}): Promise<void> {
  saveLeftover({ operation: of, instances, holder: of.id, release, job });
  const [, text = ''] = /name=operation::(.*)/.exec(printed) ?? [];
  Object.assign(process.env, { STATE_operation: text, STATE_command: command, STATE_ended: ended });
  await lookAfterLeftover(undefined, (operation) => {
    opened.push(operation);
    return fleet.services;
  });
}

const summary = (): string => readFileSync(join(folder, 'summary'), 'utf8');

function ledger(): Record<string, unknown> {
  const entry = [...fleet.bucket.objects.keys()].find((name) => name.startsWith('ledger/'));
  return fleet.bucket.json(entry ?? 'ledger/');
}

describe('what a stopped job left on the hosts', () => {
  beforeEach(() => {
    fleet.answers.set('cancel', () => ({ result: 'done', reason: 'cancel-requested' }));
    fleet.answers.set('probe', (instance, time) =>
      probed(time < 3 ? { state: 'running', step: 'rehearse' } : kept(instance, 'reverted', 'cancelled')),
    );
  });

  test('is asked to stop, awaited, told, and the lease given back', async () => {
    await post({ command: 'c-1' });
    const ask = `send probe about ${id}`;
    expect(fleet.asked).toEqual(['cancel c-1', `send cancel about ${id}`, ask, ask, ask]);
    expect(summary()).toContain('deploy of isso in staging, after it was stopped: reverted');
    expect(summary()).toContain('cancelled, says i-2.');
    expect(ledger()).toMatchObject({ operation: id, result: 'reverted', reason: 'cancelled' });
    expect(ledger()).toMatchObject({
      release: release.id,
      commit: release.commit,
      actor: 'ada',
      run: job.runUrl,
    });
    expect(fleet.bucket.json(key)).toMatchObject({ state: 'released', fence: 7 });
  });

  test('is found by its operation when main died before it saved the command', async () => {
    fleet.lists('c-9');
    await post();
    expect(fleet.asked.slice(0, 2)).toEqual(['cancel c-9', `send cancel about ${id}`]);
    expect(ledger()).toMatchObject({ result: 'reverted' });
  });

  test('is asked by its own document though SSM would not cancel the command', async () => {
    fleet.refusesCancel(new Error('throttled'));
    await post({ command: 'c-1' });
    expect(printed).toContain('SSM could not cancel the command: throttled');
    expect(ledger()).toMatchObject({ result: 'reverted' });
  });

  test('and goes on for longer than post can wait is told as unknown, with a warning; the lease is given back', async () => {
    fleet.answers.set('probe', () => probed({ state: 'running', step: 'migrate' }));
    await post({ command: 'c-1' });
    expect(printed).toMatch(/::warning::After the cancel: .+running in step migrate/);
    expect(ledger()).toMatchObject({ result: 'unknown', reason: 'no-result' });
    expect(fleet.bucket.json(key)).toMatchObject({ state: 'released' });
  });

  test('is unknown when no host can be asked, never "nothing was changed"', async () => {
    for (const document of ['cancel', 'probe']) fleet.refuses(document, new Error('no network'));
    await post({ command: 'c-1' });
    expect(ledger()).toMatchObject({ result: 'unknown', sentence: expect.stringContaining('no network') });
    expect(fleet.bucket.json(key)).toMatchObject({ state: 'released' });
  });

  test('that never began on the host is said to have changed nothing', async () => {
    fleet.answers.set('probe', () => probed({ state: 'unknown' }));
    await post({ command: 'c-1' });
    expect(ledger()).toMatchObject({ result: 'refused', reason: 'cancelled' });
  });
});

test('when no command was sent, no host is asked for anything, and the lease is given back', async () => {
  await post();
  expect(fleet.asked).toEqual([]);
  expect(ledger()).toMatchObject({ result: 'refused', reason: 'cancelled' });
  expect(summary()).toContain('before any command was sent');
  expect(fleet.bucket.json(key)).toMatchObject({ state: 'released' });
});

test('when main told the end and could not give the lease back, post gives it back and tells nothing anew', async () => {
  await post({ command: 'c-1', ended: 'work' });
  expect(fleet.asked).toEqual([]);
  expect([...fleet.bucket.objects.keys()]).toEqual([key]);
  expect(summary()).toBe('');
  expect(fleet.bucket.json(key)).toMatchObject({ state: 'released', fence: 7 });
});

test('when main ended well, post opens nothing', async () => {
  await post({ command: 'c-1', ended: 'all' });
  expect(opened).toEqual([]);
  expect(fleet.bucket.json(key)).toEqual(held);
});

test('what main saved comes back whole: role, document and all', async () => {
  const of: Operation = {
    ...operation,
    ...{ action: 'promote', document: 'probe', roleArn: 'arn:aws:iam::111122223333:role/isso-staging-ci' },
  };
  await post({ of });
  expect(opened).toEqual([of]);
});

test("another operation's lease is left alone", async () => {
  const theirs = { ...held, operation: '42-101-1-deploy-staging' };
  fleet.bucket.objects.set(key, toJson(theirs));
  await post();
  expect(fleet.bucket.json(key)).toEqual(theirs);
});
