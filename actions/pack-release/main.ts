import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readInputs } from '../../src/action/inputs.ts';
import { phase, say } from '../../src/action/log.ts';
import { writeOutputs } from '../../src/action/outputs.ts';
import { type Result, resultOf } from '../../src/action/result.ts';
import { packRelease } from '../../src/release/pack.ts';
import { commitTime } from '../../src/release/source.ts';
import { declaration } from './declaration.ts';

/** Packs a built app into one archive, and says by which digest it will be known. */
export async function main(): Promise<Result> {
  const { path, archive = defaultArchive(), commit } = readInputs(declaration.inputs);
  const committed = await commitTime(path, commit, process.env['SOURCE_DATE_EPOCH']);

  const packed = await phase(`Pack ${path}`, () => packRelease(path, archive, { commit, committed }));

  say(`${packed.files} files, ${packed.size} bytes`);
  say(`release ${packed.id}`);
  writeOutputs(declaration.outputs, {
    archive,
    release: packed.id,
    size: String(packed.size),
    files: String(packed.files),
  });
  return resultOf({ outcome: 'done', reason: 'packed' });
}

function defaultArchive(): string {
  return join(process.env['RUNNER_TEMP'] ?? tmpdir(), 'release.tar.gz');
}
