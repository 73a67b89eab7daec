import type { Dirent, Stats } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { createReview, type Entry, refusal } from './entry.ts';

/** Left out of every release, wherever it stands: the history is not the app. */
const leftOut = '.git';

/**
 * What a folder holds, in the order of a release: by path, a folder before what is in it.
 *
 * @throws ConfigurationError at what no release may hold: devices, sockets, setuid bits
 */
export async function listTree(root: string): Promise<Entry[]> {
  const entries = await listFolder(root, '').catch((cause: NodeJS.ErrnoException) => {
    const how = 'Give the folder that your build wrote.';
    throw cause.syscall === 'scandir'
      ? refusal(cause.path ?? root, 'is not there, or no folder.', how, cause)
      : cause;
  });
  return entries.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/**
 * Judges a whole tree, before a byte of it is read.
 *
 * @throws ConfigurationError at the first entry that no release may hold
 */
export function reviewTree(entries: readonly Entry[]): void {
  const review = createReview();
  for (const entry of entries) {
    review(entry);
  }
}

async function listFolder(root: string, folder: string): Promise<Entry[]> {
  const children = await readdir(join(root, folder), { withFileTypes: true });
  const kept = children.filter(({ name }) => name !== leftOut);
  const lists = await Promise.all(kept.map((child) => listChild(root, folder + child.name, child)));
  return lists.flat();
}

async function listChild(root: string, path: string, child: Dirent): Promise<Entry[]> {
  const file = join(root, path);
  if (child.isSymbolicLink()) {
    return [{ path, kind: 'link', executable: false, size: 0, target: await readlink(file) }];
  }
  const stats = await lstat(file).catch((cause: unknown) => {
    throw refusal(path, 'cannot be looked at.', 'Give it a name in UTF-8, or leave it out.', cause);
  });
  requirePlain(path, stats);
  if (stats.isDirectory()) {
    const own: Entry = { path: `${path}/`, kind: 'folder', executable: false, size: 0, target: '' };
    return [own, ...(await listFolder(root, `${path}/`))];
  }
  return [{ path, kind: 'file', executable: (stats.mode & 0o100) !== 0, size: stats.size, target: '' }];
}

function requirePlain(path: string, stats: Stats): void {
  if (!stats.isFile() && !stats.isDirectory()) {
    throw refusal(
      path,
      'is a device, a socket or a pipe.',
      'Leave it out: a release holds files, folders and links.',
    );
  }
  if (stats.isFile() && (stats.mode & 0o6000) !== 0) {
    throw refusal(path, 'has the setuid or setgid bit.', `Take it off: chmod ug-s ${JSON.stringify(path)}.`);
  }
}
