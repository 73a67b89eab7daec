import { createHash } from 'node:crypto';
import { closeSync, constants, createWriteStream, fstatSync, openSync, readSync } from 'node:fs';
import { readFile, rename, rm } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { ConfigurationError } from '../action/errors.ts';
import { parseConfig } from '../config/parse.ts';
import { requireConfig, requireContents, requireNoDescription } from './contents.ts';
import { configFile, describeRelease, descriptionFile, type Source, toText } from './description.ts';
import { type Entry, refusal } from './entry.ts';
import { encodeHeader, endOfArchive, padding } from './format.ts';
import { listTree, reviewTree } from './tree.ts';

export interface PackedRelease {
  /** The release's id: the SHA-256 of the archive's bytes, in hexadecimal. */
  readonly id: string;
  /** Bytes of the archive. */
  readonly size: number;
  /** How many files it holds, its description among them. */
  readonly files: number;
}

/** Why this one: the figures in the README of this folder. */
const compressionLevel = 1;
const chunkSize = 1024 * 1024;

/**
 * Packs a folder into a release: one deterministic tar.gz, with `.understudy/release.json` added.
 *
 * @param archive - the file to write; it appears only when it is whole
 * @throws ConfigurationError at a folder that cannot be a release
 */
export async function packRelease(folder: string, archive: string, source: Source): Promise<PackedRelease> {
  requireOutside(folder, archive);
  const tree = await listTree(folder);
  requireConfig(tree);
  requireNoDescription(tree);
  const config = parseConfig(await readFile(join(folder, configFile), 'utf8'), configFile);
  requireContents(tree, config);
  const description = Buffer.from(toText(describeRelease(config, source)));
  const entries = withDescription(tree, description.length);
  reviewTree(entries);
  const content = (entry: Entry) =>
    entry.path === descriptionFile ? [description] : readExactly(folder, entry);
  const written = await writeArchive(
    archive,
    tarOf(entries, Math.floor(source.committed.getTime() / 1000), content),
  );
  return { ...written, files: entries.filter(({ kind }) => kind === 'file').length };
}

function requireOutside(folder: string, archive: string): void {
  const way = relative(resolve(folder), resolve(archive));
  if (way !== '..' && !way.startsWith('../')) {
    throw new ConfigurationError({
      where: 'archive',
      what: `lies in the folder that is packed: ${way}.`,
      how: 'Write it elsewhere; for example: /tmp/release.tar.gz',
    });
  }
}

function withDescription(tree: readonly Entry[], size: number): Entry[] {
  const description: Entry = { path: descriptionFile, kind: 'file', executable: false, size, target: '' };
  const after = tree.findIndex(({ path }) => path > descriptionFile);
  return tree.toSpliced(after === -1 ? tree.length : after, 0, description);
}

function* tarOf(
  entries: readonly Entry[],
  time: number,
  content: (entry: Entry) => Iterable<Buffer>,
): Generator<Buffer> {
  for (const entry of entries) {
    yield encodeHeader(entry, time);
    if (entry.size > 0) {
      yield* content(entry);
      yield padding(entry.size);
    }
  }
  yield endOfArchive;
}

/**
 * The bytes of a file, exactly as many as its header said; through no link that took its place meanwhile. Read
 * without waiting: compression runs on another thread, and a turn of the event loop for each small file costs more.
 */
function* readExactly(folder: string, { path, size }: Entry): Generator<Buffer> {
  const file = openSync(join(folder, path), constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    for (let left = size; left > 0; ) {
      const buffer = Buffer.allocUnsafe(Math.min(left, chunkSize));
      const count = readSync(file, buffer);
      left -= count;
      if (count === 0 || (left === 0 && fstatSync(file).size !== size)) {
        throw refusal(path, 'changed its size while it was packed.', 'Pack when the build has ended.');
      }
      yield buffer.subarray(0, count);
    }
  } finally {
    closeSync(file);
  }
}

/** The same bytes in pieces of equal size: small ones cost a change of threads each. */
function* inChunks(pieces: Iterable<Buffer>): Generator<Buffer> {
  let chunk = Buffer.allocUnsafe(chunkSize);
  let filled = 0;
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      const count = piece.copy(chunk, filled, at);
      at += count;
      filled += count;
      if (filled === chunkSize) {
        yield chunk;
        chunk = Buffer.allocUnsafe(chunkSize);
        filled = 0;
      }
    }
  }
  yield chunk.subarray(0, filled);
}

/** Compresses into the file, hashing and counting on the way. */
async function writeArchive(archive: string, tar: Iterable<Buffer>): Promise<{ id: string; size: number }> {
  const partial = `${archive}.part`;
  const hash = createHash('sha256');
  let size = 0;
  const measure = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      size += chunk.length;
      done(null, chunk);
    },
  });
  const gzip = createGzip({ level: compressionLevel, memLevel: 9, chunkSize });
  try {
    await pipeline(
      Readable.from(inChunks(tar), { objectMode: false }),
      gzip,
      measure,
      createWriteStream(partial),
    );
    await rename(partial, archive);
  } finally {
    await rm(partial, { force: true });
  }
  return { id: hash.digest('hex'), size };
}
