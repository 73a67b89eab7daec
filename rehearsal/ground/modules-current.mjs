// Exits 0 when node_modules holds what package-lock.json says. Plain JavaScript: it runs before anything is installed.
//
//     node modules-current.mjs REPOSITORY
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const repository = process.argv[2];

function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(join(repository, file), 'utf8')).packages;
  } catch {
    return {};
  }
}

const wanted = packagesOf('package-lock.json');
// npm writes this one last, so an install that was cut short does not count.
const installed = packagesOf('node_modules/.package-lock.json');
const missing = Object.entries(wanted).filter(
  ([path, { version, optional }]) => path !== '' && !optional && installed[path]?.version !== version,
);
process.exit(missing.length === 0 ? 0 : 1);
