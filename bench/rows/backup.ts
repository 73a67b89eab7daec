import { path, setJournal, takeBigDatabase, timedOnHost, underWrites, type Written } from '../database.ts';
import { atMost, type Figure, milliseconds, ours, peer, seconds, times } from '../figure.ts';
import { type BackedUp, backups, type Grounds } from '../grounds.ts';
import type { Play, Row } from '../row.ts';
import { median, ratioOfPairs } from '../statistics.ts';

const rounds = 3;
/** How long the plain `.backup` of the CLI may try. */
const patience = 60;
const scratch = '/var/tmp/by-hand';

/** What a backup of 500 MB costs, and whom it keeps waiting. */
export const backup: Row = {
  name: 'backup',
  title: 'A backup of 500 MB',
  async play(play) {
    const grounds = await play.grounds();
    play.say('a database of 500 MB');
    await takeBigDatabase(grounds);
    await grounds.shell(`mkdir -p ${scratch}`);
    const idle: BackedUp[] = [];
    const busy: { done: BackedUp; written: Written }[] = [];
    const byHand: number[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      play.stop.throwIfAborted();
      idle.push(await grounds.backUp());
      byHand.push(await timedOnHost(grounds, handMade));
      busy.push(await underWrites(grounds, () => grounds.backUp()));
      play.say(
        `round ${round} of ${rounds}: idle ${tell(idle.at(-1))}, by hand ${seconds(byHand.at(-1) ?? 0)}, under writes ${tell(busy.at(-1)?.done)}`,
      );
    }
    const others = await copyByOthers(grounds, play);
    return [
      copyFigure(idle, busy, others),
      stallFigure(busy, others),
      wholeFigure(idle, byHand),
      await holdFigure(grounds, play),
    ];
  },
};

const tell = (one: BackedUp | undefined): string =>
  one ? `${seconds(one.script)}, of which the copy ${seconds(copySeconds(one))}` : '';

const stepOf = ({ steps }: BackedUp, wanted: string) => steps.find(({ name }) => name === wanted);

const secondsOf = ({ started, ended }: { started: number; ended: number | null }): number =>
  ((ended ?? started) - started) / 1000;

function copySeconds(one: BackedUp): number {
  const copy = stepOf(one, 'copy');
  if (!copy) throw new Error(`a backup told nothing of its copy: ${one.key}`);
  return secondsOf(copy);
}

/** As people write it for their crontab. */
const handMade = `cd ${scratch} && sqlite3 ${path} '.backup copy.db' && gzip copy.db &&
  AWS_ACCESS_KEY_ID=operator AWS_SECRET_ACCESS_KEY=operator aws s3 cp --quiet copy.db.gz s3://${backups}/by-hand/copy.db.gz &&
  rm copy.db.gz`;

/** What others do under the same writes: how long it took, and what the writer met. */
interface Others {
  readonly plain: number;
  readonly plainEnded: boolean;
  readonly vacuum: number;
  readonly vacuumWritten: Written;
}

async function copyByOthers(grounds: Grounds, { say }: Play): Promise<Others> {
  say('VACUUM INTO under the same writes');
  const vacuum = await underWrites(grounds, () =>
    timedOnHost(grounds, `sqlite3 ${path} "VACUUM INTO '${scratch}/vacuum.db'"`),
  );
  say(`the plain .backup under the same writes, for at most ${patience} s`);
  const plain = await underWrites(grounds, () =>
    timedOnHost(
      grounds,
      `timeout ${patience} sqlite3 ${path} '.backup ${scratch}/plain.db' || touch ${scratch}/cut`,
    ),
  );
  const ended = (await grounds.shell(`test -e ${scratch}/cut || echo ended; rm -r ${scratch}`)) === 'ended';
  return { plain: plain.done, plainEnded: ended, vacuum: vacuum.done, vacuumWritten: vacuum.written };
}

type Busy = readonly { readonly done: BackedUp; readonly written: Written }[];

