import { posix } from 'node:path';
import { ConfigurationError } from '../action/errors.ts';

/** One thing that a release holds. */
export interface Entry {
  /** Below the release's folder, with `/` between; a folder's ends with one. */
  readonly path: string;
  readonly kind: 'file' | 'folder' | 'link';
  readonly executable: boolean;
  /** Bytes; 0 for folders and links. */
  readonly size: number;
  /** Where a link leads, from its own folder; empty for the others. */
  readonly target: string;
}

const limits = {
  /** Bytes of all files together; the archive goes to S3 in one PUT, which takes 5 GB. */
  bytes: 5_000_000_000,
  entries: 200_000,
  /** Bytes of one path; Linux takes 4,096 with the folders above. */
  path: 1_024,
  /** Bytes of one name in a path; Linux takes no more. */
  name: 255,
} as const;

/** A release that cannot be: says which entry, why, and how to mend it. */
export function refusal(path: string, what: string, how: string, cause?: unknown): ConfigurationError {
  return new ConfigurationError({ where: JSON.stringify(path), what, how, reason: 'bad-release', cause });
}

/**
 * Judges the entries of one release, in their order, one call each; the packing side and the reading side share it.
 *
 * @throws ConfigurationError at the first entry that no release may hold
 */
export function createReview(): (entry: Entry) => void {
  const folders = new Set<string>();
  const folded = new Map<string, string>();
  const total = { entries: 0, bytes: 0 };
  let last = '';
  return (entry) => {
    requireLegalPath(entry.path);
    if (entry.path <= last) {
      throw refusal(
        entry.path,
        'stands twice in the release, or out of order.',
        'Pack it with pack-release.',
      );
    }
    requireFolderAbove(entry.path, folders);
    requireOwnName(entry.path, folded);
    if (entry.kind === 'link') {
      requireLinkWithin(entry);
    }
    if (entry.kind === 'folder') {
      folders.add(entry.path);
    }
    total.entries += 1;
    total.bytes += entry.size;
    requireWithinLimits(total);
    last = entry.path;
  };
}

function requireLegalPath(path: string): void {
  const names = path.replace(/\/$/, '').split('/');
  if (names.some((name) => name === '' || name === '.' || name === '..')) {
    throw refusal(path, 'is not a path inside the release.', 'Give it a relative path without "." and "..".');
  }
  if (names.some((name) => Buffer.byteLength(name) > limits.name)) {
    throw refusal(path, `has a name longer than ${limits.name} bytes.`, 'Shorten it.');
  }
  requireLegalText(path, path);
}

/** Judges a path, or what a link leads to. */
function requireLegalText(path: string, text: string): void {
  // Bytes that are no UTF-8 were read as U+FFFD; a name with it could not be found again.
  if (!text.isWellFormed() || text.includes('\uFFFD') || text.includes('\0')) {
    throw refusal(path, 'has a name that is not UTF-8.', 'Rename it, or leave it out.');
  }
  if (Buffer.byteLength(text) > limits.path) {
    throw refusal(path, `is longer than ${limits.path} bytes.`, 'Shorten it.');
  }
}

/** So nothing can be written through a link: what stands above an entry is a folder of the release itself. */
function requireFolderAbove(path: string, folders: ReadonlySet<string>): void {
  const above = posix.dirname(path);
  if (above !== '.' && !folders.has(`${above}/`)) {
    throw refusal(path, 'stands in a folder that the release does not hold.', 'Pack it with pack-release.');
  }
}

function requireOwnName(path: string, folded: Map<string, string>): void {
  const fold = path.replace(/\/$/, '').normalize('NFC').toLowerCase();
  const other = folded.get(fold);
  if (other !== undefined) {
    throw refusal(
      path,
      `and ${JSON.stringify(other)} are one name where case does not count.`,
      'Rename one of the two.',
    );
  }
  folded.set(fold, path);
}

/**
 * A link may go up only at its beginning. A later `..` could climb out through another link
 * (`here -> .`, then `here/../secret`), however harmless it looks.
 */
function requireLinkWithin({ path, target }: Entry): void {
  const climbsLater = /(^|\/)(?!\.\.(\/|$))[^/]*\/(.*\/)?\.\.(\/|$)/.test(target);
  const end = posix.join(posix.dirname(path), target);
  if (target === '' || posix.isAbsolute(target) || climbsLater || end === '..' || end.startsWith('../')) {
    throw refusal(
      path,
      `is a link that leads out of the release, to ${JSON.stringify(target)}.`,
      'Copy what it leads to into the release, or make the link in .understudy/hooks/prepare.',
    );
  }
  requireLegalText(path, target);
}

function requireWithinLimits({ entries, bytes }: { entries: number; bytes: number }): void {
  if (entries > limits.entries) {
    throw refusal(
      '.',
      `holds more than ${limits.entries} files and folders.`,
      'Leave out what the app does not run.',
    );
  }
  if (bytes > limits.bytes) {
    throw refusal(
      '.',
      'is larger than 5 GB.',
      'Leave out what the app does not run; data lives in $UNDERSTUDY_SHARED.',
    );
  }
}
