import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryFolder } from '../../rehearsal/ground/places.ts';
import { run } from '../../rehearsal/ground/run.ts';
import { atMost, ours, peer, seconds, times } from '../figure.ts';
import type { Row } from '../row.ts';
import { inTurn, median, ratioOfPairs } from '../statistics.ts';

const [files, bytes] = [5_000, 200e6];
const rounds = 3;

/** How long packing takes, beside the fastest that people do by hand. */
export const packing: Row = {
  name: 'packing',
  title: 'Packing a release',
  async play({ say }) {
    const work = mkdtempSync(join(tmpdir(), 'understudy-packing-'));
    try {
      say(`writing ${files} files, ${bytes / 1e6} MB`);
      writeApp(join(work, 'app'));
      say(`packing them ${rounds} times with each, in turn`);
      const byUs = () => timed(() => pack(work));
      const byTar = () =>
        timed(() => run(['sh', '-c', 'tar -cf - app | gzip -1 > tar.tar.gz'], { cwd: work }));
      await inTurn(1, { byUs, byTar });
      const values = await inTurn(rounds, { byUs, byTar });
      return [
        atMost(ratioOfPairs(values.byUs, values.byTar), 1.2, times, {
          name: 'packing 5,000 files, 200 MB, against `tar | gzip -1`',
          note: `whole processes, files in the page cache, ${rounds} in turn, median of the ratios; half of the bytes are text, half do not compress`,
          bars: [
            ours('pack-release', median(values.byUs), seconds(median(values.byUs))),
            peer('tar | gzip -1', median(values.byTar), seconds(median(values.byTar))),
          ],
        }),
      ];
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  },
};

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}

async function pack(work: string): Promise<void> {
  const files = Object.fromEntries(['output', 'state', 'summary'].map((name) => [name, join(work, name)]));
  for (const file of Object.values(files)) writeFileSync(file, '');
  await run([process.execPath, join(repositoryFolder, 'dist/pack-release/index.js')], {
    env: {
      ...{
        INPUT_PATH: join(work, 'app'),
        INPUT_ARCHIVE: join(work, 'ours.tar.gz'),
        INPUT_COMMIT: 'a'.repeat(40),
      },
      ...{ RUNNER_TEMP: work, SOURCE_DATE_EPOCH: '1795392000' },
      GITHUB_OUTPUT: files['output'] ?? '',
      GITHUB_STATE: files['state'] ?? '',
      GITHUB_STEP_SUMMARY: files['summary'] ?? '',
    },
  });
}

/** An app of many files, half of them text, the same at each run. */
function writeApp(folder: string): void {
  const random = numbers(4242);
  const size = bytes / files;
  for (let number = 0; number < files; number += 1) {
    const place = join(folder, `part-${Math.floor(number / 100)}`);
    if (number % 100 === 0) mkdirSync(place, { recursive: true });
    const content = number % 2 === 0 ? textOf(size, random) : noiseOf(size, random);
    writeFileSync(join(place, `file-${number}`), content);
  }
  mkdirSync(join(folder, '.understudy'));
  writeFileSync(join(folder, '.understudy/run'), '#!/bin/sh\nexec sleep infinity\n', { mode: 0o755 });
  writeFileSync(join(folder, 'understudy.yml'), configuration);
}

const configuration = `app: bench
region: us-east-2
environments: {staging: {bucket: bench-understudy}}
service: {listen: 8080, user: bench}
checks: [{path: /health}]
data: {databases: []}
`;

/** The minimal standard generator: whole numbers below 2^31, in the same order at each run. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state;
  };
}

function noiseOf(size: number, random: () => number): Buffer {
  const buffer = Buffer.allocUnsafe(size);
  for (let at = 0; at + 2 <= size; at += 2) buffer.writeUInt16LE((random() >> 8) & 0xffff, at);
  return buffer;
}

const words =
  'import from return value request session table upload column index query write the release host'.split(
    ' ',
  );

function textOf(size: number, random: () => number): Buffer {
  const text: string[] = [];
  for (let length = 0; length < size; ) {
    const word = `${words[random() % words.length]}${random() % 7 === 0 ? random() % 1000 : ''}${random() % 9 === 0 ? '\n' : ' '}`;
    text.push(word);
    length += word.length;
  }
  return Buffer.from(text.join('')).subarray(0, size);
}
