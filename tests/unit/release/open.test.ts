import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { create } from 'tar';
import { ConfigurationError } from '../../../src/action/errors.ts';
import type { Entry } from '../../../src/release/entry.ts';
import { encodeHeader, endOfArchive, padding } from '../../../src/release/format.ts';
import { openRelease } from '../../../src/release/open.ts';
import { packRelease } from '../../../src/release/pack.ts';
import { app, config, source, withFolder } from './folder.ts';

const time = source.committed.getTime() / 1000;
const digestOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

/** Opens bytes as a release, with their own digest. */
const open = (bytes: Buffer) =>
  withFolder({}, async (_, archive) => {
    await writeFile(archive, bytes);
    return openRelease(archive, digestOf(bytes));
  });

/** The tar of a good release, which tests then spoil. */
const goodTar = withFolder(app, async (folder, archive) => {
  await packRelease(folder, archive, source);
  return gunzipSync(await readFile(archive));
});

/** A tar of these entries before those of a good release, in order or not. */
async function tarWith(...entries: (Partial<Entry> & { path: string; content?: string })[]): Promise<Buffer> {
  const blocks = entries.flatMap(({ content = '', ...entry }) => {
    const size = Buffer.byteLength(content);
    const whole: Entry = { kind: 'file', executable: false, target: '', size, ...entry };
    return [encodeHeader(whole, time), Buffer.from(content), padding(size)];
  });
  return Buffer.concat([...blocks, await goodTar]);
}

describe('opening a release', () => {
  test('gives what was packed', async () => {
    await withFolder(
      { ...app, [`${'long/'.repeat(30)}ü\n`]: 'x', uploads: { folder: true }, to: { link: 'app.py' } },
      async (folder, archive) => {
        const packed = await packRelease(folder, archive, source);
        const opened = await openRelease(archive, packed.id);
        expect(opened).toMatchObject({ id: packed.id, size: packed.size });
        expect(opened.config.app).toBe('isso');
        expect(opened.description).toMatchObject({
          commit: source.commit,
          committed: '2026-11-23T00:00:00Z',
        });
      },
    );
  });

  test('refuses other bytes than the build job put out', async () => {
    await withFolder(app, async (folder, archive) => {
      const { id } = await packRelease(folder, archive, source);
      const error = await openRelease(archive, '0'.repeat(64)).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ConfigurationError);
      expect(error).toMatchObject({
        reason: 'bad-digest',
        what: `has the SHA-256 ${id}, not ${'0'.repeat(64)}.`,
      });
    });
  });

  test('refuses an archive that is not there', async () => {
    await expect(openRelease('/nowhere/release.tar.gz', '0'.repeat(64))).rejects.toThrow('cannot be read');
  });
});

