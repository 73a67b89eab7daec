import { createHash } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

// Plays actions/upload-artifact: as there, hidden files stay behind, modes are lost, and a name is taken once.
function input(name: string): string {
  return (process.env[`INPUT_${name.toUpperCase()}`] ?? '').trim();
}

function refuse(sentence: string): never {
  console.log(`::error title=upload-artifact::${sentence}`);
  process.exit(1);
}

function filesOf(path: string): string[] {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  return globSync('**/*', { cwd: path })
    .map((name) => join(path, name))
    .filter((file) => statSync(file).isFile());
}

const paths = input('path')
  .split('\n')
  .map((line) => line.trim())
  .filter(Boolean);
if (paths.some((path) => /[*?!]/.test(path))) refuse('the stand-in takes plain paths, no patterns');
const [first = ''] = paths;
// One folder is the artifact's root itself; else the files lie in it by name.
const root = paths.length === 1 && existsSync(first) && statSync(first).isDirectory() ? first : undefined;
const files = paths
  .flatMap(filesOf)
  .filter((file) => !/(^|\/)\./.test(relative(root ?? dirname(file), file)));
if (files.length === 0) {
  const sentence = `No files were found with the provided path: ${paths.join(', ')}.`;
  if (input('if-no-files-found') === 'error') refuse(sentence);
  console.log(`::warning title=upload-artifact::${sentence}`);
  process.exit(0);
}

const store = fileURLToPath(process.env['ACTIONS_RESULTS_URL'] ?? '');
const target = join(store, encodeURIComponent(input('name')));
if (existsSync(target)) refuse(`an artifact named ${input('name')} exists already in this run`);
const digest = createHash('sha256');
for (const file of files.toSorted()) {
  const name = root === undefined ? basename(file) : relative(root, file);
  mkdirSync(dirname(join(target, name)), { recursive: true });
  copyFileSync(file, join(target, name));
  chmodSync(join(target, name), 0o644);
  digest.update(`${name}\0`).update(readFileSync(file));
}
const outputs = `artifact-id=1\nartifact-url=${target}\nartifact-digest=${digest.digest('hex')}\n`;
appendFileSync(process.env['GITHUB_OUTPUT'] ?? '', outputs);
console.log(`Kept ${files.length} file(s) as ${input('name')}`);
