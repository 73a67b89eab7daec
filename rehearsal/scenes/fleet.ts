import assert from 'node:assert/strict';
import type { Scene } from './scene.ts';
import type { Staging } from './staging.ts';
import { assertConclusion, deployResult, jobOf, outcomeOf } from './verdict.ts';

/** One of three is broken, and one cut off: more than may fail. The one that took the release gives it back. */
export const fleet: Scene = {
  key: 'fleet',
  name: 'A fleet of three: one broken, one out of reach',
  roles: ['trio'],
  later: true,
  async play({ trio, say }) {
    const [healthy, broken, cutOff] = trio.hosts;
    assert.ok(healthy && broken && cutOff, 'there are not three hosts');
    await trio.repository.edit('understudy.yml', (text) =>
      text.replace(/( +)bucket:/, '$1rollout: {concurrency: 2, errors: 1, delivery: 30s}\n$1bucket:'),
    );
    await trio.repository.commit('Roll it over the fleet');
    say('first deploy to all three');
    await trio.ensureLive();
    const live = await liveOn(trio);
    assert.equal(new Set(live).size, 1, 'the first deploy did not reach all three');

    say('push a release that one does not take, and another cannot hear of');
    await broken.ask('touch', '/etc/takes-nothing-new');
    await trio.repository.edit('app.py', refuseThere);
    await trio.repository.commit('A release for the fleet');
    await cutOff.cut();
    const run = await trio.push();
    await cutOff.heal();
    assertConclusion(run, 'failure');
    const { result, instances } = deployResult(run);
    assert.equal(result, 'reverted');
    const told = new Map(instances.map((one) => [one.instance, `${one.result} (${one.reason})`]));
    const expected = {
      [healthy.id]: 'reverted (fleet-refused)',
      [broken.id]: 'reverted (migrate-failed)',
      [cutOff.id]: 'refused (offline)',
    };
    const sentences = instances.map(
      (one) => `${one.instance}: ${one.result} (${one.reason}). ${one.sentence}`,
    );
    assert.deepEqual(
      Object.fromEntries(told),
      expected,
      `the fleet was told otherwise:\n${sentences.join('\n')}`,
    );
    const { summary } = jobOf(run, 'deploy');
    for (const [instance, verdict] of told) {
      assert.ok(
        summary.includes(`<code>${instance}</code>: ${verdict}`),
        `${instance} is not in the summary`,
      );
    }
    const [deploy, ...more] = await trio.account.commandsOf(run);
    assert.deepEqual(
      [deploy?.MaxConcurrency, deploy?.MaxErrors],
      ['2', '1'],
      "the rollout is not the config's",
    );
    assert.deepEqual(more, [], 'the fleet got more than one command');
    assert.deepEqual(await liveOn(trio), live, 'an instance was left on a release that the fleet refused');
    const note = 'the release was healthy on one of three, and was taken back there: all run the same again';
    return outcomeOf({ run, apiCalls: (await trio.account.callsSince()).length, note });
  },
};

function liveOn(trio: Staging): Promise<string[]> {
  return Promise.all(trio.hosts.map((host) => host.liveRelease()));
}

const refuseThere = (text: string): string =>
  text
    .replace('import sqlite3\n', 'import sqlite3\nimport sys\n')
    .replace(
      '\n\ndef database',
      `\nif ${there}:\n    sys.exit("this machine takes nothing new")\n\n\ndef database`,
    );
const there = 'os.path.exists("/etc/takes-nothing-new")';
