import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest as spies, test } from '@jest/globals';
import { differences } from '../../../scripts/build.ts';
import { check, jest, playAll, runCommand, type Stage } from '../../../scripts/stage.ts';

const never = new AbortController().signal;
const stage = (name: string, play: Stage['play'], limit = 60): Stage => ({ name, limit, play });

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-unit-'));
  spies.spyOn(console, 'log').mockImplementation(() => undefined);
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
  spies.restoreAllMocks();
});

describe('playing stages', () => {
  test('adds up what each stage found', async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, failed: 0 })),
      stage('two', async () => ({ passed: 2, failed: 1 })),
    ];
    await expect(playAll(stages, never)).resolves.toEqual({ passed: 5, failed: 1 });
  });

  test('counts a stage that throws as failed, and goes on', async () => {
    const broken = stage('broken', async () => Promise.reject(new Error('no such tool')));
    const whole = stage('whole', async () => ({ passed: 1, failed: 0 }));
    await expect(playAll([broken, whole], never)).resolves.toEqual({ passed: 1, failed: 1 });
  });

  test('ends a stage that takes longer than its limit, with all that it started, and counts it as failed', async () => {
    const endless = stage('endless', (signal) => check('bash', ['-c', 'sleep 600 & sleep 600'], signal), 0.2);
    await expect(playAll([endless], never)).resolves.toEqual({ passed: 0, failed: 1 });
  });

  test('plays nothing more once interrupted, and says that it failed', async () => {
    const interruption = new AbortController();
    const first = stage('first', async () => {
      interruption.abort();
      return { passed: 1, failed: 0 };
    });
    const second = stage('second', async () => ({ passed: 1, failed: 0 }));
    await expect(playAll([first, second], interruption.signal)).resolves.toEqual({ passed: 1, failed: 1 });
  });

  test('counts a folder without tests as failed', async () => {
    spies.spyOn(process.stdout, 'write').mockReturnValue(true);
    await expect(jest('tests/no-such-folder', 1, never)).resolves.toMatchObject({ passed: 0, failed: 1 });
  });
});

test('a command does not see what steers the SDK or the Actions toolkit', async () => {
  const names = ['AWS_PROFILE', 'GITHUB_STEP_SUMMARY', 'INPUT_PATH', 'ACTIONS_ID_TOKEN_REQUEST_URL'];
  for (const name of names) process.env[name] = 'set by the caller';
  const { output } = await runCommand('env', [], { signal: never, env: { STATE_ours: 'given' } });
  for (const name of names) delete process.env[name];
  expect(output).not.toContain('set by the caller');
  expect(output).toContain('STATE_ours=given');
});

test('a built folder differs by what is missing, what is too much, and what has other bytes', () => {
  for (const [place, files] of [
    ['fresh', ['same', 'changed', 'new']],
    ['committed', ['same', 'changed', 'left-over']],
  ] as const) {
    mkdirSync(join(folder, place, 'action'), { recursive: true });
    for (const file of files) {
      writeFileSync(join(folder, place, 'action', file), file === 'changed' ? place : file);
    }
  }
  expect(differences(join(folder, 'fresh'), join(folder, 'committed'))).toEqual([
    'action/changed is not what a fresh build gives',
    'action/left-over is made by no action',
    'action/new is missing',
  ]);
  expect(differences(join(folder, 'fresh'), join(folder, 'nowhere'))).toHaveLength(3);
});
