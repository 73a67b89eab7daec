/** A function of a host script with its lines, or lines that stand outside of any. */
interface Part {
  readonly name?: string;
  readonly text: string;
}

const definition = /^([a-z_]+)\(\) (?:\{.*\}$|[{(][^\n]*\n[\s\S]*?^[})]$)\n?/gm;

/**
 * Leaves out the functions that nothing comes to: a document has 64 KB, and a part of the library is there for more
 * than one operation. A function stays when its name occurs as a word in anything else that stays, so that what is
 * called by a variable stays as well.
 *
 * @throws Error where a function does not end in a line of its own, nor in the one that it begins in
 */
export function link(script: string): string {
  const parts = partsOf(script);
  const kept = new Set(parts.filter(({ name }) => name === undefined));
  for (const part of kept) {
    const words = new Set(part.text.match(/[a-z_]+/g));
    for (const other of parts) if (other.name !== undefined && words.has(other.name)) kept.add(other);
  }
  return parts
    .filter((part) => kept.has(part))
    .map(({ text }) => text)
    .join('');
}

function partsOf(script: string): Part[] {
  const parts: Part[] = [];
  let end = 0;
  for (const found of script.matchAll(definition)) {
    const [text, name = ''] = found;
    // One that does not end as it must would take those behind it along, and go with them.
    const swallowed = /\n([a-z_]+)\(\) [{(]/.exec(text)?.[1];
    if (swallowed !== undefined)
      throw new Error(`${name} of a host script does not end before ${swallowed}.`);
    parts.push({ text: script.slice(end, found.index) }, { name, text });
    end = found.index + text.length;
  }
  return [...parts, { text: script.slice(end) }];
}
