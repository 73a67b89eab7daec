import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryFolder } from '../../rehearsal/ground/places.ts';
import { run } from '../../rehearsal/ground/run.ts';
import { atMost, type Figure, megabytes, milliseconds, ours, peer, times } from '../figure.ts';
import type { Row } from '../row.ts';
import { inTurn, median, ratioOfPairs } from '../statistics.ts';

const action = 'deploy-staging';
const rounds = 25;

/** How big our bundle is, and how soon it says its first line, beside a plain build of the same source. */
export const start: Row = {
  name: 'start',
  title: 'The bundle and its start',
  async play({ say }) {
    // Below the repository, so that node_modules is found.
    const works = join(repositoryFolder, '.understudy-build');
    mkdirSync(works, { recursive: true });
    const work = mkdtempSync(join(works, 'bench-'));
    try {
      say('building the same source with ncc alone');
      const plain = await buildPlain(work);
      return await measure(join(repositoryFolder, 'dist', action), plain, work, say);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  },
};

/** What most actions do: the compiler to JavaScript, `ncc build` to one folder. */
async function buildPlain(work: string): Promise<string> {
  const [emitted, bundle] = [join(work, 'js'), join(work, 'plain')];
  const compilerOptions = {
    ...{ noEmit: false, outDir: emitted, rootDir: repositoryFolder, rewriteRelativeImportExtensions: true },
  };
  const files = [`actions/${action}/main.ts`, 'src/action/run.ts'].map((file) =>
    join(repositoryFolder, file),
  );
  const project = { extends: join(repositoryFolder, 'tsconfig.json'), compilerOptions, include: [], files };
  writeFileSync(join(work, 'tsconfig.json'), JSON.stringify(project));
  await run([join(repositoryFolder, 'node_modules/.bin/tsc'), '--project', join(work, 'tsconfig.json')]);
  const entry = `import { run } from './src/action/run.js';
    import { main, post } from './actions/${action}/main.js';
    await run(main, post);`;
  writeFileSync(join(emitted, 'entry.js'), entry);
  writeFileSync(join(emitted, 'package.json'), '{"type":"module"}');
  const ncc = join(repositoryFolder, 'node_modules/@vercel/ncc/dist/ncc/cli.js');
  const options = ['--out', bundle, '--target', 'es2024', '--no-cache', '--quiet'];
  // ncc passes undefined to fs.existsSync, which Node 24 deprecates aloud.
  await run([process.execPath, '--no-deprecation', ncc, 'build', join(emitted, 'entry.js'), ...options]);
  return bundle;
}

async function measure(
  own: string,
  plain: string,
  work: string,
  say: (line: string) => void,
): Promise<Figure[]> {
  say(`starting each ${rounds} times, in turn`);
  const bundle = (folder: string) => () => untilFirstLine([join(folder, 'index.js')], work);
  const bare = () => untilFirstLine(['--eval', 'console.log(1)'], work);
  const measured = { ours: bundle(own), plain: bundle(plain), bare };
  await inTurn(2, measured);
  const values = await inTurn(rounds, measured);
  const [size, plainSize] = [folderBytes(own), folderBytes(plain)];
  const bars = [
    ours('our bundle', median(values.ours), milliseconds(median(values.ours))),
    peer('plain ncc build', median(values.plain), milliseconds(median(values.plain))),
    peer('bare Node', median(values.bare), milliseconds(median(values.bare))),
  ];
  const how = `from the start of the process to the first line that \`main.ts\` says, ${rounds} starts in turn, median of the ratios`;
  return [
    atMost(size, 1.4e6, megabytes, {
      name: `bundle of ${action}`,
      note: `all files of dist/${action}; the same source by \`ncc build\` alone: ${megabytes(plainSize)}`,
      bars: [
        ours('our bundle', size, megabytes(size)),
        peer('plain ncc build', plainSize, megabytes(plainSize)),
      ],
    }),
    atMost(ratioOfPairs(values.ours, values.plain), 0.6, times, {
      name: 'its start, against plain `ncc build` of the same source',
      note: `${how}; ${milliseconds(median(values.ours))} against ${milliseconds(median(values.plain))}`,
      bars,
    }),
    atMost(ratioOfPairs(values.ours, values.bare), 4, times, {
      name: 'its start, against bare Node',
      note: `the same, against \`console.log\`: ${milliseconds(median(values.bare))}`,
    }),
  ];
}

/** Milliseconds from the start of the process to its first line on stdout. */
async function untilFirstLine(words: readonly string[], folder: string): Promise<number> {
  const files = join(folder, 'runner');
  mkdirSync(files, { recursive: true });
  const state = join(files, 'state');
  writeFileSync(state, '');
  const inputs = { ARCHIVE: join(folder, 'none.tar.gz'), RELEASE: 'a'.repeat(64), ENVIRONMENT: 'staging' };
  const env = {
    ...Object.fromEntries(Object.entries(inputs).map(([name, value]) => [`INPUT_${name}`, value])),
    ...{ INPUT_EXCERPTS: 'auto', 'INPUT_GITHUB-TOKEN': 'none', GITHUB_STATE: state },
    ...{
      GITHUB_REPOSITORY: 'acme/bench',
      GITHUB_REPOSITORY_ID: '1',
      GITHUB_RUN_ID: '1',
      GITHUB_RUN_ATTEMPT: '1',
    },
    ...{ GITHUB_EVENT_NAME: 'push', GITHUB_REF: 'refs/heads/main', GITHUB_ACTOR: 'ada' },
  };
  const started = performance.now();
  const child = spawn(process.execPath, [...words], { env, stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = once(child, 'close');
  const spoke = await firstLine(child, started);
  await ended;
  return spoke;
}

function firstLine(child: ChildProcess, started: number): Promise<number> {
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', () => resolve(performance.now() - started));
    child.once('close', () => reject(new Error('a bundle ended without a word')));
  });
}

function folderBytes(folder: string): number {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return files.reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
}
