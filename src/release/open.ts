import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { ConfigurationError } from '../action/errors.ts';
import type { Config } from '../config/config.ts';
import { parseConfig } from '../config/parse.ts';
import { Bytes } from './bytes.ts';
import { requireConfig, requireContents } from './contents.ts';
import { configFile, type Description, describeRelease, descriptionFile, toText } from './description.ts';
import { createReview, type Entry } from './entry.ts';
import {
  blockSize,
  type Decoded,
  decodeHeader,
  decodeLongNames,
  encodeHeader,
  endOfArchive,
  longNamesAfter,
  padding,
} from './format.ts';

/** What is known of a release once its archive was read. */
export interface OpenedRelease {
  /** The SHA-256 of the archive's bytes, in hexadecimal. */
  readonly id: string;
  /** Bytes of the archive. */
  readonly size: number;
  readonly config: Config;
  readonly description: Description;
}

/** The files that are read; each other one is only counted. */
const wanted = new Set([configFile, descriptionFile]);
const largestWanted = 256 * 1024;

/**
 * Reads a release's archive as data: nothing of it is written to a disk or run, and memory stays bounded. Only
 * what `packRelease` writes is taken, byte for byte of the format, so that every tar reads it alike.
 *
 * @param expectedDigest - what the build job said: 64 hexadecimal digits
 * @throws ConfigurationError when the digest differs, or the archive is not a release
 */
export async function openRelease(archive: string, expectedDigest: string): Promise<OpenedRelease> {
  const { id, size } = await digestOf(archive);
  if (id !== expectedDigest) {
    throw new ConfigurationError({
      where: archive,
      what: `has the SHA-256 ${id}, not ${expectedDigest}.`,
      how: 'Give the digest that the build job put out with this very archive; if it did, the archive was changed.',
      reason: 'bad-digest',
    });
  }
  const { entries, texts } = await readArchive(archive);
  requireConfig(entries);
  const config = parseConfig(texts.get(configFile) ?? '', configFile);
  requireContents(entries, config);
  const description = readDescription(texts.get(descriptionFile), config);
  return { id, size, config, description };
}

async function digestOf(archive: string): Promise<{ id: string; size: number }> {
  const hash = createHash('sha256');
  let size = 0;
  try {
    for await (const chunk of createReadStream(archive, { highWaterMark: 1024 * 1024 })) {
      hash.update(chunk);
      size += chunk.length;
    }
  } catch (cause) {
    const how = 'Give the path of the archive that pack-release wrote.';
    throw new ConfigurationError({
      where: archive,
      what: 'cannot be read.',
      how,
      reason: 'bad-release',
      cause,
    });
  }
  return { id: hash.digest('hex'), size };
}

/** The description must be the one that this configuration gives: the host acts on it, we on the configuration. */
function readDescription(text: string | undefined, config: Config): Description {
  const { commit, committed } = sourceIn(text ?? '');
  const source = { commit, committed: new Date(committed) };
  if (Number.isNaN(source.committed.getTime()) || !/^[0-9a-f]{40}$/.test(commit)) {
    throw notOurs('its description names no commit and time.');
  }
  const description = describeRelease(config, source);
  if (text !== toText(description)) {
    throw notOurs(`${descriptionFile} does not say what ${configFile} says.`);
  }
  return description;
}

function sourceIn(text: string): { commit: string; committed: string } {
  try {
    const { commit, committed } = JSON.parse(text) as Record<string, unknown>;
    return { commit: String(commit), committed: String(committed) };
  } catch (cause) {
    throw notOurs(`${descriptionFile} is missing, or no JSON.`, cause);
  }
}

function notOurs(what: string, cause?: unknown): ConfigurationError {
  return new ConfigurationError({
    where: 'archive',
    what: `is not a release: ${what}`,
    how: 'Pack it with pack-release, of the same version as this action.',
    reason: 'bad-release',
    cause,
  });
}

interface Contents {
  readonly entries: Entry[];
  readonly texts: Map<string, string>;
}

async function readArchive(archive: string): Promise<Contents> {
  const contents: Contents = { entries: [], texts: new Map() };
  try {
    await pipeline(createReadStream(archive), createGunzip({ chunkSize: 256 * 1024 }), async (tar) => {
      await readTar(new Bytes(tar), contents);
    });
  } catch (error) {
    throw error instanceof ConfigurationError ? error : notOurs('it cannot be unpacked.', error);
  }
  return contents;
}

async function readTar(bytes: Bytes, { entries, texts }: Contents): Promise<void> {
  const review = createReview();
  let header = await readHeader(bytes);
  const first = header;
  for (; header; header = await readHeader(bytes)) {
    const { entry, time } = header;
    if (time !== first?.time) {
      throw notOurs(`${JSON.stringify(entry.path)} has a time of its own.`);
    }
    review(entry);
    entries.push(entry);
    await readContent(bytes, entry, texts);
  }
  if ((await bytes.skip(1)) > 0) {
    throw notOurs('something follows its end.');
  }
}

/** The next entry, or undefined at the archive's end. */
async function readHeader(bytes: Bytes): Promise<{ entry: Entry; time: number } | undefined> {
  const { raw, decoded } = await readBlocks(bytes);
  if (decoded === 'end') {
    return undefined;
  }
  // Two programs may read a crooked header in two ways, and the host's tar is another program than this one.
  if (!decoded || !encodeHeader(decoded.entry, decoded.time).equals(raw)) {
    throw notOurs('it holds a header that pack-release would not write.');
  }
  return decoded;
}

async function readBlocks(bytes: Bytes): Promise<{ raw: Buffer; decoded: Decoded | 'end' | undefined }> {
  const block = await bytes.read(blockSize);
  if (block.equals(endOfArchive.subarray(blockSize))) {
    const second = await bytes.read(blockSize);
    return { raw: block, decoded: second.equals(block) ? 'end' : undefined };
  }
  const names = block.length === blockSize ? longNamesAfter(block) : undefined;
  if (names === undefined) {
    return { raw: block, decoded: block.length === blockSize ? decodeHeader(block) : undefined };
  }
  const body = await bytes.read(names + padding(names).length);
  const own = await bytes.read(blockSize);
  const decoded =
    own.length === blockSize ? decodeHeader(own, decodeLongNames(body.subarray(0, names))) : undefined;
  return { raw: Buffer.concat([block, body, own]), decoded };
}

async function readContent(bytes: Bytes, { path, size }: Entry, texts: Map<string, string>): Promise<void> {
  if (wanted.has(path) && size > largestWanted) {
    throw notOurs(`${path} is larger than ${largestWanted / 1024} KiB.`);
  }
  const content = wanted.has(path) ? await bytes.read(size) : undefined;
  const count = content ? content.length : await bytes.skip(size);
  if (count !== size) {
    throw notOurs('it ends in the middle of a file.');
  }
  if (content) {
    texts.set(path, content.toString('utf8'));
  }
  const gap = padding(size);
  if (!(await bytes.read(gap.length)).equals(gap)) {
    throw notOurs('it does not end its files with zeros.');
  }
}
