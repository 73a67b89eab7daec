import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { inSeconds } from '../../src/action/log.ts';
import type { Run } from '../runner/runner.ts';
import type { Scene } from './scene.ts';
import type { Staging } from './staging.ts';
import { assertConclusion, deployResult, jobOf, outcomeOfSeveral } from './verdict.ts';

/** A server that takes no socket is restarted, and the time it was down told. Its secret reaches it, and nothing else. */
export const restartWithSecrets: Scene = {
  key: 'restart',
  name: 'A server that cannot take a socket, and its secret',
  roles: ['kiosk'],
  async play({ kiosk, say }) {
    const secret = randomBytes(24).toString('base64url');
    await kiosk.account.putSecret('API_KEY', secret);
    await becomeRestarted(kiosk);
    say('push a server that binds its port itself');
    const first = await kiosk.push();
    assertConclusion(first, 'success');
    assert.equal(
      JSON.parse(await kiosk.host.get('/key')).digest,
      digest(secret),
      'the secret did not reach the app',
    );

    say('push the next release');
    await kiosk.repository.write('CHANGES', 'By restart.\n');
    await kiosk.repository.commit('A change');
    const upgrade = await kiosk.push();
    assertConclusion(upgrade, 'success');
    const down = deployResult(upgrade).instances[0]?.down_ms;
    assert.ok(down !== undefined && down > 0, 'the result does not tell how long the app was down');
    const told = `the app was down for ${inSeconds(down)}`;
    assert.ok(jobOf(upgrade, 'deploy').summary.includes(told), `the summary does not say: ${told}`);
    assert.equal(JSON.parse(await kiosk.host.get('/key')).digest, digest(secret));

    say('push a release that spills the secret, into its answers and its log');
    await kiosk.repository.edit('app.py', spill);
    await kiosk.repository.commit('Show what is wrong');
    const spilling = await kiosk.push();
    await kiosk.repository.edit('app.py', (text) => text.replace(spilt, ''));
    await kiosk.repository.commit('Show it no more');
    assertConclusion(spilling, 'failure');
    assert.equal(deployResult(spilling).result, 'reverted');
    assert.match(jobOf(spilling, 'deploy').summary, /redacted/, 'the summary shows nothing of what it said');

    say('search the disk, the bucket, the logs and the summaries for it');
    const runs = [first, upgrade, spilling];
    const places = await placesOf('API_KEY', kiosk, [first]);
    for (const place of [/^\/var\/lib\/understudy\/kiosk\/parameters$/, /\.tar\.gz$/]) {
      assert.ok(
        places.some((one) => place.test(one)),
        `the search does not find even the name of the secret in ${place.source}: it proves nothing`,
      );
    }
    assert.deepEqual(await placesOf(secret, kiosk, runs), [], 'the secret stands where it must not');
    const note = `down for ${inSeconds(down)}; the secret stands on no disk, in no log, in no summary`;
    return outcomeOfSeveral(
      runs.slice(1).map((run) => ({ run })),
      (await kiosk.account.callsSince()).length,
      note,
    );
  },
};

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Without gunicorn the app binds the port itself, as many servers do; an operator prepares its host for that. */
async function becomeRestarted(kiosk: Staging): Promise<void> {
  const { repository } = kiosk;
  await repository.write('.understudy/run', '#!/bin/bash\nexec python3 app.py\n');
  await repository.edit('understudy.yml', (text) =>
    text.replace('switch: pause, notify: true', 'switch: restart, notify: false'),
  );
  await repository.commit('Serve without gunicorn');
  await kiosk.enrol();
}

const spilt = `    start_response("500 Oh no", [("Content-Type", "text/html")])
    return [("Oh no: key " + os.environ["API_KEY"]).encode()]
`;
const spill = (text: string): string =>
  text.replace('def application(environ, start_response):\n', (line) => line + spilt);

/** Where a text stands, of all the places that outlive a deploy: the disk, objects, logs, summaries and outputs. */
async function placesOf(text: string, { host, account }: Staging, runs: readonly Run[]): Promise<string[]> {
  const objects = await account.objects();
  const stored = objects.filter((object) => object.text.includes(text)).map(({ key }) => key);
  const told = [
    ...runs.map(({ log, attempt }) => [`the log of attempt ${attempt}`, log]),
    ...runs.map(({ jobs, attempt }) => [`what attempt ${attempt} shows`, JSON.stringify(jobs)]),
    ["Systems Manager's outputs", JSON.stringify(await account.invocationsOn(host.id))],
  ] as const;
  const shown = told.flatMap(([place, all = '']) => (all.includes(text) ? [place ?? ''] : []));
  return [...(await host.filesWith(text)), ...stored, ...shown];
}
