import type { Sample } from '../load/load.ts';
import type { DeployRecord, Recording } from '../scenes/recording.ts';
import { drawDeploy, switchSpan, wholeSpan } from './deploy.ts';
import { humanTime } from './scale.ts';
import { waitsOf, within } from './series.ts';
import { colours, drawing } from './style.ts';
import { element, escapeXml } from './svg.ts';

/** A scene as the page tells it. */
export interface SceneTold {
  readonly name: string;
  readonly passed: boolean;
  readonly seconds: number;
  readonly requests: number;
  readonly lost: number;
  readonly worstLatencyMs: number | null;
  readonly apiCalls: number;
  /** What a person wants to know of it, or why it did not pass. */
  readonly note: string;
  readonly recording: Recording;
}

const style = `${colours}${drawing}
  * { box-sizing: border-box; }
  body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 60rem; background: var(--paper); color: var(--ink);
    font: 16px/1.55 system-ui, -apple-system, 'Segoe UI', sans-serif; }
  h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; letter-spacing: -.01em; } h2 { font-size: 1.2rem; margin: 0; }
  header p { color: var(--soft); margin: .4rem 0 1.6rem; max-width: 44rem; }
  .sums { display: flex; flex-wrap: wrap; gap: .75rem; margin: 0 0 1.6rem; padding: 0; list-style: none; }
  .sums li { flex: 1 1 8rem; background: var(--tint); border-radius: .5rem; padding: .7rem .9rem; color: var(--soft); font-size: .85rem; }
  .sums b { display: block; font-size: 1.5rem; color: var(--ink); font-variant-numeric: tabular-nums; line-height: 1.25; }
  .scroll { overflow-x: auto; }
  table { border-collapse: collapse; width: 100%; font-size: .9rem; } th { text-align: left; color: var(--soft); font-weight: 500; }
  th, td { padding: .42rem .6rem; border-bottom: 1px solid var(--rule); vertical-align: baseline; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
  a { color: inherit; text-decoration-color: var(--rule); text-underline-offset: .2em; }
  .passed { color: var(--good); font-weight: 600; } .failed { color: var(--lost); font-weight: 600; }
  section { margin-top: 2.6rem; border-top: 1px solid var(--rule); padding-top: 1.4rem; break-inside: avoid; }
  section > p { margin: .3rem 0 0; color: var(--soft); max-width: 48rem; overflow-wrap: anywhere; white-space: pre-line; }
  figure { margin: 1.2rem 0 0; break-inside: avoid; } svg { display: block; width: 100%; height: auto; }
  figcaption { font-size: .88rem; color: var(--soft); margin-bottom: .35rem; } figcaption b { color: var(--ink); }
  .legend { font-size: .82rem; color: var(--soft); margin-top: 2.5rem; }
  .key { display: inline-block; width: .8rem; height: .6rem; border-radius: 2px; margin: 0 .35rem 0 1rem; }
  .key:first-child { margin-left: 0; }
  @media print { body { max-width: none; padding: 0; font-size: 11pt; } .sums li { border: 1px solid var(--rule); } a { text-decoration: none; } }`;

