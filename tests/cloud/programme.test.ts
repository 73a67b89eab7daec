import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { repositoryFolder } from '../../rehearsal/ground/places.ts';
import type { Role } from '../../rehearsal/scenes/cast.ts';
import type { Scene } from '../../rehearsal/scenes/scene.ts';
import { Turns } from '../../rehearsal/scenes/turns.ts';
import { readProgramme } from '../../rehearsal/words.ts';

const refuse = (sentence: string): never => {
  throw new Error(sentence);
};
const keysOf = (...words: string[]): string[] => readProgramme(words, refuse).scenes.map(({ key }) => key);

describe('npm run rehearse', () => {
  test('plays every scene, each at its number', () => {
    const { scenes } = readProgramme([], refuse);
    expect(scenes.map(({ number }) => number)).toEqual(scenes.map((_, index) => index + 1));
    expect(new Set(scenes.map(({ key }) => key)).size).toBe(scenes.length);
  });

  test.each([
    [['2'], ['overlap']],
    [
      ['restart', '1'],
      ['first-deploy', 'restart'],
    ],
    [['a runner that is KILLED'], ['interrupted']],
    [['2', 'overlap'], ['overlap']],
  ])('plays what is named: %j', (words, keys) => {
    expect(keysOf(...words)).toEqual(keys);
  });

  test.each([
    ['eleventh', /^"eleventh" is no scene; there are:\n +1 {2}first-deploy +First deploy/],
    ['0', /^"0" is no scene/],
    ['upgrade', /^"upgrade" is more than one scene; there are:\n/],
  ])('refuses %s, and says what there is', (word, sentence) => {
    expect(() => keysOf(word)).toThrow(sentence);
  });
});

describe('npm run rehearse -- --app DIR', () => {
  let folder: string;
  const at = (file: string): string => join(folder, file);

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'understudy-own-'));
    cpSync(join(repositoryFolder, 'examples/isso'), folder, { recursive: true });
  });

  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  test('plays first deploy, re-run and upgrade with another app', () => {
    expect(keysOf('--app', folder)).toEqual(['first-deploy', 'same-push', 'upgrade']);
    expect(readProgramme(['--app', folder], refuse).own).toMatchObject({ folder, config: { app: 'isso' } });
  });

  const edit = (file: string, from: string, to: string) => () => {
    writeFileSync(at(file), readFileSync(at(file), 'utf8').replace(from, to));
  };
  test.each<[string, () => void, string]>([
    ['no understudy.yml', () => rmSync(at('understudy.yml')), '--app is the folder of an app, for example'],
    ['a wrong understudy.yml', edit('understudy.yml', 'listen: 8080', 'listen: 80'), 'understudy.yml:'],
    ['no staging', edit('understudy.yml', '  staging:', '  testing:'), 'staging'],
    ['no way to start', () => rmSync(at('.understudy/run')), 'it says how the app starts'],
    ['no workflows', () => rmSync(at('.github'), { recursive: true }), 'a workflow there calls'],
    [
      'a workflow that calls none of ours',
      edit('.github/workflows/deploy.yml', 'uses: understudy-actions', 'uses: ./.github # '),
      'calls a reusable workflow',
    ],
    [
      'none for a push to main',
      edit('.github/workflows/deploy.yml', '[main]', '[trunk]'),
      'push of refs/heads/main must start exactly one workflow',
    ],
    [
      'a folder that is not there',
      () => {
        renameSync(folder, `${folder}-gone`);
        folder = `${folder}-gone`;
      },
      '--app is the folder of an app',
    ],
  ])('refuses %s', (_, spoil, sentence) => {
    const asked = folder;
    spoil();
    expect(() => keysOf('--app', asked)).toThrow(sentence);
  });
});

describe('the turns of scenes', () => {
  const scene = (key: string, roles: Role[], more: Partial<Scene> = {}): Scene => ({
    ...{ key, name: key, roles, play: () => Promise.reject(new Error('nobody plays')) },
    ...more,
  });
  const first = scene('first', ['isso'], { measured: true });
  const heavy = scene('heavy', ['trio'], { later: true });
  const second = scene('second', ['isso']);
  const other = scene('other', ['chatmrpt'], { measured: true });
  const all = [first, heavy, second, other];

  /** Who began, and whose users are measured, after those have ended. */
  async function goingOn(ended: readonly Scene[]): Promise<{ begun: string[]; measured: string[] }> {
    const turns = new Turns(all);
    const seen = { begun: [] as string[], measured: [] as string[] };
    for (const one of all) {
      void turns.toBegin(one).then(() => seen.begun.push(one.key));
      void turns.toMeasure(one).then(() => one.measured && seen.measured.push(one.key));
    }
    for (const one of ended) turns.ended(one);
    await setImmediate();
    return seen;
  }

  test('those that share an app play one after the other, the others side by side, and one at a time is measured', async () => {
    expect(await goingOn([])).toEqual({ begun: ['first', 'other'], measured: ['first'] });
    const { begun, measured } = await goingOn([first]);
    expect(begun.toSorted()).toEqual(['first', 'other', 'second']);
    expect(measured).toEqual(['first', 'other']);
  });

  test('what takes much time waits for the last that is measured, also if it comes after it', async () => {
    expect((await goingOn([first, second])).begun).not.toContain('heavy');
    expect((await goingOn([first, other])).begun).toContain('heavy');
  });
});
