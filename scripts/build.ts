/**
 * Builds dist/ from actions/: `npm run build`. Each folder with a main.ts becomes dist/<name>/, what GitHub runs.
 *
 * rolldown shakes the AWS SDK down and minifies; `ncc build` then seals the result. The entry that is made here loads
 * main.ts only after the run wrapper has spoken: 48 ms to the first line where one eager file took 118 (bare Node: 21),
 * and credential providers that a job never uses are never loaded. Equal sources give equal bytes.
 */
import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { promisify } from 'node:util';
import { type Plugin, rolldown } from 'rolldown';
import { licenceTexts } from './licences.ts';

const root = resolve(import.meta.dirname, '..');
const ncc = join(root, 'node_modules/@vercel/ncc/dist/ncc/cli.js');

export interface BuiltAction {
  readonly name: string;
  /** All files of dist/<name>/ together. */
  readonly bytes: number;
}

/** Every folder of actions/ that has a main.ts, by name. */
export function findActions(): string[] {
  const folders = readdirSync(join(root, 'actions'));
  return folders.filter((name) => existsSync(join(root, 'actions', name, 'main.ts'))).sort();
}

/** Builds every action into a folder that is made anew. */
export async function build(into: string): Promise<BuiltAction[]> {
  // ncc derives module ids from the way between its loaders and its working directory: it must be alike everywhere.
  const works = join(root, '.understudy-build');
  mkdirSync(works, { recursive: true });
  const work = mkdtempSync(join(works, 'work-'));
  try {
    const modules = new Set<string>();
    for (const name of findActions()) {
      const bundle = join(work, 'bundles', name);
      for (const module of await shake(name, bundle)) modules.add(module);
      await seal(bundle, join(work, 'dist', name));
    }
    writeFileSync(join(work, 'dist/package.json'), '{"type":"module"}\n');
    writeFileSync(join(work, 'dist/licenses.txt'), licenceTexts(modules));
    rmSync(into, { recursive: true, force: true });
    cpSync(join(work, 'dist'), into, { recursive: true });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return findActions().map((name) => ({ name, bytes: folderBytes(join(into, name)) }));
}

/** Bundles one action; gives the files that are really in it. */
async function shake(name: string, into: string): Promise<string[]> {
  const bundle = await rolldown({
    cwd: root,
    input: { index: 'entry' },
    platform: 'node',
    resolve: { mainFields: ['module', 'main'] },
    plugins: [entryOf(name), lessUndici, embedded],
    onLog: (level, log) => {
      if (level === 'warn') throw new Error(`${name}: ${log.message}`);
    },
  });
  const { output } = await bundle.write({
    dir: into,
    format: 'esm',
    minify: true,
    chunkFileNames: '[name].js',
  });
  await bundle.close();
  writeFileSync(join(into, 'package.json'), '{"type":"module"}');
  const chunks = output.filter((file) => file.type === 'chunk');
  return chunks.flatMap(({ modules }) =>
    Object.keys(modules).filter((id) => modules[id]?.renderedLength !== 0),
  );
}

/** The entry: main and post, told apart by the run wrapper, are both in main.ts. */
function entryOf(name: string): Plugin {
  const main = join(root, 'actions', name, 'main.ts');
  const wrapper = join(root, 'src/action/run.ts');
  const code = `import { run } from ${JSON.stringify(wrapper)};
    const part = (name) => async (signal) => (await import(${JSON.stringify(main)}))[name]?.(signal);
    await run(part('main'), part('post'));`;
  return {
    name: 'entry',
    resolveId: (id) => (id === 'entry' ? '\0entry' : null),
    load: (id) => (id === '\0entry' ? code : null),
  };
}

/** What src/drill/script.ts makes of host/, which the bundle does not have: its text, in its place. */
const embedded: Plugin = {
  name: 'embedded',
  load: async (id) => {
    if (id !== join(root, 'src/drill/script.ts')) return null;
    const { verifyScript } = (await import(id)) as { verifyScript: string };
    return `export const verifyScript = ${JSON.stringify(verifyScript)};`;
  },
};

/**
 * undici's index loads all of it: caches, mocks, web sockets, which cannot be shaken off. The Actions toolkit uses two
 * of its names, and what the index adds to every dispatcher; a third name would fail the build.
 */
const lessUndici: Plugin = {
  name: 'less-undici',
  resolveId: (id) => (id === 'undici' ? '\0undici' : null),
  load: (id) =>
    id === '\0undici'
      ? `import api from 'undici/lib/api/index.js';
         import Dispatcher from 'undici/lib/dispatcher/dispatcher.js';
         Object.assign(Dispatcher.prototype, api);
         export { default as ProxyAgent } from 'undici/lib/dispatcher/proxy-agent.js';
         export { fetch } from 'undici/lib/web/fetch/index.js';`
      : null,
};

async function seal(bundle: string, into: string): Promise<void> {
  const options = ['--out', into, '--target', 'es2024', '--no-cache', '--quiet'];
  // ncc passes undefined to fs.existsSync, which Node 24 deprecates aloud.
  const command = ['--no-deprecation', ncc, 'build', 'index.js', ...options];
  await promisify(execFile)(process.execPath, command, { cwd: bundle });
  // dist/package.json says "module" for every action.
  rmSync(join(into, 'package.json'), { force: true });
}

function folderBytes(folder: string): number {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return files.reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
}

/** What differs between two folders, as sentences; untracked and missing files count. */
export function differences(fresh: string, committed: string): string[] {
  const filesOf = (folder: string): string[] => {
    if (!existsSync(folder)) return [];
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => !entry.isDirectory());
    return files.map((file) => relative(folder, join(file.parentPath, file.name)).split(sep).join('/'));
  };
  const [wanted, found] = [new Set(filesOf(fresh)), new Set(filesOf(committed))];
  const sentences = [...wanted].filter((file) => !found.has(file)).map((file) => `${file} is missing`);
  for (const file of found) {
    if (!wanted.has(file)) sentences.push(`${file} is made by no action`);
    else if (!readFileSync(join(fresh, file)).equals(readFileSync(join(committed, file)))) {
      sentences.push(`${file} is not what a fresh build gives`);
    }
  }
  return sentences.sort();
}

if (import.meta.main) {
  for (const { name, bytes } of await build(join(root, 'dist'))) {
    console.log(`dist/${name}  ${(bytes / 1e6).toFixed(2)} MB`);
  }
}
