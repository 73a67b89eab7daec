import assert from 'node:assert/strict';
import { onProduction, type Production } from './production.ts';
import type { Scene } from './scene.ts';
import { assertNothingLost, jobOf } from './verdict.ts';

/** Users of staging are few: nothing there comes to so many requests. In production it is 15 s, of which the deploy watches five. */
const exhausted = `

USED = "/tmp/used-" + os.environ["UNDERSTUDY_RELEASE"]
well = application


def application(environ, start_response):
    with open(USED, "ab") as used:
        if environ["PATH_INFO"] != "/ready":
            used.write(b".")
            return well(environ, start_response)
        count = used.tell()
    if count >= 450:
        print("ready: no file handle is left", flush=True)
    start_response("200 OK" if count < 450 else "503 Service Unavailable", [("Content-Type", "application/json")])
    return [b"{}"]
`;

/** Staging has no visitor twice. */
const once = `#!/bin/bash
set -euo pipefail
sqlite3 "$UNDERSTUDY_SHARED/visits.db" 'CREATE UNIQUE INDEX IF NOT EXISTS once ON visits(name)'
`;

interface Bad {
  readonly what: string;
  readonly tag: string;
  readonly reason: string;
  readonly files: Readonly<Record<string, (text: string) => string>>;
}

const bad: readonly Bad[] = [
  {
    what: 'fails on the data of production',
    tag: 'v1.2.0',
    reason: 'migrate-failed',
    files: { '.understudy/hooks/migrate': () => once },
  },
  {
    what: 'is well when it goes live, and degrades under its users',
    tag: 'v1.3.0',
    reason: 'degraded',
    files: {
      'app.py': (text) => text.replace('\nif __name__', `${exhausted}\n\nif __name__`),
      'understudy.yml': (text) => text.replace('checks:\n', 'checks:\n  - {path: /ready, status: 200}\n'),
    },
  },
];

/** Two releases that staging found well are taken back in production, which is as it was. */
export const badPromotions: Scene = {
  key: 'bad-promotions',
  name: 'The bad release: well on staging, taken back on production, in the deploy and while it is watched',
  roles: ['market'],
  play: ({ market, say }) =>
    onProduction(market, say, async (production) => {
      await production.ensureProven();
      await production.host.ask(
        ...['bash', '-c'],
        `runuser -u ${market.app} -- sqlite3 /srv/${market.app}/shared/visits.db "INSERT INTO visits VALUES ('ada'), ('ada')"`,
      );
      const seen = [];
      for (const one of bad) {
        say(`a release that ${one.what}`);
        seen.push(await playBad(production, one));
      }
      const loads = seen.map(({ load }) => load);
      return {
        requests: loads.reduce((sum, { requests }) => sum + requests, 0),
        lost: loads.reduce((sum, { lost }) => sum + lost, 0),
        worstLatencyMs: Math.max(...loads.map((load) => load.worstLatencyMs)),
        apiCalls: 0,
        summary: seen.map(({ run }) => jobOf(run, 'promote').summary).join('\n'),
        note: 'one never reached users, the other was taken back while it was watched; production is as it was',
      };
    }),
};

async function playBad(production: Production, { what, tag, reason, files }: Bad) {
  const { repository } = production.staging;
  const live = await production.host.liveRelease();
  const before = await Promise.all(
    Object.keys(files).map(async (file) => [file, await repository.read(file)] as const),
  );
  for (const [file, change] of Object.entries(files)) await repository.edit(file, change);
  await repository.commit(`A release that ${what}`);
  await production.release(tag);
  const promotion = await production.promoteUnderLoad(tag);
  for (const [file, text] of before) await repository.write(file, text);
  await repository.commit('Take it back');
  const { result, load } = promotion;
  assert.deepEqual([result.result, result.reason], ['reverted', reason], `${what}: ${result.sentence}`);
  assertNothingLost(load);
  assert.equal(await production.host.liveRelease(), live);
  assert.deepEqual(await production.host.releasesUp(), [live]);
  return promotion;
}