describe('what is not a release', () => {
  const notOurs = 'it holds a header that pack-release would not write';

  test.each([
    ['no gzip', Buffer.from('hello'), 'it cannot be unpacked'],
    ['nothing', Buffer.alloc(0), 'it cannot be unpacked'],
    ['an empty tar', gzipSync(endOfArchive), 'holds no file'],
    ['one empty block', gzipSync(Buffer.alloc(512)), notOurs],
    ['a gzip in a gzip', gzipSync(gzipSync(endOfArchive)), notOurs],
  ])('%s', async (_, bytes, message) => {
    await expect(open(bytes)).rejects.toThrow(message);
  });

  test('the tar of another program', async () => {
    await withFolder(app, async (folder, archive) => {
      await create({ gzip: true, file: archive, cwd: folder, portable: true }, ['.']);
      await expect(open(await readFile(archive))).rejects.toThrow('is not a release');
    });
  });

  test.each([0.1, 0.5, 0.9])('one that was cut after %p of its bytes', async (part) => {
    const bytes = gzipSync(await goodTar);
    await expect(open(bytes.subarray(0, bytes.length * part))).rejects.toThrow('it cannot be unpacked');
  });

  test('one whose tar was cut', async () => {
    const tar = await goodTar;
    await expect(open(gzipSync(tar.subarray(0, tar.length - 1024)))).rejects.toThrow(notOurs);
    await expect(open(gzipSync(tar.subarray(0, 512 + 512 + 100)))).rejects.toThrow(
      'it ends in the middle of a file',
    );
  });

  test('one with something behind its end', async () => {
    await expect(open(gzipSync(Buffer.concat([await goodTar, Buffer.alloc(512)])))).rejects.toThrow(
      'follows its end',
    );
    await expect(open(Buffer.concat([gzipSync(await goodTar), gzipSync(Buffer.from('x'))]))).rejects.toThrow(
      'follows its end',
    );
  });

  const entries: [string, Parameters<typeof tarWith>, string][] = [
    ['a path that goes up', [{ path: '../x' }], '"../x": is not a path inside the release'],
    ['an absolute path', [{ path: '/etc/cron.d/x' }], '"/etc/cron.d/x": is not a path inside the release'],
    ['a path through its own folder', [{ path: './x' }], '"./x": is not a path inside the release'],
    ['a link that leads out', [{ path: '!', kind: 'link', target: '/etc' }], '"!": is a link that leads out'],
    [
      'a link to itself',
      [{ path: '!', kind: 'link', target: '!' }],
      '"!": is a link that leads back to itself',
    ],
    [
      'a link into itself',
      [{ path: '!', kind: 'link', target: '!/x' }],
      'is a link that leads back to itself',
    ],
    [
      'two links into each other',
      [
        { path: '!1', kind: 'link', target: '!2/x' },
        { path: '!2', kind: 'link', target: '!1/x' },
      ],
      '"!1": is a link that leads back to itself',
    ],
    [
      'a file that is written through a link',
      [{ path: '!', kind: 'link', target: 'b' }, { path: '!/x' }],
      'stands in a folder that the release does not hold',
    ],
    ['a file without its folder', [{ path: '!/x' }], 'stands in a folder that the release does not hold'],
    ['one path twice', [{ path: '!' }, { path: '!' }], 'stands twice in the release, or out of order'],
    ['a file where a folder is', [{ path: '!/', kind: 'folder' }, { path: '!' }], 'out of order'],
    ['entries out of order', [{ path: 'z' }], 'out of order'],
    ['names that fall together', [{ path: '!A' }, { path: '!a' }], 'are one name'],
    ['6 GB in a few bytes', [{ path: '!', size: 6_000_000_000 }], 'is larger than 5 GB'],
  ];
  test.each(entries)('%s', async (_, added, message) => {
    await expect(open(gzipSync(await tarWith(...added)))).rejects.toThrow(message);
  });

  test.each([
    ['setuid', (block: Buffer) => block.write('0004755', 100)],
    ['an owner', (block: Buffer) => block.write('0001750', 108)],
    ['a hard link', (block: Buffer) => block.write('1', 156)],
    ['a device', (block: Buffer) => block.write('3', 156)],
    ['a pipe', (block: Buffer) => block.write('6', 156)],
    ['the long names of GNU tar', (block: Buffer) => block.write('L', 156)],
    ['a global header', (block: Buffer) => block.write('g', 156)],
    ['an unknown type', (block: Buffer) => block.write('Z', 156)],
    ['a user name', (block: Buffer) => block.write('root', 265)],
    ['something behind its name', (block: Buffer) => block.write('x', 50)],
    ['a size in another notation', (block: Buffer) => block.write('00000000000 ', 124)],
  ])('a header with %s', async (_, spoil) => {
    const header = encodeHeader({ path: '!', kind: 'file', executable: true, size: 0, target: '' }, time);
    spoil(header);
    withChecksum(header);
    await expect(open(gzipSync(Buffer.concat([header, await goodTar])))).rejects.toThrow(notOurs);
  });

  test('a header whose checksum is wrong', async () => {
    const tar = Buffer.from(await goodTar);
    tar.write('7777777', 148);
    await expect(open(gzipSync(tar))).rejects.toThrow(notOurs);
  });

  test('one whose times differ', async () => {
    const header = encodeHeader(
      { path: '!', kind: 'file', executable: false, size: 0, target: '' },
      time + 1,
    );
    await expect(open(gzipSync(Buffer.concat([header, await goodTar])))).rejects.toThrow(
      'has a time of its own',
    );
  });

  test('one that tells the host something else than its configuration', async () => {
    const tar = Buffer.from(await goodTar);
    tar.write('9090', tar.indexOf('"listen": 8080') + '"listen": '.length);
    await expect(open(gzipSync(tar))).rejects.toThrow('release.json does not say what understudy.yml says');
  });

  test('one without its description', async () => {
    const files = { ...app, '.understudy/release.jsom': '{}' };
    const tar = await withFolder(files, async (folder, archive) => {
      await packRelease(folder, archive, source);
      return gunzipSync(await readFile(archive));
    });
    const at = tar.indexOf('.understudy/release.json\0');
    const size = 512 + Math.ceil(Number.parseInt(tar.toString('latin1', at + 124, at + 135), 8) / 512) * 512;
    const less = Buffer.concat([tar.subarray(0, at), tar.subarray(at + size)]);
    await expect(open(gzipSync(less))).rejects.toThrow('release.json is missing, or no JSON');
  });
});

