import assert from 'node:assert/strict';
import type { Scene } from './scene.ts';
import type { Staging } from './staging.ts';
import {
  assertAllStored,
  assertConclusion,
  assertNothingLost,
  deployResult,
  jobOf,
  outcomeOfSeveral,
  type Played,
} from './verdict.ts';

interface BadRelease {
  readonly what: string;
  readonly reason: 'start-failed' | 'check-failed';
  /** What its service says last: the summary must show it. */
  readonly words: string;
  /** Files of the repository and what they become; each does well in the rehearsal on the host. */
  readonly files: Readonly<Record<string, (text: string) => string>>;
}

/** Ends before its server is started, but not in the rehearsal. */
const neverStart = (run: string): string =>
  run.replace(
    'exec ',
    (exec) =>
      `[[ -n \${UNDERSTUDY_REHEARSAL:-} ]] || { echo this machine has no licence >&2; exit 1; }\n${exec}`,
  );

/** Ends its server 5 seconds after it was loaded. */
const withdrawn = `

import signal, threading, time


def withdraw():
    time.sleep(5)
    print("the licence was withdrawn", flush=True)
    os.kill(os.getppid(), signal.SIGTERM)


if "UNDERSTUDY_REHEARSAL" not in os.environ:
    threading.Thread(target=withdraw, daemon=True).start()
`;

/** Answers a check of its own, until it has had so many users; its workers count together. */
const exhausted = `

HANDLES = "/tmp/handles-" + os.environ["UNDERSTUDY_RELEASE"]


class Exhausted:
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        with open(HANDLES, "ab") as handles:
            if environ["PATH_INFO"] != "/ready":
                handles.write(b".")
                return self.app(environ, start_response)
            used = handles.tell()
        if used >= 100:
            print("ready: no file handle is left", flush=True)
        start_response("200 OK" if used < 100 else "503 Service Unavailable", [("Content-Type", "application/json")])
        return [b"{}"]


application = Exhausted(application)
`;

const badReleases: readonly BadRelease[] = [
  {
    what: 'never starts',
    reason: 'start-failed',
    words: 'this machine has no licence',
    files: { '.understudy/run': neverStart },
  },
  {
    what: 'starts and dies after 5 seconds',
    reason: 'start-failed',
    words: 'the licence was withdrawn',
    files: { 'comments.py': (text) => text + withdrawn },
  },
  {
    what: 'is healthy on the probe, and fails under its users',
    reason: 'check-failed',
    words: 'ready: no file handle is left',
    files: {
      'comments.py': (text) => text + exhausted,
      'understudy.yml': (text) => text.replace('checks:\n', 'checks:\n  - {path: /ready, status: 200}\n'),
    },
  },
];

/** Three releases that no rehearsal finds out are taken back by overlap the other way; users lose nothing. */
export const badReleasesUnderLoad: Scene = {
  key: 'bad-releases',
  name: 'Bad releases: never starts, dies after 5 seconds, fails under its users',
  roles: ['isso'],
  measured: true,
  async play({ isso, say }) {
    await isso.ensureLive();
    const played: Played[] = [];
    for (const bad of badReleases) {
      say(`push a release that ${bad.what}, while readers read and comment`);
      played.push(await playBad(isso, bad));
    }
    const acknowledged = played.flatMap(({ load }) => load?.acknowledged ?? []);
    assertAllStored(acknowledged, await isso.host.column('comments.db', 'SELECT text FROM comments'));
    const note = 'each was taken back by overlap the other way, and its last words are in the summary';
    return outcomeOfSeveral(played, (await isso.account.callsSince()).length, note);
  },
};

async function playBad(isso: Staging, { what, reason, words, files }: BadRelease): Promise<Played> {
  const { repository } = isso;
  const live = await isso.host.liveRelease();
  const before = await Promise.all(
    Object.keys(files).map(async (file) => [file, await repository.read(file)] as const),
  );
  for (const [file, change] of Object.entries(files)) await repository.edit(file, change);
  await repository.commit(`A release that ${what}`);
  const { run, load } = await isso.pushUnderLoad();
  for (const [file, text] of before) await repository.write(file, text);
  await repository.commit('Take it back');
  assertConclusion(run, 'failure');
  const result = deployResult(run);
  assert.deepEqual([result.result, result.reason], ['reverted', reason], `a release that ${what}`);
  assert.deepEqual(
    result.instances.map(({ met }) => met),
    [true],
    'the rehearsal found it out, so no user met it: the scene proves nothing',
  );
  assertNothingLost(load);
  assert.equal(await isso.host.liveRelease(), live);
  assert.deepEqual(await isso.host.releasesUp(), [live], 'another release is up beside the live one');
  assert.ok(
    jobOf(run, 'deploy').summary.includes(words),
    `the summary does not show the last words of a release that ${what}`,
  );
  return { run, load };
}
