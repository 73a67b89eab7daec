import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const EXAMPLES = join(import.meta.dirname, '../../examples');
const EXAMPLE_ACCOUNT = '111122223333';
const git = promisify(execFile);

/** A user's repository, made of one of the examples: a real git repository in a folder of its own. */
export class CallerRepository {
  readonly app: string;
  readonly folder: string;

  private constructor(app: string, folder: string) {
    this.app = app;
    this.folder = folder;
  }

  /** Copies `examples/<app>`, puts the local cloud's account into it, and commits it to `main`. */
  static async fromExample(app: string, account: string): Promise<CallerRepository> {
    const folder = await mkdtemp(join(tmpdir(), `understudy-${app}-`));
    await cp(join(EXAMPLES, app), folder, { recursive: true });
    const repository = new CallerRepository(app, folder);
    await repository.edit('understudy.yml', (text) => text.replaceAll(EXAMPLE_ACCOUNT, account));
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

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  private async git(...args: string[]): Promise<void> {
    await git('git', ['-C', this.folder, ...args]);
  }
}
