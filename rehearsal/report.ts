import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { drawPage, type SceneTold } from './plots/page.ts';
import type { Outcome } from './scenes/scene.ts';

const FOLDER = join(import.meta.dirname, 'report');

/** One scene as it was played; `note` is the cause where it did not pass. */
export type ScenePlayed = Outcome &
  SceneTold & {
    /** Its place among all scenes, from 1. */
    readonly number: number;
  };

/** The table that ends a rehearsal: scenes, seconds, requests and losses. */
export function resultTable(played: readonly ScenePlayed[]): string {
  const rows = played.map((scene) => [
    scene.passed ? 'passed' : 'FAILED',
    scene.name,
    scene.seconds.toFixed(1),
    String(scene.requests),
    String(scene.lost),
    scene.worstLatencyMs === null ? '-' : String(Math.round(scene.worstLatencyMs)),
    String(scene.apiCalls),
  ]);
  const table = [['', 'scene', 'seconds', 'requests', 'lost', 'worst ms', 'API calls'], ...rows];
  const widths =
    table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  const numeric = (column: number) => column > 1;
  const line = (row: string[]) =>
    row
      .map((cell, column) =>
        numeric(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return table.map(line).join('\n');
}

/**
 * Writes `rehearsal/report/`: the page `report.html`, `result.json`, and of each scene the summary of its last deploy in
 * Markdown, and as JSON what its figures are drawn from.
 * @returns the page
 */
export async function writeReport(played: readonly ScenePlayed[]): Promise<string> {
  await rm(FOLDER, { recursive: true, force: true });
  await mkdir(FOLDER, { recursive: true });
  const scenes = played.map(({ name, passed, seconds, requests, lost, worstLatencyMs, apiCalls }) => {
    return { name, passed, seconds: Number(seconds.toFixed(1)), requests, lost, worstLatencyMs, apiCalls };
  });
  await writeFile(join(FOLDER, 'result.json'), `${JSON.stringify({ scenes }, null, 2)}\n`);
  for (const { number, name, summary, recording } of played) {
    const file = join(FOLDER, `scene-${number}`);
    await writeFile(`${file}.json`, `${JSON.stringify({ name, ...recording })}\n`);
    if (summary) await writeFile(`${file}.md`, summary);
  }
  const page = join(FOLDER, 'report.html');
  await writeFile(page, drawPage(played, new Date()));
  return page;
}
