import { atMost, type Figure, ours, peer, seconds, times } from '../figure.ts';
import type { Grounds } from '../grounds.ts';
import { PeerHost, rollback as peerRollback } from '../peers/host.ts';
import type { Play, Row } from '../row.ts';
import { median } from '../statistics.ts';

const rounds = 3;
const loads = [0, 5] as const;

/** How long it takes from the button until users have the release before, and how much of it is the host's own switch. */
export const rollback: Row = {
  name: 'rollback',
  title: 'Going back to the release before',
  async play(play) {
    const grounds = await play.grounds();
    const own: Measured[] = [];
    for (const load of loads) own.push(await measure(grounds, load, play));
    const others = await byCapistrano(grounds, play);
    return own.map((one, index) => figureOf(one, others[index] ?? Number.NaN));
  },
};

interface Measured {
  readonly loadSeconds: number;
  /** Seconds from the start of the action until the host had seen the release healthy on the public port, by round. */
  readonly whole: readonly number[];
  /** Seconds of that in which the host stopped one release, started the other and checked it. */
  readonly switched: readonly number[];
}

async function measure(grounds: Grounds, loadSeconds: number, { say, stop }: Play): Promise<Measured> {
  await grounds.take({ switch: 'pause', loadSeconds });
  const whole: number[] = [];
  const switched: number[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    stop.throwIfAborted();
    // Nobody goes forward again by going back.
    await grounds.deploy(await grounds.pack());
    const { began, steps } = await grounds.goBack();
    const [first, last] = [
      steps.find(({ name }) => name === 'hold'),
      steps.find(({ name }) => name === 'check'),
    ];
    if (!first || !last?.ended) throw new Error(`the host took ${steps.map(({ name }) => name).join(', ')}`);
    whole.push((last.ended - began) / 1000);
    switched.push((last.ended - first.started) / 1000);
    say(
      `loads in ${loadSeconds} s, round ${round} of ${rounds}: healthy after ${seconds(whole.at(-1) ?? 0)}, of which the switch ${seconds(switched.at(-1) ?? 0)}`,
    );
  }
  return { loadSeconds, whole, switched };
}

/** On an equal host: `cap production deploy:rollback`, until the app answers. */
async function byCapistrano({ cloud }: Grounds, { say, stop }: Play): Promise<number[]> {
  const host = await PeerHost.launch(cloud, say);
  const medians: number[] = [];
  for (const load of loads) {
    await host.raise(peerRollback, load);
    const took: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      stop.throwIfAborted();
      // So that there is one to go back to: it removes the one that it leaves.
      await host.shell(peerRollback.raise);
      const began = performance.now();
      await host.exchange(peerRollback);
      took.push((performance.now() - began) / 1000);
    }
    await host.lower(peerRollback);
    medians.push(median(took));
    say(`loads in ${load} s, by Capistrano: ${seconds(medians.at(-1) ?? 0)}`);
  }
  return medians;
}

function figureOf({ loadSeconds, whole, switched }: Measured, byPeer: number): Figure {
  const ratios = whole.map((seconds, index) => seconds / (switched[index] ?? Number.NaN));
  return atMost(median(ratios), 1.5, times, {
    name: `rollback of a release, button to healthy, against the host's own switch and restart: an app that loads in ${loadSeconds} s`,
    note: `by \`pause\`, ${rounds} in turn, median of the ratios; from the start of the action (its job's own start is GitHub's) until every check was answered on the public port: ${seconds(median(whole))}, of which the host held the port, stopped one release, started the other and checked it in ${seconds(median(switched))}`,
    bars: [
      ours('rollback', median(whole), seconds(median(whole))),
      ours('its switch', median(switched), seconds(median(switched))),
      peer('cap deploy:rollback', byPeer, seconds(byPeer)),
    ],
  });
}