/** The whole page; it needs nothing but itself. */
export function drawPage(scenes: readonly SceneTold[], played: Date): string {
  const failed = scenes.filter(({ passed }) => !passed).length;
  const verdict =
    failed === 0 ? `All ${scenes.length} scenes passed` : `${failed} of ${scenes.length} scenes failed`;
  const body = [
    element(
      'header',
      {},
      element('h1', {}, 'The rehearsal'),
      element(
        'p',
        {},
        escapeXml(`${verdict}, on ${played.toISOString().slice(0, 16).replace('T', ' at ')} UTC. ${lede}`),
      ),
    ),
    drawTotals(scenes),
    drawTable(scenes),
    ...scenes.map(drawScene),
    legend,
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Understudy: the rehearsal</title><style>${style}</style></head>
<body>${body.join('\n')}</body></html>
`;
}

const lede =
  'Each scene is a real push through the workflow to real systemd hosts, while users keep asking. Times are told, losses are judged.';

const legend = element(
  'p',
  { class: 'legend' },
  ...[
    ['--wait', 'the wait of each request, on a scale of powers of ten'],
    ['--median', 'the median'],
    ['--lost', 'a request without its promised answer'],
    ['--step', 'a step on the host'],
    ['--switch', 'the steps in which one release takes the other’s place'],
  ].map(
    ([colour = '', text = '']) =>
      `<span class="key" style="background: var(${colour})"></span>${escapeXml(text)}`,
  ),
);

function drawTotals(scenes: readonly SceneTold[]): string {
  const sum = (value: (scene: SceneTold) => number): number =>
    scenes.reduce((all, scene) => all + value(scene), 0);
  const totals: [string, string][] = [
    [sum(({ requests }) => requests).toLocaleString('en'), 'requests of users'],
    [sum(({ lost }) => lost).toLocaleString('en'), 'of them lost'],
    [String(sum(({ recording }) => recording.deploys.length)), 'deploys'],
    [`${Math.round(sum(({ seconds }) => seconds))} s`, 'to play it all'],
  ];
  return element(
    'ul',
    { class: 'sums' },
    ...totals.map(([value, name]) => `<li><b>${value}</b>${name}</li>`),
  );
}

function drawTable(scenes: readonly SceneTold[]): string {
  const head = ['', 'scene', 'seconds', 'requests', 'lost', 'longest wait', 'API calls'];
  const cell = (tag: string, text: string, column: number): string =>
    element(tag, column > 1 ? { class: 'n' } : {}, text);
  const rows = scenes.map((scene, index) => [
    drawVerdict(scene.passed),
    `<a href="#scene-${index + 1}">${escapeXml(scene.name)}</a>`,
    scene.seconds.toFixed(1),
    scene.requests === 0 ? '–' : scene.requests.toLocaleString('en'),
    scene.requests === 0 ? '–' : scene.lost.toLocaleString('en'),
    scene.worstLatencyMs === null ? '–' : humanTime(scene.worstLatencyMs),
    String(scene.apiCalls),
  ]);
  const line = (tag: string, cells: readonly string[]): string =>
    element('tr', {}, ...cells.map((text, column) => cell(tag, text, column)));
  const table = element('table', {}, line('th', head), ...rows.map((row) => line('td', row)));
  return element('div', { class: 'scroll' }, table);
}

const drawVerdict = (passed: boolean): string =>
  passed ? '<span class="passed">passed</span>' : '<span class="failed">FAILED</span>';

function drawScene({ name, passed, note, recording }: SceneTold, index: number): string {
  const verdict = passed ? '' : ` ${drawVerdict(passed)}`;
  return element(
    'section',
    { id: `scene-${index + 1}` },
    `<h2>${escapeXml(name)}${verdict}</h2>`,
    element('p', {}, escapeXml(note)),
    ...recording.deploys.map((deploy) => drawDeploys(deploy, recording.requests)),
  );
}

/** The whole deploy, and the time around its switch where that is a small part of it. */
function drawDeploys(deploy: DeployRecord, requests: readonly Sample[]): string {
  if (deploy.steps.length === 0) return '';
  const span = wholeSpan(deploy);
  const shown = within(requests, span);
  const near = shown.length === 0 ? undefined : switchSpan(deploy);
  const whole = drawFigure(captionOf(deploy, shown), drawDeploy({ deploy, requests, span }));
  if (near === undefined) return whole;
  return whole + drawFigure('Around the switch', drawDeploy({ deploy, requests, span: near }));
}

const drawFigure = (caption: string, drawn: string): string =>
  element('figure', {}, element('figcaption', {}, caption), drawn);

function captionOf(deploy: DeployRecord, shown: readonly Sample[]): string {
  const { steps, result, instance } = deploy;
  const onHost = Math.max(...steps.map(({ endMs }) => endMs)) - (steps[0]?.startMs ?? 0);
  const { requests, p99Ms } = waitsOf(shown);
  const users =
    requests === 0
      ? 'nobody asked meanwhile'
      : `99 % of the requests had their answer within ${humanTime(p99Ms)}`;
  const run = humanTime(deploy.endMs - deploy.startMs);
  const where = instance === '' ? '' : ` on <code>${escapeXml(instance)}</code>`;
  return `<b>${escapeXml(result)}</b>${where} in ${humanTime(onHost)}, ${run} from the push to the end of the job; ${users}`;
}
