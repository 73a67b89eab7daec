import { execFile } from 'node:child_process';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Cloud } from '../cloud/cloud.ts';

const EXAMPLES = join(import.meta.dirname, '../../examples');
const EXAMPLE_ACCOUNT = '111122223333';
const git = promisify(execFile);

/** A user's repository, made of one of the examples: a real git repository, kept among the cloud's own files. */
export class CallerRepository {
  readonly app: string;
  readonly folder: string;

  private constructor(app: string, folder: string) {
    this.app = app;
    this.folder = folder;
  }

  /** Copies `examples/<app>`, puts the local cloud's account into it, and commits it to `main`. */
  static async fromExample(app: string, cloud: Cloud): Promise<CallerRepository> {
    const folder = join(cloud.state, 'repositories', app);
    await cp(join(EXAMPLES, app), folder, { recursive: true });
    const repository = new CallerRepository(app, folder);
    await repository.edit('understudy.yml', (text) => text.replaceAll(EXAMPLE_ACCOUNT, cloud.account));
    await repository.git('init', '--quiet', '--initial-branch=main');
    await repository.commit(`${app} as it is`);
    return repository;
  }

  get name(): string {
    return `acme/${this.app}`;
  }

  async edit(file: string, change: (text: string) => string): Promise<void> {
    const path = join(this.folder, file);
    const before = await readFile(path, 'utf8');
    const after = change(before);
    if (after === before)
      throw new Error(`${file} of ${this.name} has nothing of what the scene wants to change`);
    await writeFile(path, after);
  }

  async commit(message: string): Promise<void> {
    await this.git('add', '--all');
    await this.git(
      ...['-c', 'user.name=Ada', '-c', 'user.email=ada@example.com', '-c', 'commit.gpgsign=false'],
      ...['commit', '--quiet', '--message', message],
    );
  }

  async apply(patch: string): Promise<void> {
    await this.git('apply', join(EXAMPLES, this.app, patch));
  }

  private async git(...args: string[]): Promise<void> {
    await git('git', ['-C', this.folder, ...args]);
  }
}
