import { cpSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, run } from '../ground/run.ts';
import type { Cloud } from './handle.ts';

const main = 'refs/heads/main';

/**
 * The git repository that a push is played from. It is the folder itself where that is a repository whose
 * understudy.yml names the local account. Otherwise it is a copy, to which each push adds a commit: of a plain folder
 * (an example), or with the real account's number replaced, for nothing here may even name it.
 */
export async function callerRepository(
  cloud: Cloud,
  app: string,
  folder: string,
  { ref = main, tell = () => undefined }: { ref?: string; tell?: (sentence: string) => void } = {},
): Promise<string> {
  if (isRepository(folder)) await expectRef(folder, ref);
  const config = readFileSync(join(folder, 'understudy.yml'), 'utf8');
  if (isRepository(folder) && toAccount(config, cloud.account) === config) return folder;
  const copy = await copyRepository(cloud, app, folder, ref);
  const why = isRepository(folder) ? 'it names an account of AWS' : 'it is no git repository';
  tell(`pushing a copy of ${folder}, for ${why}: ${copy}`);
  return copy;
}

/**
 * A copy of a folder, or of what a repository has committed, as a git repository of the cloud's own that names the
 * local account. Copied again, it grows by a commit.
 */
export async function copyRepository(cloud: Cloud, app: string, folder: string, ref = main): Promise<string> {
  const copy = join(cloud.state, 'repositories', app);
  await takeCopy(folder, copy, isRepository(folder) ? ref : undefined);
  for (const file of globSync(['understudy.yml', '.github/workflows/*.yml'], { cwd: copy })) {
    const path = join(copy, file);
    writeFileSync(path, toAccount(readFileSync(path, 'utf8'), cloud.account));
  }
  await commitAll(copy, `${app} as it is in ${folder}`);
  if (ref !== main) await git(copy, 'update-ref', ref, 'HEAD');
  return copy;
}

const isRepository = (folder: string): boolean => existsSync(join(folder, '.git'));

async function expectRef(folder: string, ref: string): Promise<void> {
  const { code } = await attempt([
    'git',
    '-C',
    folder,
    'rev-parse',
    '--quiet',
    '--verify',
    `${ref}^{commit}`,
  ]);
  if (code === 0) return;
  const name = ref.replace('refs/tags/', '').replace('refs/heads/', '');
  const what = ref.startsWith('refs/tags/')
    ? `no tag ${name}: make it with "git tag ${name}"`
    : `no branch ${name}`;
  throw new Error(`${folder} has ${what}`);
}

/** Commits all that is in the work tree; nothing, when the last commit holds it already. */
export async function commitAll(folder: string, message: string): Promise<void> {
  await git(folder, 'add', '--all');
  const { code } = await attempt(['git', '-C', folder, 'diff', '--cached', '--quiet', 'HEAD']);
  if (code === 0) return;
  const who = ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.com', '-c', 'commit.gpgsign=false'];
  await git(folder, ...who, 'commit', '--quiet', '--message', message);
}

const toAccount = (text: string, account: string): string =>
  text.replaceAll(/(arn:aws[a-z-]*:iam::)\d{12}(?=:)/g, `$1${account}`);

/** @param ref what of a repository is taken; without one the folder is no repository, and taken as it is. */
async function takeCopy(folder: string, copy: string, ref: string | undefined): Promise<void> {
  mkdirSync(copy, { recursive: true });
  if (!existsSync(join(copy, '.git'))) await git(copy, 'init', '--quiet', '--initial-branch=main');
  else await git(copy, 'rm', '-r', '--quiet', '--force', '--ignore-unmatch', '.');
  if (ref === undefined) {
    cpSync(folder, copy, { recursive: true });
    return;
  }
  // What was committed, as a push would bring it.
  const archive = join(copy, '.git', 'taken.tar');
  await git(folder, 'archive', '--output', archive, ref);
  await run(['tar', '-xf', archive, '-C', copy]);
  rmSync(archive);
}

/** Runs git in a folder, and gives what it printed. */
export function git(folder: string, ...words: string[]): Promise<string> {
  return run(['git', '-C', folder, ...words]);
}
