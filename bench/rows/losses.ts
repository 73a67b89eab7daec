import type { Cloud } from '../../rehearsal/cloud/cloud.ts';
import { drawComparison, type Panel } from '../../rehearsal/plots/compare.ts';
import type { Span } from '../../rehearsal/plots/scale.ts';
import { waitsOf } from '../../rehearsal/plots/series.ts';
import { atMost, type Bar, type Figure, ours, peer, seconds } from '../figure.ts';
import type { Deployed, Form, Grounds } from '../grounds.ts';
import { type Met, underLoad } from '../load.ts';
import { type Peer, PeerHost, peers } from '../peers/host.ts';
import type { Play, Row } from '../row.ts';

const forms: readonly Form[] = [
  { switch: 'overlap', loadSeconds: 0 },
  { switch: 'overlap', loadSeconds: 5 },
  { switch: 'pause', loadSeconds: 0 },
  { switch: 'pause', loadSeconds: 5 },
];

/** Of all forms together; each has its share of them. */
const leastRequests = 20_000;
const share = leastRequests / forms.length;

/** What users meet while an app is exchanged: by us, and by others. */
export const losses: Row = {
  name: 'losses',
  title: 'Deploying under load',
  async play(play) {
    const grounds = await play.grounds();
    const own: Exchanged[] = [];
    for (const form of forms) own.push(await deployUnderLoad(grounds, form, play));
    const others = await exchangeByPeers(grounds, play);
    play.picture('upgrade.svg', drawComparison(panelsOf(own, others)));
    return [lossFigure(own, others), ...own.map((one) => waitFigure(one, others))];
  },
};

/** What users met while one way of exchanging an app was at work. */
export interface Exchanged {
  readonly label: string;
  readonly switch: Form['switch'] | 'peer';
  readonly loadSeconds: number;
  readonly exchanges: number;
  /** When the first exchange began and ended; ms since 1970. */
  readonly exchanged: Span;
  readonly met: Met;
}

async function deployUnderLoad(grounds: Grounds, form: Form, { say, stop }: Play): Promise<Exchanged> {
  const label = `${form.switch}, an app that loads in ${form.loadSeconds} s`;
  await grounds.take(form);
  const releases = [await grounds.pack(), await grounds.pack(), await grounds.pack(), await grounds.pack()];
  const began = performance.now();
  const deploys: Deployed[] = [];
  const enough = () => ((performance.now() - began) / 1000) * 200 > share;
  const met = await underLoad(grounds.cloud, `http://${grounds.ip}:8080`, async () => {
    for (const release of releases) {
      stop.throwIfAborted();
      if (deploys.length === 0 || !enough()) deploys.push(await grounds.deploy(release));
    }
    while (!enough()) await new Promise((resolve) => setTimeout(resolve, 500));
  });
  say(`${label}: ${tell(met)}, ${deploys.length} deploys`);
  return { label, ...form, exchanges: deploys.length, exchanged: turnOf(deploys[0]), met };
}

/** From when the old release may be asked no more, or no more alone, until the new one is seen to answer. */
function turnOf(deployed: Deployed | undefined): Span {
  const steps = deployed?.details?.steps ?? [];
  const from = steps.find(({ name }) => name === 'hold' || name === 'switch')?.started ?? 0;
  return [from, steps.find(({ name }) => name === 'check')?.ended ?? from];
}

function panelsOf(own: readonly Exchanged[], others: readonly Exchanged[]): Panel[] {
  const slow = [...others, ...own].filter(({ loadSeconds }) => loadSeconds > 0);
  return slow.map(({ label, switch: by, exchanged, met }) => {
    const title = by === 'peer' ? label : `Understudy, by ${by}`;
    return { title, exchanged, samples: met.samples };
  });
}

async function exchangeByPeers({ cloud }: Grounds, { say, stop }: Play): Promise<Exchanged[]> {
  const host = await PeerHost.launch(cloud, say);
  const all: Exchanged[] = [];
  for (const loadSeconds of [0, 5]) {
    for (const one of peers) {
      stop.throwIfAborted();
      // A peer that fails leaves its bar out; what was seen of us stands.
      const seen = await exchangeBy(one, loadSeconds, host, cloud).catch((error: Error) => error);
      const told = seen instanceof Error ? `not measured: ${seen.message}` : tell(seen.met);
      if (!(seen instanceof Error)) all.push(seen);
      say(`${one.label}, an app that loads in ${loadSeconds} s: ${told}`);
    }
  }
  return all;
}

