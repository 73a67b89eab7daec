import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Outcome } from './scenes/scene.ts';

const FOLDER = join(import.meta.dirname, 'report');

/** One scene as it was played; `note` is the cause where it did not pass. */
export interface ScenePlayed extends Outcome {
  readonly name: string;
  readonly passed: boolean;
  readonly seconds: number;
}

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

/** Writes `rehearsal/report/result.json` and returns its path. */
export async function writeResult(played: readonly ScenePlayed[]): Promise<string> {
  await mkdir(FOLDER, { recursive: true });
  const path = join(FOLDER, 'result.json');
  await writeFile(path, `${JSON.stringify({ scenes: played }, null, 2)}\n`);
  return path;
}
