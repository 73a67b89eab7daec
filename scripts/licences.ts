import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Licence {
  /** Name, version and SPDX expression. */
  readonly title: string;
  readonly text: string;
}

/** The folder of the package that a file belongs to, or undefined for our own files and virtual ones. */
function packageFolder(file: string): string | undefined {
  return /^(?<folder>.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.groups?.['folder'];
}

function readLicence(folder: string): Licence {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<string, unknown>;
  const title = `${String(manifest['name'])} ${String(manifest['version'])} (${String(manifest['license'])})`;
  const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file));
  const texts = files.sort().map((file) => readFileSync(join(folder, file), 'utf8').trim());
  return {
    title,
    text: texts.join('\n\n') || 'The package ships no licence text; its manifest names the licence.',
  };
}

/** The licences of the packages that the given files belong to; packages with one text stand above it together. */
export function licenceTexts(files: Iterable<string>): string {
  const folders = new Set<string>();
  for (const file of files) {
    const folder = packageFolder(file);
    if (folder && existsSync(join(folder, 'package.json'))) folders.add(folder);
  }
  const titlesOf = new Map<string, Set<string>>();
  for (const folder of folders) {
    const { title, text } = readLicence(folder);
    titlesOf.set(text, (titlesOf.get(text) ?? new Set()).add(title));
  }
  const blocks = [...titlesOf].map(([text, titles]) => `${[...titles].sort().join('\n')}\n\n${text}\n`);
  return blocks.sort().join(`\n${'-'.repeat(80)}\n\n`);
}
