import { appendFileSync, cpSync, existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

// Plays actions/download-artifact for one artifact of the same run.
const name = (process.env['INPUT_NAME'] ?? '').trim();
const target = resolve((process.env['INPUT_PATH'] ?? '.').trim());
const source = join(fileURLToPath(process.env['ACTIONS_RESULTS_URL'] ?? ''), encodeURIComponent(name));
if (name === '' || !existsSync(source)) {
  console.log(`::error title=download-artifact::Artifact not found for name: ${name}`);
  process.exit(1);
}
mkdirSync(target, { recursive: true });
cpSync(source, target, { recursive: true });
appendFileSync(process.env['GITHUB_OUTPUT'] ?? '', `download-path=${target}\n`);
console.log(`Downloaded ${name} to ${target}`);
