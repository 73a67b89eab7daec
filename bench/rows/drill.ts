import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pythonTools } from '../../rehearsal/ground/places.ts';
import { run } from '../../rehearsal/ground/run.ts';
import type { DrillReceipt } from '../../src/drill/receipt.ts';
import { takeBigDatabase } from '../database.ts';
import { atMost, megabytes, ours, peer, seconds, times } from '../figure.ts';
import { backups, type Grounds } from '../grounds.ts';
import type { Row } from '../row.ts';
import { median, ratioOfPairs } from '../statistics.ts';

const rounds = 3;

/** How long it takes to prove that a backup of 500 MB restores, and what that takes of memory. */
export const drill: Row = {
  name: 'drill',
  title: 'Proving a backup of 500 MB',
  async play({ grounds, say, stop }) {
    const held = await grounds();
    say('a backup of 500 MB');
    await takeBigDatabase(held);
    const { key } = await held.backUp();
    const drills: Drilled[] = [];
    const byHand: number[] = [];
    const byCli: number[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      stop.throwIfAborted();
      drills.push(await proveOnce(held));
      const object = `s3://${backups}/${key.replace('manifest.json', 'database-0.sqlite.zst')}`;
      byHand.push(await proveByHand(held, object, 'curl'));
      byCli.push(await proveByHand(held, object, 'aws'));
      const last = drills.at(-1);
      say(
        `round ${round} of ${rounds}: levels 2 to 4 in ${seconds(last?.took ?? 0)} (${last?.told}), ${megabytes(last?.memory ?? 0)}; one after the other ${seconds(byHand.at(-1) ?? 0)}, by aws s3 cp ${seconds(byCli.at(-1) ?? 0)}`,
      );
    }
    const own = drills.map(({ took }) => took);
    const memory = Math.max(...drills.map((one) => one.memory));
    return [
      atMost(ratioOfPairs(own, byHand), 0.7, times, {
        name: 'levels 2 to 4 of 500 MB, against download, unzstd, sha256sum and integrity_check one after the other',
        note: `on the machine of the job, from the local S3, ${rounds} in turn, median of the ratios. Ours takes two digests, foreign keys, schema and rows besides; in seconds: ${drills[0]?.told}. The download is the fastest there is, by curl from a URL that is signed already; with \`aws s3 cp\` in its place, which fetches in parts, each of which costs the local S3 the whole object, it is ${times(ratioOfPairs(own, byCli))}`,
        bars: [
          ours('levels 2 to 4', median(own), seconds(median(own))),
          peer('curl, unzstd, sha256sum, check', median(byHand), seconds(median(byHand))),
          peer('aws s3 cp, unzstd, …', median(byCli), seconds(median(byCli))),
        ],
      }),
      atMost(memory, 300e6, megabytes, {
        name: 'peak memory of proving 500 MB',
        note: `of the whole drill, its control too: the action and all that it starts (RSS, looked at every 50 ms), the most of ${rounds}`,
        bars: [ours('verify-backup', memory, megabytes(memory))],
      }),
    ];
  },
};

interface Drilled {
  /** Seconds of levels 2 to 4. */
  readonly took: number;
  /** The seconds of each. */
  readonly told: string;
  /** Bytes. */
  readonly memory: number;
}

async function proveOnce(grounds: Grounds): Promise<Drilled> {
  const started = await grounds.drill('4');
  let over = false;
  const watched = mostMemory('dist/verify-backup/index.js', () => over);
  const step = await started.ended.finally(() => {
    over = true;
  });
  const memory = await watched;
  if (step.code !== 0) throw new Error(`the drill ended with ${step.code}:\n${step.log}`);
  const receipt = JSON.parse(await grounds.read(step.outputs['receipt'] ?? '', backups)) as DrillReceipt;
  const levels = receipt.levels.filter(({ level }) => level >= 2 && level <= 4);
  return {
    took: levels.reduce((sum, { ms }) => sum + ms, 0) / 1000,
    told: levels.map(({ level, ms }) => `level ${level} ${(ms / 1000).toFixed(2)}`).join(', '),
    memory,
  };
}

/** As people who do it by hand do it: each step when the one before it has ended. */
async function proveByHand(grounds: Grounds, object: string, by: 'curl' | 'aws'): Promise<number> {
  const env = { ...grounds.cloud.operatorEnv, PATH: '/usr/bin:/bin' };
  const aws = join(pythonTools(), 'aws');
  const download = {
    curl: async () => {
      const url = (await run([aws, 's3', 'presign', object], { env })).trim();
      return ['curl', '--silent', '--fail', '--output', 'copy.zst', url];
    },
    aws: async () => [aws, 's3', 'cp', '--quiet', object, 'copy.zst'],
  };
  const steps = `"$@" && unzstd --quiet copy.zst -o copy.db && sha256sum copy.db &&
    sqlite3 copy.db 'PRAGMA integrity_check'`;
  const argv = ['sh', '-c', steps, 'sh', ...(await download[by]())];
  const cwd = await mkdtemp(join(tmpdir(), 'understudy-by-hand-'));
  try {
    const began = performance.now();
    await run(argv, { cwd, env });
    return (performance.now() - began) / 1000;
  } finally {
    await rm(cwd, { recursive: true });
  }
}

/** The most memory that a program of ours and all that it started held at once, in bytes, until it is over. */
async function mostMemory(program: string, isOver: () => boolean): Promise<number> {
  let most = 0;
  while (!isOver()) {
    most = Math.max(most, memoryOf(program));
    await sleep(50);
  }
  return most;
}

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly bytes: number;
}

function memoryOf(program: string): number {
  const all = processes();
  const children = (of: number): Process[] =>
    all.filter(({ parent }) => parent === of).flatMap((one) => [one, ...children(one.pid)]);
  const root = all.find(({ pid, parent }) => parent === process.pid && commandOf(pid).includes(program));
  return root ? [root, ...children(root.pid)].reduce((sum, { bytes }) => sum + bytes, 0) : 0;
}

function processes(): Process[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      // `pid (name) state ppid …`, of which the 24th is the pages that it holds.
      const fields = read(`/proc/${name}/stat`)
        .replace(/^.*\) /s, '')
        .split(' ');
      return fields.length < 22
        ? []
        : { pid: Number(name), parent: Number(fields[1]), bytes: Number(fields[21]) * 4096 };
    });
}

const commandOf = (pid: number): string => read(`/proc/${pid}/cmdline`);

/** Nothing, of a process that has ended meanwhile. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