test('bytes that were changed anywhere are refused in words, or are the same release', async () => {
  const tar = await goodTar;
  const change = fc.tuple(fc.nat(tar.length - 1), fc.integer({ min: 0, max: 255 }));
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 5 }), async (changes) => {
      const changed = Buffer.from(tar);
      for (const [at, byte] of changes) {
        changed[at] = byte;
      }
      const result = await open(gzipSync(changed, { level: 1 })).catch((error: unknown) => error);
      // What may differ without a word is the content of the app's own files, and that is what the digest is for.
      const onlyContent = changes.every(([at, byte]) => tar[at] === byte || isContent(tar, at));
      return onlyContent || result instanceof ConfigurationError;
    }),
    { numRuns: 150 },
  );
}, 60_000);

describe('an archive of any entries', () => {
  const legal = fc.constantFrom('a', 'b', 'c', 'd', '-rf', "it's", '$(x)', '\n', 'a\u0308');
  const nasty = fc.constantFrom('..', '.', '', 'A', '\u00e4', '!');
  const segment = fc.oneof({ weight: 12, arbitrary: legal }, { weight: 1, arbitrary: nasty });
  const path = fc.oneof(
    { weight: 4, arbitrary: segment.map((name) => `!/${name}`) },
    { weight: 1, arbitrary: fc.tuple(segment, segment).map((names) => `!/${names.join('/')}`) },
  );
  const target = fc
    .array(fc.constantFrom('..', '.', 'a', 'b', '!', ''), { minLength: 1, maxLength: 3 })
    .map((names) => names.join('/'));
  const entry = fc.oneof(
    path
      .map((path) => ({ path, kind: 'folder' as const }))
      .map(({ path, kind }) => ({ path: `${path}/`, kind })),
    path.map((path) => ({ path, content: 'x' })),
    fc.record({ path, kind: fc.constant('link' as const), target }),
  );
  const entries = fc
    .array(entry, { maxLength: 6 })
    .map((list) => [
      { path: '!/', kind: 'folder' as const },
      ...list.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
    ]);

  test('is refused in words, or unpacked by tar without leaving its folder', async () => {
    let [taken, links] = [0, 0];
    await fc.assert(
      fc.asyncProperty(entries, async (list) => {
        const bytes = gzipSync(await tarWith(...list), { level: 1 });
        const refused = await open(bytes).then(
          () => undefined,
          (error: unknown) => error,
        );
        if (refused) return refused instanceof ConfigurationError;
        taken += 1;
        links += list.filter((one) => 'target' in one).length;
        return withFolder({}, (folder, archive) => staysWithin(folder, archive, bytes));
      }),
      { numRuns: 120, endOnFailure: true },
    );
    // Else it would have shown nothing.
    expect(taken).toBeGreaterThan(10);
    expect(links).toBeGreaterThan(3);
  }, 60_000);
});

/** Unpacks as the host does, and follows each link as the kernel does. */
async function staysWithin(folder: string, archive: string, bytes: Buffer): Promise<boolean> {
  await writeFile(archive, bytes);
  const shell = promisify(execFile);
  await shell('tar', ['--extract', '--gzip', '--file', archive, '--directory', folder]);
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  const ends = found
    .filter((each) => each.isSymbolicLink())
    .map(async ({ parentPath, name }) => {
      const words = ['--canonicalize-missing', join(parentPath, name)];
      return (await shell('timeout', ['5', 'realpath', ...words])).stdout;
    });
  return (await Promise.all(ends)).every((end) => `${end.slice(0, -1)}/`.startsWith(`${folder}/`));
}

/** Whether an offset lies in what any value would do for: the content of the app's files, the digits of the commit. */
function isContent(tar: Buffer, at: number): boolean {
  const texts = ['print("hello")\n', '#!/bin/sh\nexec gunicorn app:app\n', config, source.commit];
  return texts.some((text) => {
    const start = tar.indexOf(text);
    return at >= start && at < start + Buffer.byteLength(text);
  });
}

function withChecksum(header: Buffer): void {
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')} \0`, 148);
}