function copyFigure(idle: readonly BackedUp[], busy: Busy, { plain, plainEnded, vacuum }: Others): Figure {
  const [own, under] = [idle.map(copySeconds), busy.map(({ done }) => copySeconds(done))];
  const rate = median(busy.map(({ written }) => written.perSecond));
  return atMost(ratioOfPairs(under, own), 1.3, times, {
    name: 'the copy of 500 MB at 100 writes a second, against the copy when idle',
    note: `WAL; the step "copy" of whole backups, ${rounds} in turn, median of the ratios; ${rate.toFixed(0)} writes a second came about. The CLI's plain \`.backup\` begins anew at each foreign write: ${plainEnded ? `it ended after ${seconds(plain)}` : `it was given ${patience} s, and did not end`}`,
    bars: [
      ours('copy, idle', median(own), seconds(median(own))),
      ours('copy, 100 writes/s', median(under), seconds(median(under))),
      peer('VACUUM INTO, 100 writes/s', vacuum, seconds(vacuum)),
      peer('.backup, 100 writes/s', plain, plainEnded ? seconds(plain) : `${patience} s, no end`),
    ],
  });
}

function stallFigure(busy: Busy, { vacuumWritten }: Others): Figure {
  const longest = Math.max(...busy.map(({ written }) => written.longestMs));
  return atMost(longest / 1000, 1, seconds, {
    name: 'the longest stall of a writer in WAL mode during a whole backup',
    note: `the worst of ${rounds} whole backups, at 100 writes a second; beside it one VACUUM INTO, which only copies`,
    bars: [
      ours('whole backup', longest, milliseconds(longest)),
      peer('VACUUM INTO', vacuumWritten.longestMs, milliseconds(vacuumWritten.longestMs)),
    ],
  });
}

function wholeFigure(idle: readonly BackedUp[], byHand: readonly number[]): Figure {
  const own = idle.map(({ script }) => script);
  const steps = (idle[0]?.steps ?? []).map((step) => `${step.name} ${secondsOf(step).toFixed(2)}`).join(', ');
  return atMost(ratioOfPairs(own, byHand), 0.6, times, {
    name: 'a whole backup of 500 MB, against `sqlite3 .backup && gzip && aws s3 cp`',
    note: `an idle database, to the local S3, ${rounds} in turn, median of the ratios; ours is all that the host does: it also proves the copy sound, counts its rows, takes the code along and confirms by a manifest. Its steps in seconds, the first time: ${steps}`,
    bars: [
      ours('backup', median(own), seconds(median(own))),
      peer('.backup, gzip, aws s3 cp', median(byHand), seconds(median(byHand))),
    ],
  });
}

async function holdFigure(grounds: Grounds, { say, stop }: Play): Promise<Figure> {
  await setJournal(grounds, 'delete');
  const held: { estimate: number; measured: number; rate: number }[] = [];
  let foretold = '';
  try {
    for (let round = 1; round <= rounds; round += 1) {
      stop.throwIfAborted();
      const { done, written } = await underWrites(grounds, () => grounds.backUp());
      [, foretold = ''] = /^hold +(.+)$/m.exec(done.log) ?? [];
      const [, estimate = ''] = /for about (\d+) ms/.exec(stepOf(done, 'hold')?.note ?? '') ?? [];
      held.push({ estimate: Number(estimate), measured: written.longestMs, rate: written.perSecond });
      say(
        `rollback journal: a writer waited ${milliseconds(written.longestMs)}, of ${estimate} ms that were estimated; ${done.manifest.hold_ms} ms in the manifest`,
      );
    }
  } finally {
    await setJournal(grounds, 'wal');
  }
  const share = held.map(({ measured, estimate }) => measured / estimate);
  const worst = held[share.indexOf(Math.max(...share))];
  if (!worst) throw new Error('nothing was held');
  return atMost(worst.measured, worst.estimate, milliseconds, {
    name: 'the longest hold of a writer with a rollback journal, against the estimate before the copy',
    note: `the worst of ${rounds} backups of 500 MB: measured and estimated ${held.map(({ measured, estimate }) => `${milliseconds(measured)} of ${milliseconds(estimate)}`).join(', ')}; ${median(held.map(({ rate }) => rate)).toFixed(0)} writes a second came about. Before the last one was sent, the action said: “${foretold}”`,
    bars: [
      ours('estimated', worst.estimate, milliseconds(worst.estimate)),
      ours('measured', worst.measured, milliseconds(worst.measured)),
    ],
  });
}
