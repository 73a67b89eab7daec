/** An element of the plain XML that EC2's and the Query services' answers are made of. */
export interface Element {
  name: string;
  /** Attributes as they were written, kept for the namespace of the root. */
  attributes: string;
  children: Element[];
  /** Text of an element without children. */
  text: string;
}

const token = /<\?[^>]*\?>|<!--[\s\S]*?-->|<(\/?)([A-Za-z_][\w:.-]*)([^>]*?)(\/?)>|([^<]+)/g;

/** Parses an answer of the emulator. @throws Error when it is not one balanced XML document. */
export function parseXml(source: string): Element {
  const root: Element = { name: '', attributes: '', children: [], text: '' };
  const open: Element[] = [root];
  for (const [, closes, name, attributes, empty, text] of source.matchAll(token)) {
    const parent = open[open.length - 1] as Element;
    if (text !== undefined) parent.text += text;
    if (name === undefined) continue;
    if (closes === '/') {
      if (open.pop()?.name !== name) throw new Error(`unbalanced XML at </${name}>`);
      continue;
    }
    const element: Element = { name, attributes: attributes ?? '', children: [], text: '' };
    parent.children.push(element);
    if (empty !== '/') open.push(element);
  }
  const [document] = root.children;
  if (open.length !== 1 || document === undefined) throw new Error('not an XML document');
  untangle(document);
  return document;
}

function untangle(node: Element): void {
  // White space between elements is layout, not text.
  node.text = node.children.length > 0 ? '' : unescapeXml(node.text);
  node.children.forEach(untangle);
}

/** Writes an element and what is below it. */
export function writeXml(node: Element): string {
  const content = node.children.length > 0 ? node.children.map(writeXml).join('') : escapeXml(node.text);
  return `<${node.name}${node.attributes}>${content}</${node.name}>`;
}

/** Makes an element of text or of other elements. */
export function element(name: string, content: string | Element[]): Element {
  return typeof content === 'string'
    ? { name, attributes: '', children: [], text: content }
    : { name, attributes: '', children: content, text: '' };
}

export function childOf(node: Element | undefined, name: string): Element | undefined {
  return node?.children.find((each) => each.name === name);
}

/** Text at a path of element names such as `instanceState/name`; undefined where there is none. */
export function textAt(node: Element | undefined, path: string): string | undefined {
  return path.split('/').reduce(childOf, node)?.text;
}

/** Puts text at a path, making what is missing on the way. */
export function setText(node: Element, path: string, text: string): void {
  let at = node;
  for (const name of path.split('/')) {
    let next = childOf(at, name);
    if (next === undefined) {
      next = element(name, '');
      at.children.push(next);
    }
    at = next;
  }
  at.text = text;
  at.children = [];
}

/** All elements of that name, at any depth. */
export function elementsNamed(node: Element, name: string): Element[] {
  const below = node.children.flatMap((each) => elementsNamed(each, name));
  return node.name === name ? [node, ...below] : below;
}

/** The `item` (EC2) or `member` (Query) elements of a list element. */
export function itemsOf(node: Element | undefined): Element[] {
  return node?.children.filter((each) => each.name === 'item' || each.name === 'member') ?? [];
}

export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function unescapeXml(text: string): string {
  return text.replace(/&(#x?[\da-fA-F]+|\w+);/g, (whole, name: string) => {
    if (name.startsWith('#x')) return String.fromCodePoint(Number.parseInt(name.slice(2), 16));
    if (name.startsWith('#')) return String.fromCodePoint(Number(name.slice(1)));
    return entities[name] ?? whole;
  });
}
