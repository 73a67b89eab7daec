import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { inBytes, inSeconds, say } from '../action/log.ts';
import { tryThrice } from '../action/tries.ts';
import type { Bucket } from '../aws/bucket.ts';
import type { Manifest } from '../backup/manifest.ts';
import { prefixOf } from '../backup/place.ts';
import { type Found, failed, onLevel, passed, type Unpack, type Unpacked, unable } from './climb.ts';
import type { Control, Level } from './ladder.ts';
import { verifyScript } from './script.ts';

interface Bench {
  readonly bucket: Pick<Bucket, 'read' | 'open'>;
  /** A folder of this run's own, which the caller removes. */
  readonly folder: string;
  readonly signal: AbortSignal;
  /** How long S3 may send nothing in the middle of an object; a minute when absent. */
  readonly stallMs?: number;
}

/** An object of a backup, as its manifest tells of it. */
interface Part {
  readonly object: string;
  readonly raw: { readonly size: number };
  /** Where the database's bytes go; undefined for an archive, of which only the names are kept. */
  readonly file?: string;
  /** The folder of what was seen of its bytes: see host/library/verify.sh. */
  readonly words: string;
  /** The manifest's own entry, as JSON. */
  readonly entry: string;
  /** How many members an archive has. */
  readonly count?: number;
}

/** What the verifying script reads, hashed by us on its way. */
interface Input {
  readonly stream: Readable;
  readonly see: (chunk: Buffer) => void;
}

/** What the verifying script printed, and how it ended: 0 passed, 1 failed, 2 could not run. */
interface Answer {
  readonly code: number;
  readonly text: string;
}

/**
 * Levels 2 to 4 on this machine, by the functions that a host verifies with: each object is read once, and never lies in
 * memory. Personal data of the backup comes to this machine, and leaves with the folder.
 */
export function unpackHere(bench: Bench): Unpack {
  return async (key, manifest, upTo) => {
    await rm(bench.folder, { recursive: true, force: true });
    await mkdir(bench.folder, { recursive: true, mode: 0o700 });
    const parts = partsOf(manifest, bench.folder);
    const databases = parts.filter(({ file }) => file !== undefined);
    const levels: Level[] = [];
    const climb = async (level: number, judge: () => Promise<Found>): Promise<boolean> => {
      if (level > upTo || levels.some(({ verdict }) => verdict !== 'passed')) return false;
      levels.push(await onLevel(level, bench, judge));
      return levels.at(-1)?.verdict === 'passed';
    };
    let ahead = new Map<number, Promise<Found>>();
    const foundAt = (level: number) => ahead.get(level) ?? judgeEach(bench, level, databases);
    try {
      await climb(2, async () => {
        const found = (await unready(bench, key, manifest)) ?? (await fetchAll(bench, key, databases));
        if (found) return found;
        ahead = judgeAhead(bench, databases, upTo);
        const archives = parts.filter(({ file }) => file === undefined);
        return (await fetchAll(bench, key, archives)) ?? agree(bench, parts);
      });
      await climb(3, () => foundAt(3));
      await climb(4, async () => {
        const found = await foundAt(4);
        return found.verdict === 'passed' ? ((await miscounted(parts)) ?? found) : found;
      });
    } finally {
      await Promise.allSettled(ahead.values());
    }
    const sound = levels.every(({ verdict }) => verdict === 'passed');
    const unpacked: Unpacked = sound ? { levels, control: await tryControl(bench, parts) } : { levels };
    await rm(bench.folder, { recursive: true, force: true });
    return unpacked;
  };
}

function partsOf({ databases, files, code }: Manifest, folder: string): Part[] {
  const at = (object: string) => join(folder, object);
  return [
    ...databases.map((one, index) => ({
      ...{ object: one.object, raw: one.raw, file: at(`database-${index}`) },
      ...{ words: at(`${one.object}.words`), entry: JSON.stringify(one) },
    })),
    ...[files, code].flatMap((one) =>
      one === null
        ? []
        : {
            ...{ object: one.object, raw: one.raw, count: one.count },
            ...{ words: at(`${one.object}.words`), entry: JSON.stringify(one) },
          },
    ),
  ];
}

