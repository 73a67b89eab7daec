import assert from 'node:assert/strict';
import { addFault, listFaults } from '../cloud/fault.ts';
import type { Run } from '../runner/runner.ts';
import type { Scene } from './scene.ts';
import type { Staging } from './staging.ts';
import { assertConclusion, deployResult, jobOf, outcomeOfSeveral } from './verdict.ts';

/**
 * The network of the instance is cut before the command is delivered: it never ran. It is cut, and the power fails,
 * while the host is at work: nobody can tell, until the host has put itself right and is back.
 */
export const lostInstance: Scene = {
  key: 'gone',
  name: 'An instance that is gone: cut off before its deploy, and in the middle',
  roles: ['island'],
  async play({ island, say }) {
    await settleIn(island);
    const live = await island.host.liveRelease();
    const invocation = await island.host.liveInvocation();

    say('push, and cut the network before the command is delivered');
    const cut = await cutBeforeDelivery(island);
    const unreached = await cut.run;
    await island.host.heal();
    assertConclusion(unreached, 'failure');
    const { result, reason, sentence } = deployResult(unreached);
    assert.deepEqual([result, reason], ['failed', 'delivery-timed-out']);
    assert.match(sentence, /never ran/);
    assert.equal(await island.account.lease(), 'released');
    assert.equal(
      await island.host.liveInvocation(),
      invocation,
      'the instance that was not reached is not as it was',
    );

    say('push, and cut network and power while the host migrates the live data');
    const verdict = Promise.withResolvers<void>();
    const healed = verdict.promise.then(() => island.host.heal());
    healed.catch(() => undefined);
    const told = new RegExp(`${island.host.id} +unknown \\(no-result\\)`);
    const onLine = (line: string): void => {
      if (told.test(line)) verdict.resolve();
    };
    const going = await loseWhileAtWork(island, onLine);
    say('the host is up again without its network, and puts back what was left');
    await island.host.untilEnded();
    assert.equal(await island.host.liveRelease(), live);
    assert.equal(JSON.parse(await island.host.get('/health')).status, 'ok');
    assert.ok(await island.host.isCut(), 'the network was back before the host had put itself right');
    say('the run comes to its end without a word of the host; then the network heals');
    const cutOff = await going.run;
    await healed;
    assertUnknown(cutOff, island);
    assert.match(jobOf(cutOff, 'deploy').summary, /after it was stopped: reverted/);
    assert.equal(await island.account.lease(), 'released');

    say('run it again');
    const again = await island.rerun();
    assertConclusion(again, 'success');
    assert.equal(deployResult(again).result, 'done');
    const { summary } = jobOf(again, 'deploy');
    assert.match(summary, /Before this.+reverted.+interrupted/, 'the next run does not tell what happened');
    const note = '"never ran"; then "unknown", until the host, which had put itself right, could tell';
    const runs = [unreached, cutOff, again].map((run) => ({ run }));
    return outcomeOfSeveral(runs, (await island.account.callsSince()).length, note);
  },
};

/** The shortest time that Systems Manager allows. */
async function settleIn(island: Staging): Promise<void> {
  await island.repository.edit('understudy.yml', (text) =>
    text.replace(/( +)bucket:/, '$1rollout: {delivery: 30s}\n$1bucket:'),
  );
  await island.repository.commit('Be quick about it');
  await island.ensureLive();
}

/** A run that goes on while other things happen to it. */
interface Going {
  readonly run: Promise<Run>;
}

async function pushOf(island: Staging, message: string, onLine?: (line: string) => void): Promise<Going> {
  await island.repository.write('CHANGES', `${message}\n`);
  await island.repository.commit(message);
  const run = island.push(onLine ? { onLine } : {});
  // Awaited in the end; until then a failure must not end the rehearsal.
  run.catch(() => undefined);
  return { run };
}

/** Systems Manager refuses the command twice as one too many: time enough to cut the network before the third. */
async function cutBeforeDelivery(island: Staging): Promise<Going> {
  const resource = `*document/${island.app}-deploy`;
  const { id } = await addFault(island.cloud, {
    action: 'SendCommand',
    kind: 'throttle',
    resource,
    times: 2,
  });
  const going = await pushOf(island, 'A change that does not arrive');
  const met = async (): Promise<boolean> =>
    (await listFaults(island.cloud)).some((fault) => fault.id === id && fault.met > 0);
  await Promise.race([island.host.eventually(met, 'the deploy is sent'), going.run]);
  await island.host.cut();
  return going;
}

async function loseWhileAtWork(island: Staging, onLine: (line: string) => void): Promise<Going> {
  await island.repository.edit('understudy.yml', (text) =>
    text.replace('{delivery: 30s', '$&, timeout: 60s'),
  );
  await island.host.hold('migrate');
  const going = await pushOf(island, 'A change that is cut off', onLine);
  await Promise.race([island.host.untilIn('migrate'), going.run]);
  await island.host.cut();
  await island.host.cutPower();
  await island.host.letGo('migrate');
  return going;
}

function assertUnknown(run: Run, { app }: Staging): void {
  assertConclusion(run, 'failure');
  const { result, reason } = deployResult(run);
  assert.deepEqual([result, reason], ['unknown', 'no-result'], 'what nobody can tell is told');
  const { summary } = jobOf(run, 'deploy');
  assert.ok(summary.includes(`${app}-probe`), 'the summary does not say how to find out');
}