async function exchangeBy(one: Peer, loadSeconds: number, host: PeerHost, cloud: Cloud): Promise<Exchanged> {
  await host.raise(one, loadSeconds);
  let exchanged: Span = [0, 0];
  try {
    const met = await underLoad(cloud, host.url, async () => {
      const from = Date.now();
      await host.exchange(one);
      exchanged = [from, Date.now()];
    });
    return { label: one.label, switch: 'peer', loadSeconds, exchanges: 1, exchanged, met };
  } finally {
    await host.lower(one);
  }
}

function tell({ requests, perSecond, lost, longestMs, p99BeforeMs }: Met): string {
  return `${requests.toLocaleString('en')} requests (${Math.round(perSecond)}/s), ${lost.toLocaleString('en')} lost, longest wait ${(longestMs / 1000).toFixed(2)} s, p99 before ${Math.round(p99BeforeMs)} ms`;
}

const count = (value: number): string => value.toLocaleString('en');

export function lossFigure(own: readonly Exchanged[], others: readonly Exchanged[]): Figure {
  const requests = own.reduce((sum, { met }) => sum + met.requests, 0);
  const lost = own.reduce((sum, { met }) => sum + met.lost, 0);
  const slowest = Math.min(...own.map(({ met }) => met.perSecond));
  const deploys = own.reduce((sum, { exchanges }) => sum + exchanges, 0);
  const enough = requests >= leastRequests && slowest >= 200;
  const told = [...own, ...others].map(({ label, loadSeconds, switch: by, met }) => {
    return `${by === 'peer' ? `${label} (${loadSeconds} s)` : label}: ${tell(met)}`;
  });
  const name = `requests lost, of ${count(leastRequests)} or more at 200/s or more`;
  const note = `${count(requests)} requests to our hosts during ${deploys} deploys, sent whether or not the earlier ones were answered, of which at most 2,000 wait at a time; the peers exchanged the app once each. ${told.join('. ')}`;
  const bars = [
    ...(['overlap', 'pause'] as const).map((by) =>
      ours(`Understudy, ${by}`, ...lossOf(own.filter((one) => one.switch === by))),
    ),
    ...peers.map(({ label }) => peer(label, ...lossOf(others.filter((one) => one.label === label)))),
  ];
  return { ...atMost(lost, 0, count, { name, note, bars }), holds: lost === 0 && enough };
}

/** Requests lost at each exchange of the app that loads in 5 s, which is the harder one. */
function lossOf(exchanged: readonly Exchanged[]): [number, string] {
  const slow = exchanged.filter(({ loadSeconds }) => loadSeconds > 0);
  const lost = slow.reduce((sum, { met }) => sum + met.lost, 0);
  const exchanges = slow.reduce((sum, one) => sum + one.exchanges, 0);
  const each = Math.round(lost / Math.max(1, exchanges));
  return [each, `${count(each)} lost at one exchange, the app loads in 5 s`];
}

export function waitFigure(
  { label, switch: by, loadSeconds, met, exchanged: [from, until] }: Exchanged,
  others: readonly Exchanged[],
): Figure {
  const longest = met.longestMs / 1000;
  const bars: Bar[] = [
    ours(`Understudy, ${by}`, longest, seconds(longest)),
    ...others
      .filter((one) => one.loadSeconds === loadSeconds)
      .map((one) => peer(one.label, one.met.longestMs / 1000, tellPeer(one))),
  ];
  const name = `longest wait by ${label}`;
  if (by === 'overlap') {
    const meanwhile = waitsOf(met.samples.filter(([start]) => start >= from && start <= until)).longestMs;
    const note = `against 5 × the p99 before, ${Math.round(met.p99BeforeMs)} ms; the longest wait in the 8 s before, with no deploy, was ${Math.round(met.longestBeforeMs)} ms; while the releases of the first deploy changed places ${Math.round(meanwhile)} ms: the others waited for a processor, of which the runner and AWS's stand-in have no others here`;
    return atMost(longest, (5 * met.p99BeforeMs) / 1000, seconds, { name, note, bars });
  }
  const note =
    'requests wait from the end of the old release until the new one was checked on its probe: its load, and what the host script does meanwhile; the peers let users in unchecked';
  return atMost(longest, loadSeconds + 1, seconds, { name, note, bars });
}

const tellPeer = ({ met }: Exchanged): string =>
  `${seconds(met.longestMs / 1000)}${met.lost > 0 ? `, ${count(met.lost)} lost` : ''}`;