/** What keeps this machine from judging, or the script from believing the manifest. */
async function unready(bench: Bench, key: string, manifest: Manifest): Promise<Found | undefined> {
  const { folder } = bench;
  await writeFile(join(folder, 'verify.sh'), verifyScript, { mode: 0o700 });
  const packed = new Set(['sqlite3', 'jq', 'tar', 'dd', 'tee', 'timeout', 'nice']);
  for (const { object } of partsOf(manifest, folder)) packed.add(object.endsWith('.zst') ? 'zstd' : 'gzip');
  const look = 'for one; do command -v "$one" >/dev/null || printf "%s " "$one"; done; sqlite3 --version';
  const looking = start(bench, ['bash', '-c', look, 'look', ...packed]);
  const [tools, stored] = await Promise.all([looking, bench.bucket.read(key)]);
  const [, missing = '', version = ''] = /^((?:[a-z]\S* )*)(\d+\.\d+)?/.exec(tools.text) ?? [];
  if (missing) return unable(`This machine lacks ${missing.trim()}.`);
  // pragma_table_list came with 3.37.
  if (Number(version.split('.')[1]) < 37)
    return unable(`This machine's sqlite3 is ${version}; 3.37 is needed.`);
  const raw = manifest.databases.map((one) => one.raw.size);
  // The first database is copied once more, to be damaged.
  const needed = raw.reduce((sum, size) => sum + size, 0) + (raw[0] ?? 0) + 64 * 1024 * 1024;
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize < needed) {
    return unable(`${inBytes(needed)} are needed in ${folder}, and ${inBytes(bavail * bsize)} are free.`);
  }
  const file = join(folder, 'manifest.json');
  if (!stored) return unable(`${key} is not there any more.`);
  await writeFile(file, stored.bytes);
  const { code, text } = await ask(bench, ['manifest_problem', file]);
  if (code !== 0) return unable(`The manifest could not be judged: ${text}`);
  return text === '' ? undefined : failed(`Its manifest is not as it should be: ${text}.`);
}

/**
 * Levels 3 and 4, begun as soon as the databases lie here: their digests are still being made, and integrity_check, the longest
 * of all, keeps one processor alone. What a level says counts only where those below it passed.
 */
function judgeAhead(bench: Bench, databases: readonly Part[], upTo: number): Map<number, Promise<Found>> {
  const levels = [3, 4].filter((level) => level <= upTo);
  const ahead = new Map(levels.map((level) => [level, judgeEach(bench, level, databases)]));
  // Its failure is met by who asks for it, and is none where nobody does.
  for (const found of ahead.values()) found.catch(() => undefined);
  return ahead;
}

/** Level 2 of what is not there; undefined where all came. */
async function fetchAll(bench: Bench, key: string, parts: readonly Part[]): Promise<Found | undefined> {
  for (const part of parts) {
    const from = prefixOf(key) + part.object;
    const missing = await tryThrice(
      () => fetchOne(bench, from, part),
      () => bench.signal.aborted,
    );
    if (missing) return failed(missing);
  }
  return undefined;
}

/** Level 2: every byte of every object is as promised. */
async function agree(bench: Bench, parts: readonly Part[]): Promise<Found> {
  for (const part of parts) {
    const { code, text } = await judge(bench, 2, part);
    if (code !== 0) return found(code, `${part.object}: ${text}`);
    say(`           ${part.object}: ${text}`);
  }
  const total = parts.reduce((sum, { raw }) => sum + raw.size, 0);
  return passed(`${parts.length} objects unpacked to ${inBytes(total)}, each byte as promised`);
}

/** Throws when S3 does not give it whole, which says nothing about the backup; tells when it is gone. */
async function fetchOne(bench: Bench, from: string, part: Part): Promise<string | undefined> {
  const stream = await bench.bucket.open(from);
  if (!stream) return `There is no ${from}.`;
  const known = [part.object, String(part.raw.size), part.words];
  const list = ['tar', '--list', '--quoting-style=escape', '--file=-', '--index-file', namesIn(part)];
  const unpacking = part.file
    ? ['unpack_database', ...known, part.file]
    : ['unpack_archive', ...known, ...list];
  await rm(part.words, { recursive: true, force: true });
  await mkdir(part.words);
  const digest = createHash('sha256');
  let size = 0;
  const { code, text } = await ask(bench, unpacking, {
    stream,
    see: (chunk) => {
      digest.update(chunk);
      size += chunk.length;
    },
  });
  if (code !== 0) throw new Error(`${part.object} could not be read: ${text}`);
  await writeFile(join(part.words, 'packed.sha256'), digest.digest('hex'));
  await writeFile(join(part.words, 'packed.size'), String(size));
  return undefined;
}

const namesIn = ({ words }: Part): string => `${words}.names`;

