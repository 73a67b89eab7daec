import { execFileSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { commitTime } from '../../../src/release/source.ts';
import { app, commit, withFolder } from './folder.ts';

/** A repository with one commit of that time; gives the commit's id to `use`. */
const withCommit = (seconds: string, use: (folder: string, commit: string) => Promise<void>) =>
  withFolder(app, async (folder) => {
    const date = `${seconds} +0000`;
    const env = {
      ...process.env,
      GIT_COMMITTER_DATE: date,
      GIT_AUTHOR_DATE: date,
      GIT_CONFIG_GLOBAL: '/dev/null',
    };
    const git = (...args: string[]) =>
      execFileSync('git', ['-C', folder, '-c', 'user.name=a', '-c', 'user.email=a@example.org', ...args], {
        encoding: 'utf8',
        env,
      });
    git('init', '--quiet');
    git('add', '.');
    git('commit', '--quiet', '--message', 'one');
    await use(folder, git('rev-parse', 'HEAD').trim());
  });

describe('the time of a commit', () => {
  test('is what SOURCE_DATE_EPOCH says', async () => {
    expect(await commitTime('/nowhere', commit, '1795392000')).toEqual(new Date('2026-11-23T00:00:00Z'));
  });

  test.each([undefined, '', ' '])('is asked of git when the variable is %p', async (epoch) => {
    await withCommit('1700000000', async (folder, id) => {
      expect(await commitTime(folder, id, epoch)).toEqual(new Date(1_700_000_000_000));
    });
  });

  test('cannot be guessed where git does not know the commit', async () => {
    await withCommit('1700000000', async (folder) => {
      await expect(commitTime(folder, commit, undefined)).rejects.toThrow('SOURCE_DATE_EPOCH=$(git log');
    });
  });

  test.each(['now', '-1', '1e9', '1795392000.5', '99999999999', '0x10'])('is not %p', async (epoch) => {
    await expect(commitTime('/nowhere', commit, epoch)).rejects.toThrow('not whole seconds since 1970');
  });
});
