/** Text as it may stand in HTML and SVG, in elements and in quoted attributes. */
export function escapeXml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
  };
  return text.replaceAll(/[&<>"]/g, (character) => entities[character] ?? character);
}

/** An element around children that are markup already; numbers are cut to a tenth, which no eye misses. */
export function element(
  name: string,
  attributes: Readonly<Record<string, string | number>>,
  ...children: readonly string[]
): string {
  const given = Object.entries(attributes).map(([key, value]) => {
    const text = typeof value === 'number' ? String(Math.round(value * 10) / 10) : escapeXml(value);
    return ` ${key}="${text}"`;
  });
  return `<${name}${given.join('')}>${children.join('')}</${name}>`;
}

/** A line of text; its baseline is at `y`. */
export function label(x: number, y: number, text: string, kind: string): string {
  return element('text', { x, y, class: kind }, escapeXml(text));
}

/** A picture that scales with the page, told in one sentence to those who do not see it. */
export function picture(
  size: { width: number; height: number },
  told: string,
  ...children: string[]
): string {
  const attributes = {
    xmlns: 'http://www.w3.org/2000/svg',
    viewBox: `0 0 ${size.width} ${Math.ceil(size.height)}`,
    role: 'img',
    'aria-label': told,
  };
  return element('svg', attributes, ...children);
}
