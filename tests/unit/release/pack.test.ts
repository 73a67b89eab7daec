import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmod, link, lstat, mkdir, readdir, readFile, truncate, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { packRelease } from '../../../src/release/pack.ts';
import { app, type Content, program, source, withFolder } from './folder.ts';

const gnuTar = (...args: string[]) =>
  execFileSync('tar', args, { encoding: 'utf8', env: { ...process.env, TZ: 'UTC' } });

/** Packs these files, and gives what `look` sees of the archive. */
async function packed<Seen>(
  files: Readonly<Record<string, Content>>,
  look: (archive: string, folder: string) => Promise<Seen> | Seen,
): Promise<Seen> {
  return withFolder(files, async (folder, archive) => {
    await packRelease(folder, archive, source);
    return look(archive, folder);
  });
}

describe('packing', () => {
  test('gives the same bytes for the same files, whenever and wherever they were written', async () => {
    const files = { ...app, 'b/2': '2', 'b/1': '1', 'B.txt': 'x' };
    const first = await packed(files, (archive) => readFile(archive));
    const backwards = Object.fromEntries(Object.entries(files).reverse());
    const second = await withFolder(backwards, async (folder, archive) => {
      await utimes(join(folder, 'app.py'), 1, 1);
      await chmod(join(folder, 'app.py'), 0o600);
      await chmod(join(folder, 'b'), 0o700);
      await chmod(join(folder, '.understudy/run'), 0o711);
      await packRelease(folder, archive, source);
      return readFile(archive);
    });
    expect(second.equals(first)).toBe(true);
  });

  test('names the release by the SHA-256 of the archive, and tells its size and files', async () => {
    await withFolder(app, async (folder, archive) => {
      const release = await packRelease(folder, archive, source);
      const bytes = await readFile(archive);
      expect(release).toEqual({
        id: createHash('sha256').update(bytes).digest('hex'),
        size: bytes.length,
        files: 4,
      });
    });
  });

  test('another time or another byte is another release', async () => {
    const id = (files: Readonly<Record<string, Content>>, committed: Date) =>
      withFolder(
        files,
        async (folder, archive) => (await packRelease(folder, archive, { ...source, committed })).id,
      );
    const ids = [
      await id(app, source.committed),
      await id(app, new Date('2026-11-23T00:00:01Z')),
      await id({ ...app, 'app.py': 'print("hallo")\n' }, source.committed),
      await id({ ...app, 'app.py': { text: 'print("hello")\n', mode: 0o755 } }, source.committed),
    ];
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('writes what GNU tar lists: sorted, owner 0, modes 644 and 755, the time of the commit', async () => {
    const files = { ...app, uploads: { folder: true }, latest: { link: 'b/1' }, 'b/1': '1' } as const;
    const listed = await packed(files, (archive) => gnuTar('--numeric-owner', '-tvzf', archive));
    const lines = listed
      .trim()
      .split('\n')
      .map((line) => line.replace(/ +/g, ' '));
    expect(lines).toEqual([
      'drwxr-xr-x 0/0 0 2026-11-23 00:00 .understudy/',
      expect.stringMatching(/^-rw-r--r-- 0\/0 \d+ 2026-11-23 00:00 \.understudy\/release\.json$/),
      '-rwxr-xr-x 0/0 32 2026-11-23 00:00 .understudy/run',
      '-rw-r--r-- 0/0 15 2026-11-23 00:00 app.py',
      'drwxr-xr-x 0/0 0 2026-11-23 00:00 b/',
      '-rw-r--r-- 0/0 1 2026-11-23 00:00 b/1',
      'lrwxrwxrwx 0/0 0 2026-11-23 00:00 latest -> b/1',
      expect.stringMatching(/understudy\.yml$/),
      'drwxr-xr-x 0/0 0 2026-11-23 00:00 uploads/',
    ]);
  });

  test('says nothing in the header of gzip that could differ: no name, no time', async () => {
    const head = await packed(app, async (archive) => (await readFile(archive)).subarray(0, 10));
    expect([...head.subarray(0, 8)]).toEqual([0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
  });

  test('keeps every legal name, and contents over many blocks', async () => {
    const long = `${'ordner-für-lange-namen/'.repeat(9)}${'ü'.repeat(120)}.txt`;
    const names = [
      'quote\'s "q".txt',
      'a b',
      'new\nline',
      '-rf',
      'ä€😀',
      '$(id)',
      'a*?[x]',
      'back\\slash',
      long,
      `${'n'.repeat(120)}\nx`,
    ];
    const files = Object.fromEntries(names.map((name) => [name, `content of ${name}`]));
    const big = 'x'.repeat(3 * 1024 * 1024 + 7);
    await packed({ ...app, ...files, 'big.bin': big, empty: '' }, async (archive, folder) => {
      const out = join(dirname(folder), 'out');
      await mkdir(out);
      gnuTar('-xzf', archive, '-C', out);
      for (const [name, text] of Object.entries({ ...files, 'big.bin': big, empty: '' })) {
        expect(await readFile(join(out, name), 'utf8')).toBe(text);
      }
      expect((await lstat(join(out, '.understudy/run'))).mode & 0o777).toBe(0o755);
      expect((await readdir(out)).sort()).toEqual((await readdir(folder)).sort());
    });
  });

  test('leaves out .git, wherever it is, and nothing else', async () => {
    const files = {
      ...app,
      '.git/HEAD': 'ref',
      'lib/.git': 'gitdir',
      '.gitignore': 'x',
      '.github/workflows/a.yml': 'on: push',
    };
    const listed = await packed(files, (archive) => gnuTar('-tzf', archive));
    expect(listed).not.toMatch(/\.git(\/|\n)/);
    expect(listed.split('\n')).toEqual(
      expect.arrayContaining(['.gitignore', '.github/workflows/a.yml', 'lib/']),
    );
  });

  test('keeps links that stay inside, and packs hard links as files', async () => {
    const files = {
      ...app,
      'lib/a.so.1': 'so',
      'lib/a.so': { link: 'a.so.1' },
      'bin/a': { link: '../lib/a.so' },
      all: { link: '.' },
    } as const;
    await withFolder(files, async (folder, archive) => {
      await link(join(folder, 'lib/a.so.1'), join(folder, 'hard'));
      await packRelease(folder, archive, source);
      const listed = gnuTar('-tvzf', archive);
      expect(listed).toContain('bin/a -> ../lib/a.so');
      expect(listed).toMatch(/^-rw-r--r--.* hard$/m);
    });
  });

  test('tells the host what it must know, as JSON, and nothing of the run', async () => {
    const text = await packed(app, (archive) => gnuTar('-xOzf', archive, '.understudy/release.json'));
    expect(JSON.parse(text)).toEqual({
      schema: 1,
      app: 'isso',
      commit: source.commit,
      committed: '2026-11-23T00:00:00Z',
      service: { listen: 8080, user: 'isso', switch: 'pause', notify: true, start_timeout_ms: 60_000 },
      workers: [],
      checks: [{ path: '/info', status: 200, type: 'application/json', timeout_ms: 5_000 }],
      data: { databases: [], include: [], exclude: [], newest: {}, busy_timeout_ms: 5_000 },
      backup: { local_ms: 604_800_000 },
      keep: 5,
    });
  });

  test('leaves no half archive, and keeps the old one, when it fails', async () => {
    await withFolder({ ...app, dead: { link: '/etc/passwd' } }, async (folder, archive) => {
      await writeFile(archive, 'old');
      await expect(packRelease(folder, archive, source)).rejects.toThrow('leads out');
      expect(await readFile(archive, 'utf8')).toBe('old');
      expect((await readdir(dirname(archive))).sort()).toEqual(['app', 'release.tar.gz']);
    });
  });

  test('ends with two empty blocks', async () => {
    const tar = gunzipSync(await packed(app, (archive) => readFile(archive)));
    expect(tar.length % 512).toBe(0);
    expect(tar.subarray(-1024).every((byte) => byte === 0)).toBe(true);
  });
});

describe('what cannot be a release', () => {
  const without = (path: string) => Object.fromEntries(Object.entries(app).filter(([key]) => key !== path));
  const cases: [string, Readonly<Record<string, Content>>, string][] = [
    ['an empty folder', { empty: { folder: true } }, 'holds no file'],
    ['no understudy.yml', without('understudy.yml'), '"understudy.yml": is missing'],
    ['a wrong understudy.yml', { ...app, 'understudy.yml': 'app: 1' }, 'understudy.yml:1:6: app is 1.'],
    ['no .understudy/run', without('.understudy/run'), '".understudy/run": is missing'],
    [
      'a run that cannot be executed',
      { ...app, '.understudy/run': 'x' },
      '".understudy/run": is not executable. git update-index --chmod=+x',
    ],
    [
      'a run that is a link',
      { ...app, '.understudy/run': { link: '../app.py' } },
      '".understudy/run": is missing',
    ],
    [
      'a hook misspelt',
      { ...app, '.understudy/hooks/migrat': program },
      '".understudy/hooks/migrat": is no hook',
    ],
    [
      'a hook that cannot be executed',
      { ...app, '.understudy/hooks/migrate': 'x' },
      'migrate": is not executable',
    ],
    [
      'a worker that is missing',
      { ...app, 'understudy.yml': `${app['understudy.yml']}workers: [scheduler]\n` },
      '".understudy/workers/scheduler": is missing',
    ],
    ['a description of its own', { ...app, '.understudy/release.json': '{}' }, 'is in the folder already'],
    ['an absolute link', { ...app, passwd: { link: '/etc/passwd' } }, '"passwd": is a link that leads out'],
    ['a link up and out', { ...app, 'a/b': { link: '../../x' } }, '"a/b": is a link that leads out'],
    ['a link out by its folder', { ...app, up: { link: '..' } }, '"up": is a link that leads out'],
    [
      'a link that climbs through another',
      { ...app, here: { link: '.' }, out: { link: 'here/../x' } },
      '"out": is a link that leads out',
    ],
    ['a link into itself', { ...app, round: { link: 'round/x' } }, '"round": is a link that leads back to'],
    ['a setuid file', { ...app, su: { text: 'x', mode: 0o4755 } }, '"su": has the setuid or setgid bit'],
    ['a setgid file', { ...app, sg: { text: 'x', mode: 0o2755 } }, '"sg": has the setuid or setgid bit'],
    [
      'two names that differ by case',
      { ...app, 'a.txt': '1', 'A.txt': '2' },
      'are one name where case does not count',
    ],
    [
      'two names that differ by composition',
      { ...app, 'a\u0308': '1', '\u00e4': '2' },
      'are one name where case does not count',
    ],
  ];

  test.each(cases)('%s', async (_, files, message) => {
    await withFolder(files, async (folder, archive) => {
      await expect(packRelease(folder, archive, source)).rejects.toThrow(message);
      await expect(lstat(archive)).rejects.toThrow('ENOENT');
    });
  });

  test('a socket', async () => {
    await withFolder(app, async (folder, archive) => {
      const server = createServer().listen(join(folder, 'socket'));
      await once(server, 'listening');
      await expect(packRelease(folder, archive, source)).rejects.toThrow(
        '"socket": is a device, a socket or a pipe',
      );
      server.close();
    });
  });

  test('a name that is not UTF-8', async () => {
    await withFolder(app, async (folder, archive) => {
      await writeFile(Buffer.concat([Buffer.from(`${folder}/x`), Buffer.from([0xff])]), '');
      await expect(packRelease(folder, archive, source)).rejects.toThrow('UTF-8');
    });
  });

  test('more than 5 GB, before a byte is read', async () => {
    await withFolder(app, async (folder, archive) => {
      await writeFile(join(folder, 'huge'), '');
      await truncate(join(folder, 'huge'), 5_000_000_001);
      await expect(packRelease(folder, archive, source)).rejects.toThrow('is larger than 5 GB');
    });
  });

  test('an archive inside of what it packs', async () => {
    await withFolder(app, async (folder) => {
      const archive = join(folder, 'release.tar.gz');
      await expect(packRelease(folder, archive, source)).rejects.toThrow('lies in the folder that is packed');
    });
  });

  test('a folder that is not there', async () => {
    await withFolder(app, async (folder, archive) => {
      await expect(packRelease(`${folder}-missing`, archive, source)).rejects.toThrow('is not there');
    });
  });
});
