import assert from 'node:assert/strict';
import { inSeconds } from '../../src/action/log.ts';
import type { LoadReport } from '../load/load.ts';
import type { Run } from '../runner/runner.ts';
import { columnOf, openBackup } from './backups.ts';
import type { Scene } from './scene.ts';
import type { Staging } from './staging.ts';
import { assertAllStored, assertConclusion, assertNothingLost, jobOf, metBy, resultOf } from './verdict.ts';

interface Backed {
  readonly run: Run;
  readonly load: LoadReport;
  readonly note: string;
}

/** How an app's writes are found again, by the marks that its users gave them. */
interface Written {
  readonly rate: number;
  readonly database: string;
  readonly marks: string;
}

/**
 * Both kinds of journal while users write: the copy is of one moment, holds all that was acknowledged before it began, and
 * costs no writer its write.
 */
export const backupUnderWrites: Scene = {
  key: 'backup',
  name: 'A backup under writes: ChatMRPT with a WAL, Isso with a rollback journal',
  roles: ['chatmrpt', 'isso'],
  measured: true,
  async play({ chatmrpt, isso, say }) {
    say('chatmrpt: 100 uploads a second, in WAL mode');
    const wal = await backUp(chatmrpt, {
      ...{ rate: 100, database: 'app.db', marks: 'SELECT name FROM uploads' },
    });
    say('isso: 20 comments a second, with a rollback journal');
    const journal = await backUp(isso, {
      ...{ rate: 20, database: 'comments.db', marks: 'SELECT text FROM comments' },
    });
    const calls = await Promise.all([chatmrpt, isso].map(({ account }) => account.callsSince()));
    return {
      ...metBy([wal.load, journal.load]),
      apiCalls: calls.flat().length,
      summary: [wal, journal].map(({ run }) => jobOf(run, 'backup').summary).join('\n'),
      note: `${wal.note}; ${journal.note}`,
    };
  },
};

async function backUp(staging: Staging, { rate, database, marks }: Written): Promise<Backed> {
  await staging.ensureLive();
  const { run, load } = await staging.dispatchUnderWrites('backup.yml', rate);
  assertConclusion(run, 'success');
  assertNothingLost(load);
  const { result, reason, instances } = resultOf(run, 'backup');
  assert.deepEqual([result, reason], ['done', 'backed-up']);
  const key = instances[0]?.manifest ?? '';
  const manifest = await openBackup(staging, key);
  const stored = await columnOf(staging, key, marks);
  const before = acknowledgedBefore(load, manifest.started);
  assertAllStored(before, stored);
  assertAllStored(load.acknowledged, await staging.host.column(database, marks));
  const [{ journal_mode: mode } = { journal_mode: '' }] = manifest.databases;
  assert.equal(await staging.account.lease(), 'released');
  return { run, load, note: noteOf(staging, mode, manifest.hold_ms, load) };
}

/** The marks of what the app had acknowledged by then: all that writers send is marked, and told in that order. */
function acknowledgedBefore({ acknowledged, samples }: LoadReport, timeMs: number): string[] {
  const answered = samples.filter(([, , ok]) => ok === 1).map(([sentMs, latencyMs]) => sentMs + latencyMs);
  assert.equal(answered.length, acknowledged.length, 'a request of these users was no write');
  return acknowledged.filter((_, index) => (answered[index] ?? Number.POSITIVE_INFINITY) < timeMs);
}

function noteOf({ app }: Staging, mode: string, holdMs: number, { worstLatencyMs }: LoadReport): string {
  const slowest = `the slowest write took ${inSeconds(worstLatencyMs)}`;
  return `${app} (${mode}): writers held for at most ${inSeconds(holdMs)}; ${slowest}`;
}