async function judgeEach(bench: Bench, level: number, databases: readonly Part[]): Promise<Found> {
  const told: string[] = [];
  for (const database of databases) {
    const { code, text } = await judge(bench, level, database);
    if (code !== 0) return found(code, `${database.object}: ${text}`);
    told.push(`${database.object}: ${text}`);
  }
  return passed(told.join('; ') || 'the backup has no database');
}

/** Level 4 of archives: as many members as promised. */
async function miscounted(parts: readonly Part[]): Promise<Found | undefined> {
  for (const part of parts.filter(({ count }) => count !== undefined)) {
    const names = (await readFile(namesIn(part), 'utf8')).split('\n');
    const held = names.filter((name) => name.startsWith('./')).length;
    if (held !== part.count) return failed(`${part.object}: it holds ${held} members, not ${part.count}`);
  }
  return undefined;
}

/** A check that cannot fail proves nothing: what judged the backup must refuse a copy that was damaged on purpose. */
async function tryControl(bench: Bench, parts: readonly Part[]): Promise<Control> {
  const [first] = parts;
  if (!first) return 'could-not-run';
  const { entry, file, words } = first;
  if (file === undefined) {
    const lied = entry.replace(/"sha256":"[0-9a-f]{64}"/, `"sha256":"${'0'.repeat(64)}"`);
    const { code } = await ask(bench, ['judge', '2', lied, '', words]);
    return code === 1 ? 'refused' : 'passed';
  }
  const { code, text } = await ask(bench, ['control_passes', entry, file, words, `${file}.control`]);
  const control = ({ 0: 'passed', 1: 'refused' } as const)[code] ?? 'could-not-run';
  say(`  control  a copy that was damaged on purpose: ${control}${text ? ` (${text})` : ''}`);
  return control;
}

const found = (code: number, evidence: string): Found => (code === 1 ? failed(evidence) : unable(evidence));

/** What one level says of one object. Level 3 takes longest: the others make room for it where processors are few. */
function judge(bench: Bench, level: number, { entry, file = '', words }: Part): Promise<Answer> {
  const asked = ['judge', String(level), entry, file, words];
  return level === 3 ? ask(bench, asked) : start(bench, ['nice', 'bash', scriptIn(bench), ...asked]);
}

const scriptIn = ({ folder }: Bench): string => join(folder, 'verify.sh');

const ask = (bench: Bench, words: readonly string[], input?: Input): Promise<Answer> =>
  start(bench, ['bash', scriptIn(bench), ...words], input);

/** Runs a command with nothing of the job's environment: what is read may be anybody's. */
async function start(
  { folder, signal, stallMs = 60_000 }: Bench,
  [program = '', ...words]: readonly string[],
  input?: Input,
): Promise<Answer> {
  const env = { PATH: process.env['PATH'] ?? '', LC_ALL: 'C', HOME: folder, TMPDIR: folder };
  const child = spawn(program, words, {
    env,
    cwd: folder,
    signal,
    stdio: [input ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  });
  let text = '';
  const keep = (bytes: Buffer): void => {
    if (text.length < 2000) text += bytes.toString('utf8');
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  const ended = new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 2));
  });
  const sent =
    input && child.stdin
      ? pipeline(input.stream, (chunks: Readable) => untilStalled(chunks, stallMs, input.see), child.stdin)
      : Promise.resolve();
  // Awaited both: who begins again must not meet what still writes.
  const [end, sending] = await Promise.allSettled([ended, sent]);
  if (end.status === 'rejected') throw end.reason;
  // What ended badly has stopped reading; that says more than that the rest could not be sent.
  if (sending.status === 'rejected' && end.value === 0) throw sending.reason;
  const code = end.value;
  return { code, text: text.trim().replaceAll(/\s+/g, ' ').slice(0, 600) };
}

/** Passes bytes on, and gives up on a sender that falls silent; that we ourselves are slow does not count. */
async function* untilStalled(chunks: Readable, stallMs: number, see: Input['see']): AsyncGenerator<Buffer> {
  const silent = new Error(`S3 sent nothing for ${inSeconds(stallMs)}.`);
  const wait = (): NodeJS.Timeout => setTimeout(() => chunks.destroy(silent), stallMs);
  let waiting = wait();
  try {
    for await (const chunk of chunks) {
      clearTimeout(waiting);
      see(chunk as Buffer);
      yield chunk as Buffer;
      waiting = wait();
    }
  } finally {
    clearTimeout(waiting);
  }
}
