/** Colours of all pictures, for light and for dark; the page and the single pictures share them. */
export const colours = `
  :root { color-scheme: light dark;
    --paper: #ffffff; --ink: #1d2733; --soft: #5d6b7a; --rule: #dde3ea; --tint: #f4f6f9;
    --wait: #0d7d8c; --median: #7fb9c2; --lost: #c9302c; --step: #aab6c4; --switch: #e08e1b; --good: #2a8a4a; --peer: #b9c3cf; }
  @media (prefers-color-scheme: dark) { :root {
    --paper: #11161d; --ink: #e4e9f0; --soft: #98a5b4; --rule: #2b3542; --tint: #19212b;
    --wait: #4cc3d1; --median: #2f7d88; --lost: #ff6f66; --step: #50606f; --switch: #f2b04e; --good: #5cc27f; --peer: #4a5866; } }`;

/** How the parts of a picture look; class names say what a part is, not how it looks. */
export const drawing = `
  svg text { font: 11px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: var(--soft); }
  svg .end { text-anchor: end; } svg .middle { text-anchor: middle; }
  svg .strong { fill: var(--ink); font-weight: 600; } svg .head { font-size: 12px; font-weight: 600; fill: var(--ink); }
  svg .loss { fill: var(--lost); font-weight: 600; }
  svg .grid { stroke: var(--rule); stroke-width: 1; fill: none; }
  svg .samples { stroke: var(--wait); stroke-width: 2.2; stroke-linecap: round; stroke-opacity: .45; fill: none; }
  svg .longest { stroke: var(--wait); stroke-width: 1.4; fill: none; stroke-linejoin: round; }
  svg .area { fill: var(--wait); fill-opacity: .14; stroke: none; }
  svg .median { stroke: var(--median); stroke-width: 1.4; fill: none; }
  svg .losses { stroke: var(--lost); stroke-width: 1.2; stroke-opacity: .8; fill: none; }
  svg .step { fill: var(--step); } svg .turn { fill: var(--switch); } svg .shade { fill: var(--switch); fill-opacity: .13; }
  svg .ours { fill: var(--wait); } svg .peer { fill: var(--peer); } svg .broken { fill: var(--lost); }
  svg .limit { stroke: var(--switch); stroke-width: 1.5; stroke-dasharray: 3 3; fill: none; }`;
