import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export const commit = '0123456789abcdef0123456789abcdef01234567';
export const source = { commit, committed: new Date('2026-11-23T00:00:00Z') };

export const config = `app: isso
region: us-east-2
environments:
  staging: {bucket: isso-understudy}
service: {listen: 8080}
checks:
  - {path: /info, type: application/json}
`;

/** A file of a release: its text, or what is special about it. */
export type Content = string | { text: string; mode: number } | { link: string } | { folder: true };

export const program = { text: '#!/bin/sh\nexec gunicorn app:app\n', mode: 0o755 };

/** The least that a release can be. */
export const app: Readonly<Record<string, Content>> = {
  'understudy.yml': config,
  '.understudy/run': program,
  'app.py': 'print("hello")\n',
};

/** Runs `use` with a folder that holds these files, and a path beside it for an archive. */
export async function withFolder<Result>(
  files: Readonly<Record<string, Content>>,
  use: (folder: string, archive: string) => Promise<Result>,
): Promise<Result> {
  const work = await mkdtemp(join(tmpdir(), 'understudy-release-'));
  try {
    const folder = join(work, 'app');
    await mkdir(folder);
    for (const [path, content] of Object.entries(files)) {
      await place(join(folder, path), content);
    }
    return await use(folder, join(work, 'release.tar.gz'));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function place(file: string, content: Content): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  if (typeof content === 'object' && 'folder' in content) {
    await mkdir(file, { recursive: true });
  } else if (typeof content === 'string') {
    await writeFile(file, content);
  } else if ('link' in content) {
    await symlink(content.link, file);
  } else {
    await writeFile(file, content.text);
    await chmod(file, content.mode);
  }
}
