import { globSync } from 'node:fs';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { commitAll, copyRepository, git } from '../cloud/caller.ts';
import type { Cloud } from '../cloud/cloud.ts';

/** A user's repository as a scene plays with it: a copy, and a real git repository, kept among the cloud's own files. */
export class CallerRepository {
  readonly app: string;
  readonly folder: string;
  readonly #source: string;

  private constructor(app: string, source: string, folder: string) {
    this.app = app;
    this.#source = source;
    this.folder = folder;
  }

  /** Copies a folder, puts the local cloud's account and the app's name into it, and commits it to `main`. */
  static async copyOf(source: string, app: string, cloud: Cloud, named = app): Promise<CallerRepository> {
    const repository = new CallerRepository(app, source, await copyRepository(cloud, app, source));
    if (named !== app) {
      const workflows = globSync('.github/workflows/*.yml', { cwd: repository.folder });
      for (const file of ['understudy.yml', ...workflows]) {
        await repository.edit(file, (text) => text.replaceAll(named, app));
      }
      await repository.commit(`Call it ${app}`);
    }
    return repository;
  }

  get name(): string {
    return `acme/${this.app}`;
  }

  read(file: string): Promise<string> {
    return readFile(join(this.folder, file), 'utf8');
  }

  async edit(file: string, change: (text: string) => string): Promise<void> {
    const before = await this.read(file);
    const after = change(before);
    if (after === before)
      throw new Error(`${file} of ${this.name} has nothing of what the scene wants to change`);
    await this.write(file, after);
  }

  /** Writes a file; one that begins with `#!` may be run. */
  async write(file: string, text: string): Promise<void> {
    const path = join(this.folder, file);
    await writeFile(path, text);
    await chmod(path, text.startsWith('#!') ? 0o755 : 0o644);
  }

  async commit(message: string): Promise<void> {
    await commitAll(this.folder, message);
  }

  /** Applies a patch of the example, or takes it back. */
  async apply(patch: string, { reverse = false } = {}): Promise<void> {
    await git(this.folder, 'apply', ...(reverse ? ['--reverse'] : []), join(this.#source, patch));
  }
}
