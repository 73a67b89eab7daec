import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { attempt, run } from '../ground/run.ts';

/**
 * A host's root disk: a sparse ext4 file of the size that was asked for, whose `upper` folder takes what the host
 * writes, over the layers that it was launched from. So a full disk on a host is a real one.
 */
export interface Disk {
  /** The host's folder: disk.img, disk/ (its mount), root/ (the overlay). */
  readonly folder: string;
  readonly sizeGiB: number;
}

export const rootOf = (disk: Disk): string => join(disk.folder, 'root');
const upperOf = (disk: Disk): string => join(disk.folder, 'disk', 'upper');

/** Makes the disk. Answers whether its size is honoured: without loop devices it is a plain folder. */
export async function makeDisk(disk: Disk): Promise<boolean> {
  mkdirSync(join(disk.folder, 'disk'), { recursive: true });
  mkdirSync(rootOf(disk), { recursive: true });
  if (!existsSync('/dev/loop-control')) return false;
  const file = join(disk.folder, 'disk.img');
  await writeFile(file, '');
  await truncate(file, disk.sizeGiB * 1024 ** 3);
  // No journal: a host's power cut leaves the page cache of this machine whole. 0 % reserve: df tells what there is.
  const made = await attempt([
    'mkfs.ext4',
    '-q',
    '-F',
    '-O',
    '^has_journal',
    '-E',
    'lazy_itable_init=1,nodiscard',
    '-m',
    '0',
    file,
  ]);
  if (made.code === 0 && (await mountImage(disk)).code === 0) return true;
  rmSync(file, { force: true });
  return false;
}

function mountImage(disk: Disk): ReturnType<typeof attempt> {
  return attempt(['mount', '-o', 'loop', join(disk.folder, 'disk.img'), join(disk.folder, 'disk')]);
}

/** Mounts the disk and the overlay on its layers (nearest first), unless they are. */
export async function mountDisk(disk: Disk, layers: readonly string[]): Promise<void> {
  const mounts = mountsBelow(disk.folder);
  const folder = join(disk.folder, 'disk');
  if (existsSync(join(disk.folder, 'disk.img')) && !mounts.includes(folder)) {
    const mounted = await mountImage(disk);
    if (mounted.code !== 0) throw new Error(`the host's disk cannot be mounted: ${mounted.stderr.trim()}`);
  }
  if (mounts.includes(rootOf(disk))) return;
  const work = join(folder, 'work');
  mkdirSync(upperOf(disk), { recursive: true });
  mkdirSync(work, { recursive: true });
  // redirect_dir: a folder that came with a layer can be renamed, as on any disk (else EXDEV).
  const options = `lowerdir=${layers.join(':')},upperdir=${upperOf(disk)},workdir=${work},redirect_dir=on`;
  await run(['mount', '-t', 'overlay', 'understudy', '-o', options, rootOf(disk)]);
}

/** Unmounts the overlay and the disk, as far as they are mounted. */
export async function unmountDisk(disk: Disk): Promise<void> {
  await unmountBelow(disk.folder);
}

/** Unmounts all that is mounted at a folder or below, the deepest first. */
export async function unmountBelow(folder: string): Promise<void> {
  for (const mountPoint of mountsBelow(folder).sort((a, b) => b.length - a.length)) {
    const ended = await attempt(['umount', mountPoint]);
    // Somebody stands in there (a shell, a test): it goes out of sight now, and for good when they leave.
    if (ended.code !== 0) await attempt(['umount', '--lazy', mountPoint]);
  }
}

/** Mount points at a folder or below it. */
export function mountsBelow(folder: string): string[] {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').trim().split('\n');
  const points = mounts.map((line) => decodeBlanks(line.split(' ')[1] ?? ''));
  return points.filter((point) => point === folder || point.startsWith(`${folder}/`));
}

// The kernel writes blanks in paths as octal escapes.
function decodeBlanks(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/** Packs what a host wrote to its disk into one file; the agent's own state stays behind. */
export async function packUpper(disk: Disk, file: string): Promise<void> {
  mkdirSync(dirname(file), { recursive: true });
  const what = [
    '--xattrs',
    '--xattrs-include=*',
    '--numeric-owner',
    '--sparse',
    '--exclude=./var/lib/amazon',
  ];
  // 1 = "file changed as we read it": sockets and the like, harmless on a host that stands still.
  const ended = await attempt(['tar', ...what, '-C', upperOf(disk), '-cf', file, '.']);
  if (ended.code > 1) throw new Error(`the image cannot be packed: ${ended.stderr.trim()}`);
}

/** Turns a packed disk into a layer that other hosts start from. */
export async function unpackLayer(file: string, layer: string): Promise<void> {
  mkdirSync(layer, { recursive: true });
  await run(['tar', '--xattrs', '--xattrs-include=*', '--numeric-owner', '-C', layer, '-xpf', file]);
}
