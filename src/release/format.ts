import { createHash } from 'node:crypto';
import { Header } from 'tar/header';
import { Pax } from 'tar/pax';
import type { Entry } from './entry.ts';

/** Tar counts in blocks of so many bytes. */
export const blockSize = 512;

/** Two empty blocks. */
export const endOfArchive = Buffer.alloc(2 * blockSize);

const types = { file: 'File', folder: 'Directory', link: 'SymbolicLink' } as const;

/** Bytes that a name may have to fit into the header itself; a longer one stands in an extended header before it. */
const shortName = 99;

/** Bytes of the two longest names, and what stands around them. */
const mostLongNames = 16 * 1024;

/**
 * The header of an entry. There is one way to write each, so that equal trees give equal bytes, and a reader can
 * refuse all else: owner 0, modes 644 and 755, one time for all.
 *
 * @param time - seconds since 1970
 */
export function encodeHeader(entry: Entry, time: number): Buffer {
  const path = Buffer.byteLength(entry.path) > shortName ? { path: entry.path } : {};
  const linkpath = Buffer.byteLength(entry.target) > shortName ? { linkpath: entry.target } : {};
  const block = Buffer.alloc(blockSize);
  new Header({
    path: 'path' in path ? standInFor(entry.path) : entry.path,
    mode: modeOf(entry),
    uid: 0,
    gid: 0,
    size: entry.size,
    mtime: new Date(time * 1000),
    type: types[entry.kind],
    linkpath: 'linkpath' in linkpath ? standInFor(entry.target) : entry.target,
  }).encode(block);
  return Buffer.concat([encodeLongNames({ ...path, ...linkpath }), block]);
}

function modeOf({ kind, executable }: Entry): number {
  if (kind === 'link') {
    return 0o777;
  }
  return kind === 'folder' || executable ? 0o755 : 0o644;
}

/** The library cuts a long name inside a character, and loses the slash of a folder: it never sees one. */
function standInFor(name: string): string {
  return `long-name/${createHash('sha256').update(name).digest('hex').slice(0, 24)}`;
}

/** Zeros after so many bytes of content, up to the next block. */
export function padding(size: number): Buffer {
  return endOfArchive.subarray(0, (blockSize - (size % blockSize)) % blockSize);
}

/** Names that did not fit into a header. */
export interface LongNames {
  readonly path?: string;
  readonly linkpath?: string;
}

/** The extended header of POSIX's pax, or nothing. */
function encodeLongNames(names: LongNames): Buffer {
  return Object.keys(names).length === 0 ? Buffer.alloc(0) : new Pax(names).encode();
}

/** Reads the records `<length> <key>=<value>\n` of an extended header. The library's own reader loses a newline. */
export function decodeLongNames(body: Buffer): LongNames {
  const names: Record<string, string> = {};
  for (let at = 0; at < body.length; ) {
    const length = Number.parseInt(body.toString('latin1', at, at + 8), 10);
    const [, key, value] = /^\d+ (path|linkpath)=(.*)\n$/s.exec(body.toString('utf8', at, at + length)) ?? [];
    if (key === undefined || value === undefined) {
      break;
    }
    names[key] = value;
    at += length;
  }
  return names;
}

/** An entry and its time, in seconds since 1970, as a header says them. */
export interface Decoded {
  readonly entry: Entry;
  readonly time: number;
}

/** Reads a header. Undefined when it is of a kind that `encodeHeader` never writes. */
export function decodeHeader(block: Buffer, names: LongNames = {}): Decoded | undefined {
  const { type, path, linkpath = '', size = 0, mtime, mode = 0 } = new Header(block);
  const kind = (['file', 'folder', 'link'] as const).find((known) => types[known] === type);
  if (kind === undefined || path === undefined || mtime === undefined) {
    return undefined;
  }
  const executable = kind === 'file' && (mode & 0o100) !== 0;
  const entry = { path: names.path ?? path, kind, size, executable, target: names.linkpath ?? linkpath };
  return { entry, time: mtime.getTime() / 1000 };
}

/** How many bytes of long names follow a block, if it announces such. */
export function longNamesAfter(block: Buffer): number | undefined {
  const { type, size = 0 } = new Header(block);
  return type === 'ExtendedHeader' ? Math.min(size, mostLongNames) : undefined;
}
