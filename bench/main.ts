/**
 * Measures what the README promises: `npm run bench`, or some rows by name. A whole run writes results.json and
 * results.md; `npm run tables` brings the README up to them. A figure that does not hold is told, never hidden.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { untilStopped } from '../rehearsal/ground/stop.ts';
import { describeMachine } from '../rehearsal/ground/this-machine.ts';
import { drawBars } from './bars.ts';
import { type Figure, unmeasured } from './figure.ts';
import { Grounds } from './grounds.ts';
import { currentLoad, type Results, tellFigures, tellLoads, writeResults } from './results.ts';
import type { Play, Row } from './row.ts';
import { rows } from './rows/index.ts';

const stop = untilStopped();
const began = performance.now();
const elapsed = (): string => `${((performance.now() - began) / 1000).toFixed(0).padStart(4)} s`;

function chosen(names: readonly string[]): readonly Row[] {
  const unknown = names.filter((name) => !rows.some((row) => row.name === name));
  if (unknown.length > 0) {
    throw new Error(
      `no row is called ${unknown.join(', ')}; there are: ${rows.map(({ name }) => name).join(' ')}`,
    );
  }
  return names.length === 0 ? rows : rows.filter(({ name }) => names.includes(name));
}

/** Pictures for docs/, by the names of their files. */
const pictures = new Map<string, string>();

async function playRow(row: Row, play: Pick<Play, 'grounds' | 'stop'>): Promise<Figure[]> {
  console.log(`${elapsed()}  ${row.name}: ${row.title} (load ${currentLoad().toFixed(1)})`);
  const say = (line: string) => console.log(`${elapsed()}    ${line}`);
  try {
    const figures = await row.play({ ...play, say, picture: (file, svg) => pictures.set(file, svg) });
    console.log(tellFigures(figures));
    return figures;
  } catch (error) {
    stop.throwIfAborted();
    const figures = [unmeasured(row.title, error)];
    console.log(tellFigures(figures), error);
    return figures;
  }
}

async function playAll(wanted: readonly Row[]): Promise<Results> {
  let raised: Promise<Grounds> | undefined;
  const grounds = (): Promise<Grounds> => {
    raised ??= Grounds.raise((step) => console.log(`${elapsed()}    ${step}`));
    return raised;
  };
  const loads: number[] = [];
  const played: { title: string; figures: Figure[] }[] = [];
  try {
    for (const row of wanted) {
      stop.throwIfAborted();
      loads.push(currentLoad());
      played.push({ title: row.title, figures: await playRow(row, { grounds, stop }) });
    }
  } finally {
    await raised?.then((held) => held.lower());
  }
  return {
    machine: describeMachine(),
    date: new Date().toISOString(),
    load: tellLoads(loads),
    minutes: Math.round((performance.now() - began) / 60_000),
    rows: played,
  };
}

/** Writes what was measured, and its pictures. */
function write(folder: string, docs: string): void {
  writeFileSync(join(folder, 'results.md'), writeResults(results));
  pictures.set('figures.svg', drawBars(figures));
  for (const [file, svg] of pictures) writeFileSync(join(docs, file), svg);
}

const wanted = chosen(process.argv.slice(2));
const results = await playAll(wanted);
const figures = results.rows.flatMap((row) => row.figures);
console.log(`\n${results.machine}\n${tellFigures(figures)}`);
const failing = figures.filter(({ holds }) => holds === false).length;
console.log(
  failing === 0 ? '\nEvery figure holds.' : `\n${failing} of ${figures.length} figures do not hold.`,
);
if (wanted.length === rows.length) {
  writeFileSync(join(import.meta.dirname, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);
  write(import.meta.dirname, join(import.meta.dirname, '../docs'));
  console.log('bench/results.md is written; npm run tables brings the README up to it.');
} else {
  const aside = join(import.meta.dirname, 'partial');
  mkdirSync(aside, { recursive: true });
  write(aside, aside);
  console.log('Some rows alone are in bench/partial/; bench/results.md is as it was.');
}
process.exit(failing === 0 ? 0 : 1);
