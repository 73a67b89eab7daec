import { describe, expect, test } from '@jest/globals';
import type { Sample } from '../../../rehearsal/load/load.ts';
import { drawComparison } from '../../../rehearsal/plots/compare.ts';
import { drawDeploy, switchSpan, wholeSpan } from '../../../rehearsal/plots/deploy.ts';
import { drawPage, type SceneTold } from '../../../rehearsal/plots/page.ts';
import { decades, humanTime, linear, logarithmic, powers, ticks } from '../../../rehearsal/plots/scale.ts';
import { slice, waitsOf, within } from '../../../rehearsal/plots/series.ts';
import { element, escapeXml } from '../../../rehearsal/plots/svg.ts';
import type { DeployRecord } from '../../../rehearsal/scenes/recording.ts';

const samples: Sample[] = [
  [0, 4, 1],
  [50, 6, 1],
  [150, 5000, 1],
  [950, 8, 0],
];

describe('what requests came to', () => {
  test('counts losses, and tells median and longest wait', () => {
    expect(waitsOf(samples)).toEqual({ requests: 4, lost: 1, medianMs: 6, p99Ms: 5000, longestMs: 5000 });
    expect(waitsOf([])).toMatchObject({ requests: 0, lost: 0, longestMs: 0 });
  });

  test('leaves out slices of time in which nobody asked', () => {
    expect(slice(samples, [0, 1000], 10)).toEqual([
      { at: 50, medianMs: 4, longestMs: 6 },
      { at: 150, medianMs: 5000, longestMs: 5000 },
      { at: 950, medianMs: 8, longestMs: 8 },
    ]);
  });

  test('counts a request where it was sent, not where it was answered', () => {
    expect(within(samples, [100, 200])).toEqual([[150, 5000, 1]]);
  });
});

describe('scales', () => {
  test('map values to places', () => {
    expect(linear([10, 20], [0, 100])(15)).toBe(50);
    expect(logarithmic([1, 100], [100, 0])(10)).toBe(50);
    expect(logarithmic([1, 100], [100, 0])(0)).toBe(100);
  });

  test('embrace all values by powers of ten', () => {
    expect(decades([3, 4_200])).toEqual([1, 10_000]);
    expect(powers([1, 1000])).toEqual([1, 10, 100, 1000]);
    expect(decades([])).toEqual([1, 10]);
  });

  test('have round ticks, also below zero', () => {
    expect(ticks([-1.5, 20.2], 12)).toEqual([0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20]);
    expect(ticks([-3, 3], 3)).toEqual([-2, 0, 2]);
  });

  test.each([
    [0.4, '0.4 ms'],
    [12.3, '12 ms'],
    [320, '0.32 s'],
    [5_120, '5.1 s'],
    [180_000, '3 min'],
  ])('tell %d ms as %s', (ms, text) => {
    expect(humanTime(ms)).toBe(text);
  });
});

test('text cannot leave its place in a picture', () => {
  expect(escapeXml('<b onclick="x">&')).toBe('&lt;b onclick=&quot;x&quot;&gt;&amp;');
  expect(element('rect', { x: 1.26, 'data-name': '"<' })).toBe(
    '<rect x="1.3" data-name="&quot;&lt;"></rect>',
  );
});

const step = (name: string, startMs: number, endMs: number) => ({ name, startMs, endMs });
const deploy: DeployRecord = {
  ...{ startMs: 0, endMs: 40_000, instance: 'i-1', result: 'done' },
  steps: [step('download', 10_000, 12_000), step('switch', 12_000, 14_000), step('prune', 14_000, 30_000)],
};

describe('a deploy', () => {
  test('is shown with a little time before and after the steps of the host', () => {
    expect(wholeSpan(deploy)).toEqual([8_500, 31_500]);
    expect(switchSpan(deploy)).toEqual([11_500, 14_500]);
  });

  test('has no second picture where the switch is most of it, or was not reached', () => {
    expect(switchSpan({ ...deploy, steps: deploy.steps.slice(0, 2) })).toBeDefined();
    expect(switchSpan({ ...deploy, steps: deploy.steps.slice(1, 2) })).toBeUndefined();
    expect(switchSpan({ ...deploy, steps: deploy.steps.slice(0, 1) })).toBeUndefined();
  });

  test('draws each loss, each step, and the longest wait', () => {
    const requests: Sample[] = [
      [11_000, 5, 1],
      [12_500, 1_900, 1],
      [13_000, 3, 0],
    ];
    const drawn = drawDeploy({ deploy, requests, span: wholeSpan(deploy) });
    expect(drawn.match(/class="losses" d="([^"]*)"/)?.[1]?.match(/M/g)).toHaveLength(1);
    expect(drawn).toContain('3 requests · 1 lost');
    expect(drawn).toContain('longest wait 1.9 s');
    for (const { name } of deploy.steps) expect(drawn).toContain(`<title>${name}: `);
  });

  test('draws no waits where nobody asked', () => {
    expect(drawDeploy({ deploy, requests: [], span: wholeSpan(deploy) })).not.toContain('class="median"');
  });
});

test('ways that are compared stand on equal scales, and tell their losses', () => {
  const panel = (title: string, latency: number, ok: 0 | 1) => {
    return { title, exchanged: [1000, 2000] as const, samples: [[1500, latency, ok]] as const };
  };
  const drawn = drawComparison([panel('restart', 2, 0), panel('overlap', 5000, 1)]);
  expect(drawn).toContain('aria-label="restart: 1 requests lost; overlap: 0 requests lost"');
  expect(drawn.match(/>10 s</g)).toHaveLength(2);
});

describe('the page', () => {
  const scene: SceneTold = {
    ...{ name: 'An <upgrade>', passed: true, seconds: 42.1, requests: 1200, lost: 0, worstLatencyMs: 37 },
    ...{ apiCalls: 28, note: 'nobody & nothing waited', recording: { requests: samples, deploys: [deploy] } },
  };
  const page = drawPage([scene, { ...scene, passed: false, note: 'it broke' }], new Date(0));

  test('needs nothing from anywhere', () => {
    expect(page.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(
      /https?:|@import|url\(|<script|<link|src=/,
    );
  });

  test('says what failed, and escapes what scenes say', () => {
    expect(page).toContain('1 of 2 scenes failed, on 1970-01-01 at 00:00 UTC.');
    expect(page).toContain('An &lt;upgrade&gt;');
    expect(page).toContain('nobody &amp; nothing waited');
    expect(page.match(/<span class="failed">/g)).toHaveLength(2);
  });
});
