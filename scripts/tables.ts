/**
 * Writes the tables in the READMEs from each action.yml: `npm run tables`, after a change of one.
 * A table stands between `<!-- table:inputs -->` and `<!-- /table:inputs -->`; so do `outputs` and, at the root, `actions` and
 * `figures`, which is what the last whole run of the bench measured.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { figuresTable, type Results } from '../bench/results.ts';

const root = resolve(import.meta.dirname, '..');

interface Input {
  readonly description: string;
  readonly required?: boolean;
  readonly default?: string;
}

/** What an action.yml says. */
export interface ActionManifest {
  readonly name: string;
  readonly description: string;
  readonly inputs?: Readonly<Record<string, Input>>;
  readonly outputs?: Readonly<Record<string, { readonly description: string }>>;
  readonly runs: Readonly<Record<string, string>>;
}

/** Every folder of actions/, whole or not, by name. */
export function actionFolders(): string[] {
  const entries = readdirSync(join(root, 'actions'), { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

export function readManifest(name: string): ActionManifest {
  return parse(readFileSync(join(root, 'actions', name, 'action.yml'), 'utf8')) as ActionManifest;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cell = (text: string): string => text.trim().replaceAll(/\s+/g, ' ').replaceAll('|', '\\|');
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function inputsTable({ inputs = {} }: ActionManifest): string {
  const given = ({ required, default: value }: Input): string => {
    if (required) return 'required';
    return value === undefined || value === '' ? '' : `\`${value}\``;
  };
  const rows = Object.entries(inputs).map(([name, input]) => [
    `\`${name}\``,
    input.description,
    given(input),
  ]);
  return table(['input', 'what it is', 'default'], rows);
}

function outputsTable({ outputs = {} }: ActionManifest): string {
  const rows = Object.entries(outputs).map(([name, { description }]) => [`\`${name}\``, description]);
  return table(['output', 'what it is'], rows);
}

function actionsTable(): string {
  const rows = actionFolders().map((name) => [
    `[\`${name}\`](actions/${name})`,
    readManifest(name).description,
  ]);
  return table(['action', 'what it does'], rows);
}

function figures(): string {
  const file = join(root, 'bench/results.json');
  if (!existsSync(file)) return 'Not measured yet: `npm run bench`.';
  const results = JSON.parse(readFileSync(file, 'utf8')) as Results;
  return `Two hundred users a second ask an app that needs 5 seconds to load, while it is exchanged for its next release:

![What users wait and what is lost while an app is exchanged: by systemctl restart, by Capistrano, by Understudy](docs/upgrade.svg)

Measured in one run on ${results.date.slice(0, 10)}: ${results.machine}.

${figuresTable(results)}

![Bars of the figures, ours beside others](docs/figures.svg)`;
}

interface Page {
  /** Path below the root. */
  readonly path: string;
  readonly now: string;
  readonly wanted: string;
  /** The tables that the page has no place for. */
  readonly missing: readonly string[];
}

function page(path: string, tables: Readonly<Record<string, string>>): Page {
  const file = join(root, path);
  const now = existsSync(file) ? readFileSync(file, 'utf8') : '';
  let wanted = now;
  const missing: string[] = [];
  for (const [name, text] of Object.entries(tables)) {
    const [start, end] = [`<!-- table:${name} -->`, `<!-- /table:${name} -->`];
    const [before, rest] = wanted.split(start, 2);
    const after = rest?.split(end, 2)[1];
    if (after === undefined) missing.push(name);
    else wanted = `${before}${start}\n${text}\n${end}${after}`;
  }
  return { path, now, wanted, missing };
}

/** Every page that holds generated tables, as it is and as it should be. */
export function pages(): Page[] {
  const ofActions = actionFolders().map((name) => {
    const manifest = readManifest(name);
    const tables = { inputs: inputsTable(manifest), outputs: outputsTable(manifest) };
    return page(`actions/${name}/README.md`, tables);
  });
  return [page('README.md', { actions: actionsTable(), figures: figures() }), ...ofActions];
}

if (import.meta.main) {
  for (const { path, now, wanted, missing } of pages()) {
    for (const name of missing) console.error(`${path} has no place for the table of ${name}`);
    if (now === wanted) continue;
    writeFileSync(join(root, path), wanted);
    console.log(`${path} written anew`);
  }
}
