import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { callerRepository, commitAll, git } from '../cloud/caller.ts';
import type { Cloud } from '../cloud/cloud.ts';
import { repositoryFolder } from '../ground/places.ts';

/** A user's repository, made of one of the examples: a real git repository, kept among the cloud's own files. */
export class CallerRepository {
  readonly app: string;
  readonly folder: string;
  readonly #example: string;

  private constructor(app: string, example: string, folder: string) {
    this.app = app;
    this.#example = example;
    this.folder = folder;
  }

  /** Copies `examples/<app>`, puts the local cloud's account into it, and commits it to `main`. */
  static async fromExample(app: string, cloud: Cloud): Promise<CallerRepository> {
    const example = join(repositoryFolder, 'examples', app);
    return new CallerRepository(app, example, await callerRepository(cloud, app, example));
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
    await commitAll(this.folder, message);
  }

  /** Applies a patch of the example, or takes it back. */
  async apply(patch: string, { reverse = false } = {}): Promise<void> {
    await git(this.folder, 'apply', ...(reverse ? ['--reverse'] : []), join(this.#example, patch));
  }
}
